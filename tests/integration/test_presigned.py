"""A presigned URL is for one object, one method, these bytes and a few hours: whatever else it is used for is refused.

tests/recordings/test_presigned.py says what is signed; here a store that checks signatures is asked. Of forms,
test_uppy.py has the rest.
"""

import datetime
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from django.conf import settings

from aws import presign, s3
from tests.client import sha256
from tests.state import objects

KEY, OTHER = "recordings/a/b/c", "recordings/x/y/z"
BODY = b"some sound" * 100
SECRET = b"somebody else's"

Change = Callable[[str], str]


def add(**query: str) -> Change:
    return lambda url: f"{url}&{urlencode(query)}"


def put(old: str, new: str) -> Change:
    def replaced(url: str) -> str:
        assert old in url
        return url.replace(old, new)

    return replaced


CHANGES = {
    "another object": put("/a/b/c", "/x/y/z"),
    "the folder": put("/a/b/c", "/a/b/"),
    "a path that climbs": put("/a/b/c", "/a/b/../../x/y/z"),
    "a longer life": put("X-Amz-Expires=21600", "X-Amz-Expires=604800"),
    "another day": put("X-Amz-Date=20", "X-Amz-Date=21"),
    "another region": put(settings.AWS_REGION, "eu-west-1"),
    "fewer signed headers": put("host", "x-host"),
    "another signature": put("X-Amz-Signature=", "X-Amz-Signature=0"),
    "no signature": put("X-Amz-Signature", "X-Amz-Nothing"),
    "an access list": add(acl=""),
    "another version": add(versionId="1"),
    "a part": add(partNumber="1", uploadId="x"),
    "a policy": add(policy=""),
    "tags": add(tagging=""),
}
changes = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@pytest.fixture(autouse=True)
def somebody_elses() -> None:
    s3.save(OTHER, SECRET, "audio/wav")


@pytest.fixture
def seven_hours_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is signed is signed as it was then."""
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=7)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: then)


def to_put(body: bytes = BODY) -> tuple[str, dict[str, str]]:
    return presign.presign_put(KEY, size=len(body), sha256=sha256(body), content_type="audio/wav")


def to_get(**changed: Any) -> str:
    given: Any = {"name": "Talk.wav", "content_type": "audio/wav", "trusted": True, "inline": False} | changed
    return presign.presign_get(KEY, **given)


def send(method: str, url: str, **given: Any) -> int:
    return requests.request(method, url, timeout=20, **given).status_code


def unharmed(*, there: bool = False) -> None:
    assert objects() == {OTHER: SECRET} | ({KEY: BODY} if there else {})


@changes
def test_a_put_url_is_for_nothing_else(change: Change) -> None:
    url, headers = to_put()
    assert 400 <= send("PUT", change(url), data=BODY, headers=headers) < 500
    unharmed()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "PATCH"])
def test_a_put_url_is_for_put(method: str) -> None:
    s3.save(KEY, BODY, "audio/wav")
    url, headers = to_put()
    assert 400 <= send(method, url, headers=headers) < 500
    unharmed(there=True)


@pytest.mark.parametrize("name", ["Content-Type", "x-amz-checksum-sha256", "If-None-Match"])
@pytest.mark.parametrize("value", [None, "text/html"])
def test_a_put_wants_its_headers(name: str, value: str | None) -> None:
    url, headers = to_put()
    assert 400 <= send("PUT", url, data=BODY, headers=headers | {name: value}) < 500
    unharmed()


@pytest.mark.parametrize(
    "name",
    ["x-amz-acl", "x-amz-tagging", "x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-copy-source"],
)
def test_a_put_takes_no_other_header_of_amazons(name: str) -> None:
    """S3: every x-amz- header that is sent has to be signed."""
    url, headers = to_put()
    words = {"acl": "public-read", "copy-source": f"/{settings.RECORDINGS_BUCKET}/{OTHER}"}
    assert send("PUT", url, data=BODY, headers=headers | {f"x-amz-{name}": words.get(name, "x=y")}) == 403
    unharmed()


def test_a_put_url_ends(seven_hours_ago: None) -> None:
    url, headers = to_put()
    assert send("PUT", url, data=BODY, headers=headers) == 403
    unharmed()


@changes
def test_a_get_url_is_for_nothing_else(change: Change) -> None:
    s3.save(KEY, BODY, "audio/wav")
    answer = requests.get(change(to_get()), timeout=20)
    assert 400 <= answer.status_code < 500
    assert SECRET not in answer.content
    unharmed(there=True)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_get_url_is_for_get(method: str) -> None:
    s3.save(KEY, BODY, "audio/wav")
    assert 400 <= send(method, to_get(), data=BODY) < 500
    unharmed(there=True)


def test_a_get_url_decides_the_type_and_the_name() -> None:
    """Whatever type the object has: S3 sends no nosniff, so the type is part of what is signed."""
    s3.save(KEY, BODY, "text/html")
    for inline, kind in ((True, "inline"), (False, "attachment")):
        url = to_get(inline=inline)
        answer = requests.get(url, timeout=20)
        assert (answer.content, answer.headers["Content-Type"]) == (BODY, "audio/wav")
        assert answer.headers["Content-Disposition"] == f'{kind}; filename="Talk.wav"'
        assert send("GET", url.replace("audio%2Fwav", "text%2Fhtml")) == 403
        assert send("GET", url.replace("Talk.wav", "Talk.exe")) == 403


def test_a_get_url_ends(seven_hours_ago: None) -> None:
    s3.save(KEY, BODY, "audio/wav")
    assert send("GET", to_get()) == 403


@pytest.fixture
def upload_id() -> str:
    return s3.start_multipart(KEY, "audio/wav")


@pytest.fixture
def part(upload_id: str) -> tuple[str, dict[str, str]]:
    return presign.presign_part(KEY, upload_id, 2, size=len(BODY), sha256=sha256(BODY))


@changes
def test_a_part_url_is_for_nothing_else(upload_id: str, part: tuple[str, dict[str, str]], change: Change) -> None:
    if change == CHANGES["a part"]:
        change = put("partNumber=2", "partNumber=3")
    assert 400 <= send("PUT", change(part[0]), data=BODY, headers=part[1]) < 500
    assert s3.list_parts(KEY, upload_id) == []
    unharmed()


def test_a_part_url_is_for_one_upload(upload_id: str, part: tuple[str, dict[str, str]]) -> None:
    another = s3.start_multipart(KEY, "audio/wav")
    assert send("PUT", part[0].replace(upload_id, another), data=BODY, headers=part[1]) == 403
    assert s3.list_parts(KEY, another) == []


@pytest.mark.parametrize(
    "body", [BODY + b"!", BODY[:-1], BODY[::-1], b""], ids=["longer", "shorter", "other", "empty"]
)
def test_a_part_url_is_for_its_bytes(upload_id: str, part: tuple[str, dict[str, str]], body: bytes) -> None:
    assert 400 <= send("PUT", part[0], data=body, headers=part[1]) < 500
    assert 400 <= send("PUT", part[0], data=body) < 500  # nor without the checksum
    assert s3.list_parts(KEY, upload_id) == []
    assert send("PUT", part[0], data=BODY, headers=part[1]) == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_a_part_url_neither_lists_nor_ends_the_upload(
    upload_id: str, part: tuple[str, dict[str, str]], method: str
) -> None:
    assert 400 <= send(method, part[0], headers=part[1]) < 500
    assert s3.list_parts(KEY, upload_id) == []


def test_a_part_url_ends(upload_id: str, seven_hours_ago: None) -> None:
    url, headers = presign.presign_part(KEY, upload_id, 1, size=len(BODY), sha256=sha256(BODY))
    assert send("PUT", url, data=BODY, headers=headers) == 403


@pytest.mark.parametrize(
    "changed",
    [
        {"tagging": "<Tagging/>"},
        {"key": OTHER},
        {"key": "recordings/${filename}"},
        {"Content-Type": "text/html"},
    ],
    ids=["tags", "another object", "a name of its own", "another type"],
)
def test_a_form_holds_what_its_policy_names(changed: dict[str, str]) -> None:
    """This S3 lets some fields pass that the policy does not name, such as `acl`; Amazon's lets none (AccessDenied).
    That the policy names each field, and no more, tests/recordings/test_presigned.py says.
    """
    given = presign.presign_post(KEY, size=len(BODY), sha256=sha256(BODY), content_type="audio/wav")
    form = {name: (None, value) for name, value in (given["fields"] | changed).items()}
    status = requests.post(given["url"], files=[*form.items(), ("file", BODY)], timeout=20).status_code
    assert 400 <= status < 500
    unharmed()
