"""What a strict S3 takes and refuses of an upload by Uppy, and what comes of it.

This S3 holds a POST against the conditions of its policy, but does not check the policy's signature.
"""

from typing import Any

import pytest
import requests

from aws import presign, s3
from operations.events import object_created
from recordings.models import Ledger
from tests.client import Client, sha256
from tests.state import check_books, kept
from tests.web.test_uppy import LARGE, LARGEST, PART, Uppy, id_in, send_parts

CONTENT = b"RIFF, more or less" * 100


@pytest.fixture
def uppy(alice: Client) -> Uppy:
    """Of an account that is no guest's."""
    Ledger(alice.user_id, 0).update([Ledger.is_guest.set(False)])
    return Uppy(alice)


def submit(given: dict[str, Any], content: bytes, **changed: str | None) -> requests.Response:
    """The form that Uppy sends, with some fields changed or left out. The file comes last."""
    fields = given["fields"] | {name.replace("_", "-"): value for name, value in changed.items()}
    form = {name: (None, value) for name, value in fields.items() if value is not None}
    return requests.post(given["url"], files=[*form.items(), ("file", content)], timeout=20)


def test_one_form(alice: Client, uppy: Uppy) -> None:
    given = uppy.params(CONTENT).json
    sent = submit(given, CONTENT)
    assert sent.status_code == 201, sent.text
    assert sent.headers["ETag"]
    assert sent.headers["Location"]
    key = given["fields"]["key"]
    assert object_created(key) == "ready"  # the page said nothing more
    assert alice.get(f"recordings/{id_in(given['fields'])}/").json["verified_at"]
    stored = requests.get(alice.get(f"recordings/{id_in(given['fields'])}/download/").headers["Location"], timeout=20)
    assert (stored.content, stored.headers["Content-Type"]) == (CONTENT, "application/octet-stream")  # it is no sound
    assert s3.content_type(key) == "audio/wav"
    assert s3.stat(key) == s3.Stored(len(CONTENT), sha256(CONTENT))


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        (CONTENT + b"!", {}),
        (CONTENT[:-1], {}),
        (b"", {}),
        (CONTENT[::-1], {}),
        (CONTENT, {"key": "recordings/another"}),
        (CONTENT, {"Content_Type": "text/html"}),
        (CONTENT, {"Content_Type": None}),
        (CONTENT[::-1], {"x_amz_checksum_sha256": None}),
        (CONTENT[::-1], {"x_amz_checksum_algorithm": None}),
        (CONTENT[::-1], {"x_amz_checksum_algorithm": "CRC32"}),
        (CONTENT, {"x_amz_signature": None}),
    ],
)
def test_another_form_is_refused(uppy: Uppy, content: bytes, changed: dict[str, str | None]) -> None:
    given = uppy.params(CONTENT).json
    refused = submit(given, content, **changed)
    assert 400 <= refused.status_code < 500, refused.text
    assert s3.stat(given["fields"]["key"]) is None
    assert s3.stat("recordings/another") is None
    assert submit(given, CONTENT).status_code == 201


def test_an_expired_form_is_refused(uppy: Uppy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presign, "UPLOAD_SECONDS", -1)
    given = uppy.params(CONTENT).json
    refused = submit(given, CONTENT)
    assert refused.status_code == 403
    assert "expired" in refused.text
    assert s3.stat(given["fields"]["key"]) is None


def test_parts(alice: Client, uppy: Uppy) -> None:
    upload = uppy.begin(LARGEST).json
    parts = uppy.send(upload, LARGEST)
    assert [part["PartNumber"] for part in uppy.received(upload).json] == [1, 2, 3, 4, 5]
    assert uppy.complete(upload, parts).status == 200
    assert alice.get(f"recordings/{id_in(upload)}/").json["verified_at"] is None
    assert object_created(upload["key"]) == "ready"
    assert alice.get(f"recordings/{id_in(upload)}/").json["verified_at"]
    check_books(alice.user_id)


def test_a_part_url_is_for_that_part_alone(uppy: Uppy) -> None:
    upload = uppy.begin(LARGE).json
    url = uppy.call("GET", upload, "/1").json["url"]
    assert requests.put(url.replace("partNumber=1", "partNumber=2"), data=b"x", timeout=20).status_code == 403
    assert requests.put(url.replace(upload["key"], upload["key"][:-1] + "_"), data=b"x", timeout=20).status_code == 403
    assert requests.get(url, timeout=20).status_code == 403
    assert uppy.received(upload).json == []


def test_wrong_bytes_in_parts(alice: Client, uppy: Uppy) -> None:
    """Parts can't be checked one by one: the proof finds it, and the next right try takes the wrong bytes' place."""
    upload = uppy.begin(LARGEST).json
    swapped = LARGEST[PART : 2 * PART] + b"x" * PART + LARGEST[2 * PART :]
    assert uppy.complete(upload, uppy.send(upload, swapped)).status == 200
    assert object_created(upload["key"]) == "mismatch"
    again = uppy.begin(LARGEST).json
    assert uppy.complete(again, uppy.send(again, LARGEST)).status == 200
    assert object_created(again["key"]) == "ready"
    assert s3.stat(upload["key"]) is None
    check_books(alice.user_id)


@pytest.mark.usefixtures("earlier_grants")
def test_the_app_takes_over(alice: Client, uppy: Uppy) -> None:
    upload = uppy.begin(LARGEST).json
    uppy.put(upload, 1, LARGEST[:PART])
    created = alice.create(LARGEST).json
    assert created["upload"]["received"] == []
    assert uppy.received(upload).status == 404
    send_parts(alice, created, LARGEST)
    assert alice.post(f"recordings/{id_in(upload)}/complete/").json["status"] == "ready"
    assert object_created(kept(alice.user_id, id_in(upload)).key) == "ready"
    check_books(alice.user_id)
