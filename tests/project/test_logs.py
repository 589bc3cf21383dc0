"""Every request and event leaves one line that helps whoever looks, and nothing that is nobody's business."""

import io
import json
import logging
import re
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from pytest_django import Settings

from lib import logs
from operations.lambda_handler import handler
from tests.client import Client, send, sign_up
from tests.state import calls, failing, kept, make_due

NAME = "Secret interview"


class Log:
    """What went to the log, as stderr has it."""

    def __init__(self, stream: io.StringIO) -> None:
        self.stream = stream

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]


@pytest.fixture
def log() -> Iterator[Log]:
    stream = io.StringIO()
    (handler,) = [each for each in logging.getLogger().handlers if isinstance(each.formatter, logs.JsonLine)]
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(stream)
    yield Log(stream)
    handler.setStream(before)


def test_a_request_leaves_one_line(alice: Client, log: Log) -> None:
    with calls() as sent:
        answer = alice.get("recordings/?limit=3")
    (line,) = log.lines
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert line["duration_ms"] > 0
    assert line["cold_start"] in (True, False)
    assert line["aws"] == {name: sent.count(name) for name in sent}
    assert {name: line[name] for name in ("level", "route", "method", "status", "account", "Requests")} == {
        "level": "INFO",
        "route": "/api/v1/recordings/",
        "method": "GET",
        "status": 200,
        "account": alice.user_id,
        "Requests": 1,
    }


def test_only_the_first_line_of_a_process_is_a_cold_start(
    alice: Client, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_cold", [True])
    alice.get("/health/")
    alice.get("/health/")
    assert [line["cold_start"] for line in log.lines] == [True, False]


def test_a_problem_names_the_request_and_the_line_its_code(nobody: Client, log: Log) -> None:
    for path, code in (("recordings/", "not_authenticated"), ("nothing/", "not_found"), ("recordings", "not_found")):
        answer = nobody.get(path)
        assert answer.code == code
        assert answer.json["request_id"] == answer.headers["X-Request-Id"] == log.last["request_id"]
        assert (log.last["code"], log.last["Problems"]) == (code, 1)
    assert log.last["route"] == "none"


def test_a_fault_is_told_by_where_it_was_and_not_by_what_it_said(
    alice: Client, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError(f"{NAME} of {alice.auth_key}")

    monkeypatch.setattr("recordings.library.settle", fail)
    id = alice.upload(b"x" * 100).json["id"]
    answer = alice.patch(f"recordings/{id}/", {"name": "Other"})
    assert (answer.status, answer.code) == (500, "internal_error")
    told = [line for line in log.lines if line["request_id"] == answer.headers["X-Request-Id"]]
    assert [line["level"] for line in told] == ["ERROR", "ERROR"]
    assert told[0]["message"] == "Internal Server Error: /api/v1/recordings/{id}/"
    assert told[0]["exceptions"][0]["type"] == "builtins.ValueError"
    assert told[0]["exceptions"][0]["at"][-1].startswith("tests/project/test_logs.py:")
    assert any("recordings/library.py:" in place for place in told[0]["exceptions"][0]["at"])
    assert told[1]["code"] == "internal_error"


def test_what_aws_refused_is_told_with_its_code(alice: Client, log: Log) -> None:
    with failing("GetItem", code="AccessDeniedException", status=400):
        assert alice.get("recordings/").status == 500
    (fault,) = [line for line in log.lines if "exceptions" in line]
    assert ("AccessDeniedException", "GetItem") in [
        (each.get("code"), each.get("operation")) for each in fault["exceptions"]
    ]


def test_no_line_holds_what_is_nobodys_business(log: Log) -> None:
    """Names of recordings, keys, tokens, queries, addresses of callers, in any of the ways a request can go."""
    alice = sign_up(NAME)
    alice.patch("accounts/me/", {"name": NAME})
    id = alice.upload(b"x" * 100, name=NAME).json["id"]
    alice.upload(b"", name=NAME)
    alice.get(f"recordings/upload/{NAME}/")
    alice.get(f"nothing/{NAME}")
    alice.get(f"recordings/?search={NAME}&shelf={NAME}")
    alice.patch(f"recordings/{id}/", {"name": NAME, "tags": [NAME], "notes": NAME, "x": NAME})
    alice.get(f"recordings/{id}/download/")
    alice.get(f"recordings/{NAME}/")
    alice.post("accounts/login/", {"provider": NAME, "id_token": NAME})
    alice.get("/login/google/callback/?code=" + NAME)
    alice.get("recordings/", host="evil.test", x_forwarded_for="203.0.113.7")
    feed = alice.post("accounts/feeds/", {"tag": NAME}).json
    for rest in (".xml", f"/{id}/audio.m4a", f"/{id}/chapters.json"):
        alice.get(feed["url"].removeprefix("https://recorder.test").removesuffix(".xml") + rest)
    grant = alice.post("recordings/uppy/").json
    alice.get(f"/uppy/{NAME}/s3/params")
    with failing("GetItem", "TransactWriteItems", "PutObject", code="AccessDenied", status=403):
        alice.upload(b"y" * 100, name=NAME)
    secret = alice.auth_key.partition(".")[2]
    assert log.lines
    for text in (NAME, NAME.replace(" ", "%20"), "interview", secret, "203.0.113.7", "X-Amz-Signature"):
        assert text not in log.text, text
    assert feed["url"].rpartition("/")[2].removesuffix(".xml") not in log.text
    for value in json.dumps(grant).split('"'):
        assert "/uppy/" not in value or value.partition("/uppy/")[2].partition("/")[0] not in log.text


def test_no_line_holds_a_share(alice: Client, nobody: Client, log: Log) -> None:
    id = alice.upload(b"x" * 100).json["id"]
    link = alice.post(f"recordings/{id}/shares/", {"password": NAME}).json["url"].removeprefix("https://recorder.test")
    for rest in ("", "/audio", "/download", "/", "/nothing", "?x=1"):
        nobody.get(link + rest)
    assert log.last["route"] == "/s/{token}"
    assert [nobody.call(method, link).status for method in ("POST", "PUT")] == [403, 403]
    assert nobody.call("DELETE", f"{link}/audio").status == 403
    with failing("GetItem", code="AccessDenied", status=403):
        assert nobody.get(link).status == 500
    logging.getLogger("django.server").info('"%s" %s', f"GET {link}/audio HTTP/1.1", 302)
    assert '"GET /s/…/audio HTTP/1.1" 302' in log.last["message"]
    for secret in (link.rpartition("/")[2], NAME, "X-Amz-Signature"):
        assert secret not in log.text


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("api/v1/^recordings/upload/(?P<name>[\\s\\S]+)/$", "/api/v1/recordings/upload/{name}/"),
        ("api/v1/^recordings/(?P<id>[^/]+)/$", "/api/v1/recordings/{id}/"),
        ("login/<slug:name>/callback/", "/login/{name}/callback/"),
        ("a/<b>/", "/a/{b}/"),
        ("", "/"),
        ("^(?:api|uppy)/", "none"),
    ],
)
def test_routes_are_readable(pattern: str, shown: str) -> None:
    assert logs.readable(pattern) == shown


def test_uploads_and_proofs_are_counted(alice: Client, log: Log) -> None:
    alice.upload(b"x" * 100)
    assert (log.last["UploadsCompleted"], log.last["UploadedBytes"]) == (1, 100)
    assert log.last["VerificationLag"] == [0]
    alice.upload(b"x" * 100)
    assert "UploadsCompleted" not in log.last


def test_an_event_and_a_sweep_leave_a_line_each(alice: Client, log: Log) -> None:
    created = alice.create(b"x" * 100).json
    assert send(created["upload"], b"x" * 100).status_code == 200
    row = kept(alice.user_id, created["recording"]["id"])
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": {"key": row.key}}}
    handler({"Records": [record]}, SimpleNamespace(aws_request_id="lambda-1"))
    assert {name: log.last[name] for name in ("request_id", "route", "outcomes", "UploadedBytes")} == {
        "request_id": "lambda-1",
        "route": "s3",
        "outcomes": {"ready": 1},
        "UploadedBytes": 100,
    }
    assert log.last["aws"]["TransactWriteItems"] >= 1

    id = alice.create(b"y" * 100).json["recording"]["id"]
    make_due(alice.user_id, id)
    handler({"source": "aws.events"})
    told = log.last
    assert (told["route"], told["outcomes"], told["Sweeps"], told["SweepFailed"]) == ("sweep", {"purged": 1}, 1, 0)
    assert told["SweepPurged"] == 1


def test_an_event_that_nobody_knows_and_one_that_fails_are_errors(alice: Client, log: Log) -> None:
    with pytest.raises(ValueError, match="neither"):
        handler({"hello": NAME})
    assert (log.last["level"], log.last["route"], log.last["outcomes"]) == ("ERROR", "unknown", {})
    assert NAME not in log.text


def test_cloudwatch_makes_metrics_of_a_line(alice: Client, log: Log, settings: Settings) -> None:
    settings.METRICS_NAMESPACE = "recorder"
    alice.upload(b"x" * 100)
    alice.get("recordings/nothing/")
    told, problem = log.lines
    (made,) = told["_aws"]["CloudWatchMetrics"]
    assert (made["Namespace"], made["Dimensions"]) == ("recorder", [[]])
    assert {each["Name"]: each["Unit"] for each in made["Metrics"]} == {
        "Requests": "Count",
        "UploadsCompleted": "Count",
        "UploadedBytes": "Bytes",
        "VerificationLag": "Seconds",
    }
    for metric in made["Metrics"]:
        assert isinstance(told[metric["Name"]], int | list)
    assert abs(told["_aws"]["Timestamp"] / 1000 - time.time()) < 60
    by_code = problem["_aws"]["CloudWatchMetrics"][1]
    assert (by_code["Dimensions"], by_code["Metrics"]) == ([["code"]], [{"Name": "Problems", "Unit": "Count"}])
    assert problem["code"] == "not_found"


def test_without_a_namespace_there_is_nothing_for_cloudwatch(alice: Client, log: Log) -> None:
    assert settings.METRICS_NAMESPACE == ""
    alice.get("recordings/")
    assert "_aws" not in log.last
