"""docs/openapi.yaml and the server hold each other to their word: Schemathesis calls all that the document says."""

import re
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case, Config, HookContext, SerializationContext
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

import tests.project.loaded  # noqa: F401 - for what Hypothesis tries
from accounts.services import authenticate
from recorder_project.wsgi import application
from tests.client import HOST, Client, sign_up

FEW, SOME, MANY = 4, 15, 300
SERVED = {"Host": HOST, "X-Forwarded-Proto": "https"}
# What no schema can say. A 400 for data that is right by the schema may have these codes and no others.
BEYOND = {
    *("invalid_cursor", "before_from", "unknown_provider", "unsupported_credential", "one_credential", "content_type"),
    *("null_characters_not_allowed", "blank", "repeated", "max_value", "in_the_past", "too_late", "before_start"),
    *("outside", "required", "too_long"),
}

CONFIG = Config.from_dict(
    {
        "base-url": f"https://{HOST}",
        "generation": {"deterministic": True, "max-examples": FEW, "with-security-parameters": False},
    }
)
schema: Any = schemathesis.openapi.from_path(Path(__file__).parents[2] / "docs/openapi.yaml", config=CONFIG)
schema.app = application
ANY = settings(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


class Person(Client):
    """Signed in, with a recording, whatever the last call has done to the one before."""

    recording = ""

    def headers(self) -> dict[str, str]:
        if authenticate(self.auth_key) is None:
            self.auth_key = sign_up().auth_key
            self.recording = self.record(b"RIFF, more or less")["id"]
        return SERVED | {"Authorization": f"Bearer {self.auth_key}"}


person = Person()


@schema.hook  # type: ignore[untyped-decorator]  # Schemathesis' decorators say nothing of what they give
def filter_failure(context: HookContext, failure: Any, case: Case[Any], response: Any) -> bool:
    """Whether it is one. A recording that is in the trash can be had all the same."""
    if isinstance(failure, UseAfterFree):
        return not re.fullmatch(r"DELETE /api/v1/recordings/[^/?]+/", failure.free)
    if not isinstance(failure, RejectedPositiveData):
        return True
    codes = {error["code"] for error in response.json().get("errors", [])}
    return response.status_code not in (411, 412, 413) and not (
        response.status_code == 400 and codes and codes <= BEYOND
    )


@schemathesis.serializer("audio/wav", "audio/*", "video/mp4", "video/webm", "application/ogg")
def as_it_is(context: SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def mean_something(case: Case[Any], linked: bool = False) -> None:
    """Where all is right by the schema, half of the ids are of a recording that is there, and all content is audio.
    An id that an answer has given stays.
    """
    if not case.meta or not case.meta.generation.mode.is_positive:
        return
    if not linked and str(case.path_parameters.get("id", "1"))[-1] in "02468ace":
        case.path_parameters["id"] = person.recording
    if isinstance(case.body, dict) and "content_type" in case.body:
        case.body["content_type"] = "audio/wav"


def kind(case: Case[Any]) -> dict[str, str]:
    return {"Content-Type": "audio/wav"} if case.media_type == "audio/*" else {}


def call_signed_in(case: Case[Any]) -> None:
    headers = person.headers()
    mean_something(case)
    case.call_and_validate(headers=headers | kind(case))


@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(ANY, max_examples=FEW)
def test_signed_in(case: Case[Any]) -> None:
    call_signed_in(case)


@pytest.mark.check
@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(ANY, max_examples=SOME)
def test_signed_in_for_longer(case: Case[Any]) -> None:
    call_signed_in(case)


@pytest.mark.soak
@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(ANY, max_examples=MANY, derandomize=False)
def test_signed_in_for_long(case: Case[Any]) -> None:
    call_signed_in(case)


@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(ANY, max_examples=FEW)
def test_a_stranger(case: Case[Any]) -> None:
    """Whoever says nothing, or nothing that counts, gets no further than 401."""
    call_as_a_stranger(case)


@pytest.mark.check
@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(ANY, max_examples=SOME)
def test_a_stranger_for_longer(case: Case[Any]) -> None:
    call_as_a_stranger(case)


def call_as_a_stranger(case: Case[Any]) -> None:
    answer = case.call_and_validate(headers=SERVED | {"Authorization": "Bearer nonsense"})
    public = case.operation.definition.raw.get("security") in (None, [])
    assert public or answer.status_code in (401, 405), case.operation.label


class Steps(schema.as_state_machine()):  # type: ignore[misc]  # made from the document
    """What one call answers is what the next one asks for."""

    def setup(self) -> None:
        person.auth_key = ""

    def step(self, input: Any) -> Any:
        mean_something(input.case, linked=(ParameterLocation.PATH, "id") in input.applied_parameters)
        return super().step(input)

    def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
        return {"headers": person.headers() | kind(case)}

    def validate_response(self, response: Any, case: Case[Any], additional_checks: Any = None, **kwargs: Any) -> None:
        """With the headers, so that each call is tried without the key too."""
        case.validate_response(response, headers=kwargs["headers"], transport_kwargs=kwargs, recorder=self.recorder)


@pytest.mark.parametrize(
    "chains", [4, pytest.param(20, marks=pytest.mark.check), pytest.param(500, marks=pytest.mark.soak)]
)
def test_in_any_order(chains: int) -> None:
    Steps.run(settings=settings(ANY, max_examples=chains, stateful_step_count=10, phases=[Phase.generate]))
