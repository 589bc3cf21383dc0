"""Every error under /api/ is a problem of RFC 9457, whoever raised it, and tells nothing of the inside."""

from typing import Any

import pytest
from pytest_django import Settings

from lib import problems
from recordings import library
from tests.client import HOST, Answer, Client
from tests.project.wsgi import call
from tests.state import failing

TITLES = problems.TITLES


def problem(answer: Answer, status: int, code: str, **members: Any) -> None:
    """The whole problem."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    expected = {"type": "about:blank", "title": TITLES[status], "status": status, "code": code}
    expected["request_id"] = answer.headers["X-Request-Id"]
    assert answer.status == status, answer
    assert answer.json == expected | {"detail": answer.json["detail"]} | members
    assert answer.json["detail"]
    for word in ("Traceback", "Exception", "Error:", ".py", "<html", "botocore"):
        assert word not in answer.content.decode()


def test_invalid_input(alice: Client) -> None:
    error = {"pointer": "/limit", "code": "min_value", "detail": "Ensure this value is greater than or equal to 1."}
    answer = alice.get("recordings/?limit=0")
    problem(answer, 400, "invalid", errors=[error], detail=f"/limit: {error['detail']}")


def test_a_body_that_is_no_json(alice: Client) -> None:
    problem(alice.post("recordings/", b"{"), 400, "parse_error")


def test_not_signed_in(nobody: Client) -> None:
    answer = nobody.get("recordings/")
    problem(answer, 401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_unknown_id(alice: Client) -> None:
    detail = "There is nothing here, or it is not yours."
    problem(alice.get(f"recordings/{'0' * 32}/"), 404, "not_found", detail=detail)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_an_unknown_path(nobody: Client, method: str) -> None:
    for path in ("nonsense/", "recordings/x/y/z/", "/api/", "/api/v2/recordings/", "/api/v1/%00", "/api/v1/é/"):
        problem(nobody.call(method, path), 404, "not_found", detail="There is no such endpoint.")


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_a_missing_slash(nobody: Client, method: str) -> None:
    for path in ("recordings", "accounts/me", "accounts/login", "recordings/x/complete", "schema"):
        detail = f"The path ends in a slash: /api/v1/{path}/"
        problem(nobody.call(method, path), 404, "not_found", detail=detail)


def test_a_method_that_is_not_there(alice: Client, nobody: Client) -> None:
    answer = alice.call("PUT", "recordings/")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, POST, DELETE, HEAD, OPTIONS"
    answer = nobody.call("DELETE", "schema/")  # Django's own 405
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD"
    assert alice.call("BREW", "recordings/").status == 405


@pytest.mark.parametrize("accept", ["text/plain", "image/*", "application/xml", "nonsense"])
def test_an_answer_in_no_form_that_is_accepted(alice: Client, accept: str) -> None:
    problem(alice.get("recordings/", accept=accept), 406, "not_acceptable")


@pytest.mark.parametrize("accept", ["application/problem+json", "image/png, application/problem+json; q=0.5"])
def test_who_accepts_problems_is_served(alice: Client, accept: str) -> None:
    """As clients made from the document ask, where nothing but problems has a body."""
    id = alice.record(b"one")["id"]
    assert alice.delete(f"recordings/{id}/", accept=accept).status == 204
    assert alice.shelf("trash") == [id]
    problem(alice.delete("recordings/x/", accept=accept), 404, "not_found")


@pytest.mark.parametrize("accept", ["audio/*", "text/vtt", "image/png"])
def test_files_come_whatever_is_accepted(alice: Client, accept: str) -> None:
    id = alice.record(b"one")["id"]
    assert alice.get(f"recordings/{id}/download/", accept=accept).status == 302
    assert alice.get(f"recordings/{id}/markers/", accept=accept).status == 200
    problem(alice.get("recordings/x/download/", accept=accept), 404, "not_found")


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "nonsense"]
)
def test_a_body_in_a_form_that_is_not_taken(alice: Client, kind: str) -> None:
    problem(alice.post("recordings/", b"name=x", content_type=kind), 415, "unsupported_media_type")


def test_a_body_that_is_too_long(alice: Client) -> None:
    for size in (2**19, 3 * 2**20):  # over our bound, and over Django's
        problem(alice.post("recordings/", b" " * size), 413, "too_large")


def test_without_a_length(alice: Client) -> None:
    answer = call(
        "PUT",
        "/api/v1/recordings/upload/x/",
        b"x",
        content_length=None,
        content_type="audio/wav",
        authorization=f"Bearer {alice.auth_key}",
    )
    problem(answer, 411, "length_required")


@pytest.mark.parametrize("host", ["evil.test", "", f"{HOST}.evil.test", "a b", f"{HOST}:x"])
def test_a_host_that_is_not_served(alice: Client, host: str) -> None:
    """Django's DisallowedHost."""
    problem(alice.get("recordings/", host=host), 400, "bad_request")


@pytest.mark.parametrize("debug", [False, True])
def test_a_fault_of_ours(alice: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, debug: bool) -> None:
    settings.DEBUG = debug
    monkeypatch.setattr(library, "page", lambda *_, **__: int("secret inside"))
    answer = alice.get("recordings/")
    problem(answer, 500, "internal_error", detail="Something failed here; it is logged. Nothing was lost.")
    assert "secret inside" not in answer.content.decode()
    page = alice.get("recordings/", accept="text/html")
    assert (page.status, page.headers["Content-Type"]) == (500, "application/problem+json")
    assert "secret inside" not in page.content.decode()


@pytest.mark.parametrize("debug", [False, True])
def test_django_pages_with_debug(nobody: Client, settings: Settings, debug: bool) -> None:
    settings.DEBUG = debug
    problem(nobody.get("nonsense/"), 404, "not_found")
    problem(nobody.get("recordings/", host="evil.test"), 400, "bad_request")


def test_aws_refuses_us(alice: Client) -> None:
    """A fault of ours, such as a missing permission, is no 503 that asks to try again."""
    with failing("Query", code="AccessDeniedException", status=400):
        problem(alice.get("recordings/"), 500, "internal_error")
    with failing("PutObject", code="AccessDenied", status=403):
        problem(alice.upload(b"x"), 500, "internal_error")


@pytest.mark.parametrize(
    ("operation", "code", "status"),
    [
        ("Query", "ThrottlingException", 400),
        ("Query", "ProvisionedThroughputExceededException", 400),
        ("Query", "InternalServerError", 500),
        ("GetItem", "RequestLimitExceeded", 400),
    ],
)
def test_aws_is_busy(alice: Client, operation: str, code: str, status: int) -> None:
    with failing(operation, code=code, status=status):
        answer = alice.get("recordings/")
    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("InternalError", 500), ("OperationAborted", 409)])
def test_s3_is_busy(alice: Client, code: str, status: int) -> None:
    with failing("PutObject", code=code, status=status):
        answer = alice.upload(b"x")
    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_pages_of_other_origins_can_read_them(nobody: Client) -> None:
    for path in ("recordings/", "nonsense/"):
        answer = nobody.get(path, origin="https://app.test")
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.test"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Access-Control-Allow-Origin" not in nobody.get(path, origin="https://evil.test").headers
