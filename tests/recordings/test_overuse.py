"""Beginning again and again is no way around the quota: what was sent for an attempt goes with the attempt."""

from typing import Any

import pytest
import requests
from pytest_django import Settings

from accounts.models import Account
from aws import s3
from recordings.models import Ledger
from tests.client import Client, send, sha256
from tests.recordings.test_events import tell
from tests.state import check_books, failing, kept, ledger, objects, put, row, snapshot, undoable
from tests.web.test_uppy import Uppy, submit

LARGE = 20 * 2**20
HASH = sha256(b"the one that is declared")


def begin(client: Client, size: int) -> str:
    answer = client.post("recordings/", {"name": "a.wav", "size": size, "sha256": HASH, "content_type": "audio/wav"})
    assert answer.status in (200, 201), answer
    id: str = answer.json["recording"]["id"]
    return id


def send_a_part(client: Client, id: str) -> None:
    answer = client.post(f"recordings/{id}/parts/", {"parts": [{"number": 1, "sha256": sha256(b"some bytes")}]})
    part = answer.json["parts"][0]
    assert requests.put(part["url"], data=b"some bytes", headers=part["headers"], timeout=20).status_code == 200


def test_parts_of_another_size_go_when_the_size_changes(alice: Client) -> None:
    id = begin(alice, LARGE)
    for more in range(1, 5):
        send_a_part(alice, id)
        begin(alice, LARGE + more)
        assert snapshot()["uploads"] == [kept(alice.user_id, id).upload_id]
        stored = kept(alice.user_id, id)
        assert s3.list_parts(stored.key, stored.upload_id or "") == []
        assert len(stored.discarded or []) == 1  # a row that remembered them all would outgrow DynamoDB's 400 KB
    assert ledger(alice.user_id).used_bytes == LARGE + 4
    check_books(alice.user_id)


def test_an_object_of_another_size_goes_when_the_size_changes(alice: Client) -> None:
    id = begin(alice, 5)
    for size in (6, 7, 5, 6):
        old = kept(alice.user_id, id)
        put(old.key, b"x" * old.size)
        begin(alice, size)
        assert objects() == {}
        put(old.key, b"late!")  # its URL is still good
        assert tell(old.key) in ({"orphan": 1}, {"upload_incomplete": 1})
        assert old.key not in objects()
    check_books(alice.user_id)


def test_what_could_not_be_deleted_goes_at_the_next_step(alice: Client) -> None:
    id = begin(alice, LARGE)
    send_a_part(alice, id)
    with failing("AbortMultipartUpload", "DeleteObject") as refused:
        begin(alice, LARGE + 1)
    assert refused
    assert len(snapshot()["uploads"]) == 2
    begin(alice, LARGE + 2)
    assert snapshot()["uploads"] == [kept(alice.user_id, id).upload_id]
    alice.delete(f"recordings/{id}/")
    assert (row(alice.user_id, id), snapshot()["uploads"], ledger(alice.user_id).used_bytes) == (None, [], 0)


@pytest.mark.usefixtures("earlier_grants")
def test_apps_and_pages_in_turns_hold_one_upload(alice: Client) -> None:
    """A mismatch that is sent again, now as an app sends parts, now as Uppy does."""
    uppy = grown_up(alice)
    content = b"x" * 50
    id = alice.create(content).json["recording"]["id"]
    kept_row = kept(alice.user_id, id)
    put(kept_row.key, b"y" * 50)
    alice.patch(f"recordings/{id}/", {"name": "not yet"})
    assert tell(kept_row.key) == {"checksum_mismatch": 1}
    for _ in range(3):
        uppy.begin(content)
        assert len(snapshot()["uploads"]) == 1
        alice.create(content)
        assert snapshot()["uploads"] == []


def grown_up(client: Client) -> Uppy:
    """Guests may not send parts of any length."""
    Ledger(client.user_id, 0).update([Ledger.is_guest.set(False)])
    Account(client.user_id, "account").update([Account.is_guest.set(False)])
    return Uppy(client)


@pytest.mark.parametrize("way", ["put", "small", "form"])
def test_abandoning_and_sending_again_uses_no_more_than_once(alice: Client, settings: Settings, way: str) -> None:
    settings.GUEST_QUOTA_BYTES = 100
    content, uppy = b"x" * 60, Uppy(alice)
    for _ in range(4):
        id = send_one(way, alice, uppy, content)
        assert alice.create(b"y" * 60).code == "quota_exceeded"
        assert uppy.params(b"y" * 60).code == "quota_exceeded"
        assert alice.upload(b"y" * 60).code == "quota_exceeded"
        assert ledger(alice.user_id).used_bytes == sum(map(len, objects().values())) == 60
        alice.delete(f"recordings/{id}/?permanent=true")
        assert (ledger(alice.user_id).used_bytes, objects()) == (0, {})
    check_books(alice.user_id)


def send_one(way: str, client: Client, uppy: Uppy, content: bytes) -> str:
    if way == "small":
        return str(client.upload(content).json["id"])
    if way == "put":
        return str(client.record(content)["id"])
    given: Any = uppy.params(content).json
    assert int(submit(given, content).status_code) == 201
    return str(given["fields"]["key"].split("/")[2])


def test_an_url_that_outlives_its_recording_keeps_nothing(alice: Client) -> None:
    """For six hours S3 takes the same bytes again; their event finds no row that names them."""
    created = alice.create(b"once").json
    key = kept(alice.user_id, created["recording"]["id"]).key
    send(created["upload"], b"once")
    alice.delete(f"recordings/{created['recording']['id']}/?permanent=true")
    assert send(created["upload"], b"once").status_code == 200
    assert tell(key) == {"orphan": 1}
    assert (objects(), alice.used_bytes()) == ({}, 0)
    assert undoable(key) == [b"once", b"once"]  # for 35 days, which docs/security.md says
