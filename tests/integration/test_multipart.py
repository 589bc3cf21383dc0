"""Uploads in parts on a strict S3: what is not right is refused with a code that says so; the next right try works."""

import base64
from typing import Any

import boto3
import pytest
import requests
from django.conf import settings

from operations.lambda_handler import handler
from recordings import uploads
from recordings.models import Recording
from tests.client import Answer, Client, declare, sha256
from tests.state import check_books, kept, snapshot

PART = 5 * 2**20  # S3's least; this S3 never answers when it refuses more than 6 MiB
CONTENT = b"".join(bytes([number % 251]) * 4096 for number in range(4352))  # 17 MiB
PIECES = [CONTENT[start : start + PART] for start in range(0, len(CONTENT), PART)]
LAST = len(PIECES)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART", PART)


def begin(client: Client, **fields: Any) -> Recording:
    answer = client.create(CONTENT, **fields)
    assert answer.status in (200, 201), answer
    assert answer.json["upload"]["kind"] == "multipart"
    assert (answer.json["upload"]["part_size"], answer.json["upload"]["part_count"]) == (PART, LAST)
    row: Recording = kept(client.user_id, answer.json["recording"]["id"])
    return row


def send(client: Client, row: Recording, number: int, piece: bytes, declared: bytes | None = None) -> int:
    """S3's answer to a part, which was declared as these bytes or as others."""
    wanted = [{"number": number, "sha256": sha256(piece if declared is None else declared)}]
    answer = client.post(f"recordings/{row.id}/parts/", {"parts": wanted})
    assert answer.status == 200, answer
    (part,) = answer.json["parts"]
    return requests.put(part["url"], data=piece, headers=part["headers"], timeout=30).status_code


def send_all(client: Client, row: Recording, *, but: int = 0) -> None:
    for number, piece in enumerate(PIECES, 1):
        if number != but:
            assert send(client, row, number, piece) == 200


def complete(client: Client, row: Recording) -> Answer:
    return client.post(f"recordings/{row.id}/complete/")


def tell(row: Recording) -> dict[str, Any]:
    key = {"object": {"key": row.key}}
    return handler({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": key}]})


def past_the_api(row: Recording, number: int, piece: bytes) -> None:
    """A part that comes in by other means than the API's URLs."""
    s3 = boto3.client("s3", endpoint_url=settings.S3_ENDPOINT_URL, region_name=settings.AWS_REGION)
    checksum = base64.b64encode(bytes.fromhex(sha256(piece))).decode()
    where: Any = {"Bucket": settings.RECORDINGS_BUCKET, "Key": row.key, "UploadId": row.upload_id}
    s3.upload_part(**where, PartNumber=number, Body=piece, ChecksumSHA256=checksum)


def arrives(client: Client) -> None:
    """The next right try: what is missing is sent, and every byte is there."""
    again = client.create(CONTENT)
    row = kept(client.user_id, again.json["recording"]["id"])
    for number, piece in enumerate(PIECES, 1):
        if number not in again.json["upload"]["received"]:
            assert send(client, row, number, piece) == 200
    done = complete(client, row)
    assert (done.status, done.json["status"]) == (200, "ready"), done
    assert tell(row) == {"ready": 1}
    assert client.get(f"recordings/{row.id}/").json["verified_at"]
    url = client.get(f"recordings/{row.id}/download/?redirect=false").json["url"]
    assert requests.get(url, timeout=30).content == CONTENT
    stored = snapshot()
    assert (list(stored["objects"]), stored["uploads"]) == ([row.key], [])
    check_books(client.user_id)


def test_arrives_bit_for_bit(alice: Client) -> None:
    begin(alice)
    arrives(alice)


def test_create_again_says_what_has_arrived(alice: Client) -> None:
    row = begin(alice)
    for number in (1, 3):
        assert send(alice, row, number, PIECES[number - 1]) == 200
    assert alice.create(CONTENT).json["upload"]["received"] == [1, 3]
    arrives(alice)


def test_a_wrong_part_is_refused_by_s3(alice: Client) -> None:
    row = begin(alice)
    send_all(alice, row, but=LAST)
    assert send(alice, row, LAST, PIECES[-1][:-1] + b"!", declared=PIECES[-1]) == 400
    refused = complete(alice, row)
    assert (refused.status, refused.code, refused.pointers) == (409, "upload_incomplete", [f"/parts/{LAST}"])
    assert refused.json["errors"][0]["code"] == "missing"
    arrives(alice)


def test_a_swapped_part_is_refused_by_s3(alice: Client) -> None:
    row = begin(alice)
    send_all(alice, row, but=2)
    assert send(alice, row, 2, PIECES[0], declared=PIECES[1]) == 400
    refused = complete(alice, row)
    assert (refused.code, refused.pointers) == ("upload_incomplete", ["/parts/2"])
    arrives(alice)


def test_parts_declared_the_wrong_way_round_are_found_by_reading(alice: Client) -> None:
    """S3 took what the client declared. It is whole, but it is not the recording."""
    row = begin(alice)
    send_all(alice, row)
    assert [send(alice, row, 1, PIECES[1]), send(alice, row, 2, PIECES[0])] == [200, 200]
    assert complete(alice, row).json["verified_at"] is None
    assert tell(row) == {"mismatch": 1}
    refused = complete(alice, row)
    assert (refused.status, refused.code) == (409, "checksum_mismatch")
    assert alice.get(f"recordings/{row.id}/").json["status"] == "mismatch"
    assert replaced(alice, row)


def replaced(client: Client, row: Recording) -> bool:
    """The right bytes come as a new attempt, and take the old one's place once they are proven."""
    again = client.create(CONTENT)
    assert again.json["upload"]["received"] == []
    new = kept(client.user_id, row.id)
    send_all(client, new)
    assert complete(client, new).json["status"] == "mismatch"
    assert tell(new) == {"ready": 1}
    url = client.get(f"recordings/{row.id}/download/?redirect=false").json["url"]
    assert requests.get(url, timeout=30).content == CONTENT
    assert list(snapshot()["objects"]) == [new.key]
    check_books(client.user_id)
    return bool(new.key != row.key)


def test_a_missing_part_is_named(alice: Client) -> None:
    row = begin(alice)
    send_all(alice, row, but=2)
    refused = complete(alice, row)
    assert (refused.status, refused.code, refused.pointers) == (409, "upload_incomplete", ["/parts/2"])
    arrives(alice)


def test_a_part_too_many_gets_no_url(alice: Client) -> None:
    row = begin(alice)
    answer = alice.post(f"recordings/{row.id}/parts/", {"parts": [{"number": LAST + 1, "sha256": "0" * 64}]})
    assert (answer.status, answer.code, answer.pointers) == (400, "invalid", ["/parts/0/number"])
    arrives(alice)


@pytest.mark.parametrize(
    ("number", "piece"),
    [(LAST + 1, b"and more"), (LAST, PIECES[-1][:-1]), (LAST, PIECES[-1] + b"!")],
    ids=["a part too many", "a truncated file", "a byte too many"],
)
def test_parts_that_do_not_add_up_are_named(alice: Client, number: int, piece: bytes) -> None:
    row = begin(alice)
    send_all(alice, row)
    past_the_api(row, number, piece)
    refused = complete(alice, row)
    assert (refused.status, refused.code, refused.pointers) == (409, "part_mismatch", [f"/parts/{number}"])
    assert refused.json["errors"][0]["code"] == "wrong_size"
    assert snapshot()["uploads"] != [row.upload_id]
    arrives(alice)


def test_a_truncated_part_is_refused_by_s3(alice: Client) -> None:
    row = begin(alice)
    send_all(alice, row, but=LAST)
    assert send(alice, row, LAST, PIECES[-1][:-1], declared=PIECES[-1]) == 403  # Content-Length is signed
    assert complete(alice, row).code == "upload_incomplete"
    arrives(alice)


def test_right_bytes_under_a_wrong_hash_are_no_ready_recording(alice: Client) -> None:
    """Every part is what its hash says, and the whole is not what its own says."""
    row = begin(alice, sha256=sha256(CONTENT[:-1] + b"!"))
    send_all(alice, row)
    assert complete(alice, row).json["verified_at"] is None
    assert tell(row) == {"mismatch": 1}
    assert complete(alice, row).code == "checksum_mismatch"
    arrives_besides(alice)


def arrives_besides(client: Client) -> None:
    """Under its right hash it is another recording."""
    row = begin(client)
    send_all(client, row)
    assert complete(client, row).status == 200
    assert tell(row) == {"ready": 1}
    assert client.get(f"recordings/{row.id}/").json["verified_at"]
    check_books(client.user_id)


def test_a_small_file_under_a_wrong_hash_is_refused_by_s3(alice: Client) -> None:
    created = alice.post("recordings/", declare(b"small", sha256=sha256(b"other"))).json
    upload = created["upload"]
    assert requests.put(upload["url"], data=b"small", headers=upload["headers"], timeout=60).status_code == 400
    assert alice.post(f"recordings/{created['recording']['id']}/complete/").code == "upload_incomplete"
    assert alice.record(b"small")["verified_at"]


def test_two_devices_that_send_the_same_file_at_once_make_one_recording(alice: Client) -> None:
    other = Client(alice.auth_key, alice.user_id, alice.session_id)
    first, second = begin(alice), begin(other)
    assert (first.id, first.key, first.upload_id) == (second.id, second.key, second.upload_id)
    for number, piece in enumerate(PIECES, 1):
        assert send(alice if number % 2 else other, first, number, piece) == 200
    assert [complete(each, first).status for each in (alice, other)] == [200, 200]
    assert tell(first) == {"ready": 1}
    assert kept(alice.user_id, first.id).verified_at
    check_books(alice.user_id)
