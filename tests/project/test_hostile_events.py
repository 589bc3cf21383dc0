"""recorder_project.wsgi.lambda_handler with whatever a stranger sends: never a fault, never a trace of one."""

import base64
import json
import logging
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder_project.wsgi import lambda_handler
from tests.client import Client, sign_up
from tests.project.hostile import AUDIO, TOKEN, events, with_query
from tests.project.test_lambda import CONTEXT, EVENTS, Event, header, payload_2
from tests.project.wsgi import call
from tests.state import snapshot

ANY = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def path_of(event: dict[str, Any]) -> str:
    return str(event.get("rawPath") or event.get("path"))


def headers_of(answer: dict[str, Any]) -> list[tuple[str, str]]:
    many = answer.get("multiValueHeaders", {})
    cookies = [("set-cookie", cookie) for cookie in answer.get("cookies", [])]
    return [*answer.get("headers", {}).items(), *((name, value) for name in many for value in many[name]), *cookies]


def check(event: dict[str, Any], answer: dict[str, Any]) -> None:
    """The answer is one that a gateway passes on, and it says nothing of what is within."""
    json.dumps(answer, ensure_ascii=False).encode()
    status, content = answer["statusCode"], answer["body"]
    body = base64.b64decode(content, validate=True) if answer["isBase64Encoded"] else content.encode()
    assert 200 <= status < 500, answer
    assert b"Traceback (most" not in body
    headers = headers_of(answer)
    for name, value in headers:
        assert name
        assert set(name) <= TOKEN, headers
        assert value.isprintable(), headers
        assert value.isascii(), headers
    kind = {name.lower(): value for name, value in headers}.get("content-type", "")
    if status >= 400 and path_of(event).startswith("/api/") and "text/html" not in kind and body:
        assert kind == "application/problem+json", answer
        problem = json.loads(body)
        assert problem["status"] == status
        assert problem["code"]
        assert problem["request_id"]


class People:
    """Somebody who is signed in with a recording, whatever the last call has done to the one before."""

    def __init__(self) -> None:
        self.client = Client()

    def somebody(self) -> tuple[str, list[str]]:
        if self.client.get("accounts/me/").status != 200:
            self.client = sign_up()
            self.id = self.client.record(AUDIO)["id"]
            self.grant = self.client.post("recordings/uppy/").json["endpoint"].rpartition("/")[2]
        return self.client.auth_key, [self.id, self.id, self.grant, "Talk.wav", "google"]


FEW = settings(ANY, derandomize=True, max_examples=15)
SOME = settings(ANY, derandomize=True, max_examples=100)
MANY = settings(ANY, max_examples=3000)
every_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)


@every_event
@pytest.mark.parametrize(
    "amount",
    [
        pytest.param(FEW, id="few"),
        pytest.param(SOME, id="some", marks=pytest.mark.check),
        pytest.param(MANY, id="many", marks=pytest.mark.soak),
    ],
)
def test_any_request_gets_an_answer(event: Event, amount: settings, caplog: pytest.LogCaptureFixture) -> None:
    people = People()

    @amount
    @given(data=st.data())
    def call(data: st.DataObject) -> None:
        request = data.draw(events(event, *people.somebody()))
        caplog.clear()
        check(request, lambda_handler(request, CONTEXT))
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    call()


def test_what_no_request_can_hold_is_refused(alice: Client, subtests: pytest.Subtests) -> None:
    """Where apig-wsgi or Django would raise, and a gateway would answer 502."""
    before = snapshot()
    for event in EVENTS:
        whole = event(
            method="PUT", path="/api/v1/recordings/upload/x/", content=AUDIO, authorization=f"Bearer {alice.auth_key}"
        )
        context = whole["requestContext"]
        post = {
            "httpMethod": "PO ST",
            "requestContext": context | {"http": {**context.get("http", {}), "method": "PO ST"}},
        }
        faults: dict[str, dict[str, Any]] = {
            "no base64": {"body": "YQ=", "isBase64Encoded": True},
            "base64 of another length": {"body": "YQ==YQ==", "isBase64Encoded": True},
            "no base64 at all": {"body": "é", "isBase64Encoded": True},
            "a lone surrogate in the body": {"body": "\ud800", "isBase64Encoded": False},
            "a lone surrogate in the path": {"path": "/api/v1/\ud800", "rawPath": "/api/v1/\ud800"},
            "a lone surrogate in the query": with_query(whole, "a=\ud800"),
            "a method with a space": post,
        }
        for title, wrong in faults.items():
            with subtests.test(event=event.__name__, msg=title):
                answer = lambda_handler(whole | {name: wrong[name] for name in wrong if name in whole}, CONTEXT)
                assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, "bad_request")
                assert header(answer, "Content-Type") == "application/problem+json"
                assert header(answer, "X-Content-Type-Options") == "nosniff"
    assert snapshot() == before


@every_event
def test_headers_beyond_latin_1_do_no_harm(alice: Client, event: Event) -> None:
    for value in ("한글", "\ud800", "a=\u0130"):
        headers = {"user-agent": value, "x-forwarded-for": value, "if-none-match": value, "cookie": value}
        answer = lambda_handler(event(path="/api/v1/accounts/me/", cookies=[value], **headers), CONTEXT)
        assert answer["statusCode"] == 401
        answer = lambda_handler(event(path="/api/v1/accounts/me/", authorization=f"Bearer {value}"), CONTEXT)
        assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (401, "invalid_key")


TYPES = ["application/json; a*=nonsense'x'%ff", "application/json; a*=\x00'x'y"]


@pytest.mark.parametrize("content_type", TYPES)
def test_a_content_type_that_django_does_not_survive_counts_as_none(alice: Client, content_type: str) -> None:
    key = f"Bearer {alice.auth_key}"
    body = b'{"name": "x"}'
    answer = call(
        "PATCH", "/api/v1/accounts/me/", body, content_length="13", content_type=content_type, authorization=key
    )
    assert answer.status == 415, answer
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("charset", ["utf-16", "hex", "\x00", "idna", "latin-1"])
def test_a_charset_changes_nothing(alice: Client, charset: str) -> None:
    alice.record(AUDIO, name="강의")
    key = f"Bearer {alice.auth_key}"
    answer = call(
        "GET",
        f"/api/v1/recordings/?search={quote('강의')}",
        content_length=None,
        content_type=f"application/json; charset={charset}",
        authorization=key,
    )
    assert (answer.status, len(answer.json["results"])) == (200, 1)


NO_REQUESTS: list[dict[str, Any]] = [
    {},
    {"version": "2.0"},
    {"version": "1.0", "path": "/health/"},
    {"version": "3.0", "rawPath": "/health/", "requestContext": {"http": {"method": "GET"}}},
    {"httpMethod": "GET"},
    {"httpMethod": "GET", "path": None},
    {"httpMethod": None, "path": "/health/"},
    {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
    {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": {"key": "x"}}}]},
    payload_2() | {"requestContext": {}},
    payload_2() | {"headers": None},
    payload_2() | {"body": 5},
    payload_2() | {"rawQueryString": None},
]


@pytest.mark.parametrize("event", NO_REQUESTS, ids=lambda event: repr(event)[:60])
def test_an_event_that_is_no_request_raises(event: dict[str, Any]) -> None:
    """No caller can send one: it is a fault in how the function is wired, and the alarms see it as an error."""
    with pytest.raises((KeyError, TypeError, AttributeError, ValueError)):
        lambda_handler(event, CONTEXT)
