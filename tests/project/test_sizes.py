"""No answer is too long for Lambda and no body too long for the memory, whatever people write into recordings."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.core.files import uploadhandler
from pytest_django import Settings

from lib.parsers import MAX_JSON_BYTES
from recorder_project.wsgi import lambda_handler
from recordings.models import Recording
from tests.client import Client, sign_up
from tests.project.test_lambda import CONTEXT, key, payload_2

LAMBDA = 6 * 1024 * 1024  # bytes, https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
EMOJI = "\U0001f3a7"


@pytest.fixture
def talkative() -> Client:
    """Somebody who has filled whatever takes text, with what takes most bytes."""
    client = sign_up()
    texts = {"name": EMOJI * 255, "notes": EMOJI * 4000, "tags": [f"{number:02}" + EMOJI * 48 for number in range(20)]}
    for number in range(110):
        client.create(b"%d" % number, **texts)
    return client


def call(client: Client, path: str) -> dict[str, Any]:
    path, _, query = path.partition("?")
    answer = lambda_handler(payload_2(path=f"/api/v1/{path}", query=query, authorization=key(client)), CONTEXT)
    assert answer["statusCode"] == 200, answer
    assert len(json.dumps(answer)) < LAMBDA  # as the runtime of an image writes it
    page: dict[str, Any] = json.loads(answer["body"])
    return page


def pages(client: Client, path: str, members: str, cursor: str) -> Iterator[list[str]]:
    at: Any = ""
    while at is not None:
        page = call(client, f"{path}&cursor={quote(at)}")
        yield [row["id"] for row in page[members]]
        at = page[cursor] if page.get("has_more", True) else None


@pytest.mark.parametrize(
    ("path", "members", "cursor"),
    [
        pytest.param("recordings/?shelf=uploading&limit=200", "results", "next_cursor", id="list"),
        pytest.param(
            f"recordings/?shelf=uploading&limit=200&search={quote(EMOJI)}",
            *("results", "next_cursor"),
            id="search",
            marks=pytest.mark.check,
        ),
        pytest.param("recordings/changes/?limit=100", "changes", "cursor", id="changes", marks=pytest.mark.check),
        pytest.param("accounts/me/export/?", "recordings", "next_cursor", id="export", marks=pytest.mark.check),
    ],
)
def test_pages_are_as_short_as_lambda_needs_them(talkative: Client, path: str, members: str, cursor: str) -> None:
    """And none is left out, or comes twice."""
    found = list(pages(talkative, path, members, cursor))
    assert len(found) > 1
    assert all(found[:-1])
    ids = [id for page in found for id in page]
    assert len(ids) == len(set(ids)) == len(list(Recording.everything()))


def test_forms_have_the_bound_that_json_has(settings: Settings) -> None:
    settings.KAKAO_ADMIN_KEY, settings.KAKAO_APP_ID = "the-admin-key", "777"
    body = b"user_id=" + b"1" * MAX_JSON_BYTES
    kind = "application/x-www-form-urlencoded"
    answer = Client().call("POST", "accounts/kakao/unlink/", body, content_type=kind)
    assert (answer.status, answer.code) == (413, "too_large")


def test_no_stranger_fills_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(uploadhandler, "TemporaryUploadedFile", lambda name, *more: written.append(name))
    part = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
    body = part + b"0" * 3_000_000 + b"\r\n--x--\r\n"
    browser = Client()
    assert browser.get("/login/").status == 200  # which gives the cookie that goes with the form's CSRF token
    kind = "multipart/form-data; boundary=x"
    answer = browser.call("POST", "/login/", body, content_type=kind, origin="https://recorder.test")
    assert answer.status == 403  # the form was read, and had no token
    assert written == []
