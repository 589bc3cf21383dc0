"""PUT recordings/upload/{name}/: up to 4 MiB through the server."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from django.core.management import call_command

from lib.clock import days_from_now, now
from operations.fsck import check
from tests.client import Client, sha256
from tests.recordings.test_events import tell
from tests.state import before_each, changes, check_books, failing, kept, ledger, meanwhile, objects, row, snapshot

AUDIO = bytes(range(256)) * 4
MOST = 4 * 2**20


def test_keeps_the_bytes(alice: Client) -> None:
    answer = alice.upload(AUDIO, "강의 1/끝.wav", "?recorded_at=2026-03-01T09:30:00%2B09:00")
    stored = kept(alice.user_id, answer.json["id"])
    assert answer.status == 201
    assert answer.json == {
        "id": stored.id,
        "name": "강의 1/끝.wav",
        "status": "ready",
        "size": len(AUDIO),
        "sha256": sha256(AUDIO),
        "content_type": "audio/wav",
        "recorded_at": "2026-03-01T00:30:00.000Z",
        "created_at": stored.created_at,
        "updated_at": stored.updated_at,
        "trashed_at": None,
        "verified_at": stored.verified_at,
        "playable": None,
        "duration": None,
        "codec": None,
        "sample_rate": None,
        "channels": None,
        "bit_rate": None,
        "tags": [],
        "notes": "",
        "favorite": False,
        "version": 2,
    }
    assert answer.json == {name: getattr(stored, name) for name in answer.json}
    assert stored.verified_at is not None
    assert stored.shelf == f"{alice.user_id}#library"
    assert stored.due_at is not None  # somebody has to listen to it: within the hour, if S3's event does not come
    assert now() < stored.due_at < days_from_now(1.1 / 24)
    assert stored.key == f"recordings/{alice.user_id}/{stored.id}/{stored.attempt}"
    assert objects() == {stored.key: AUDIO}
    assert changes(alice.user_id) == {stored.id: (2, False)}
    assert ledger(alice.user_id).used_bytes == len(AUDIO)


def test_known_content_is_answered_and_not_kept_twice(alice: Client) -> None:
    first = alice.upload(AUDIO, "first.wav")
    before = snapshot()
    again = alice.upload(AUDIO, "second.wav")
    assert (again.status, again.json) == (200, first.json)
    assert snapshot() == before


def test_restores_from_the_trash(alice: Client) -> None:
    id = alice.upload(AUDIO).json["id"]
    alice.delete(f"recordings/{id}/")
    answer = alice.upload(AUDIO)
    assert (answer.status, answer.json["trashed_at"]) == (200, None)
    assert kept(alice.user_id, id).shelf == f"{alice.user_id}#library"
    check_books(alice.user_id)


def test_ends_an_upload_that_was_begun_the_other_way(alice: Client) -> None:
    created = alice.create(AUDIO, name="begun.wav", notes="kept").json["recording"]
    answer = alice.upload(AUDIO, "ended.wav")
    assert (answer.status, answer.json["id"], answer.json["name"]) == (200, created["id"], "begun.wav")
    assert answer.json["status"] == "ready"
    assert objects() == {kept(alice.user_id, created["id"]).key: AUDIO}
    check_books(alice.user_id)


def test_takes_four_mebibytes_and_not_a_byte_more(alice: Client) -> None:
    full = b"x" * MOST
    assert alice.upload(full).json["size"] == MOST
    before = snapshot()
    answer = alice.upload(full + b"x")
    assert (answer.status, answer.code) == (413, "too_large")
    assert "POST recordings/" in answer.json["detail"]
    assert snapshot() == before


def test_checks_a_declared_hash(alice: Client) -> None:
    assert alice.upload(AUDIO, query=f"?sha256={sha256(AUDIO)}").status == 201
    before = snapshot()
    answer = alice.upload(AUDIO + b"!", query=f"?sha256={sha256(AUDIO)}")
    assert (answer.status, answer.code) == (409, "checksum_mismatch")
    assert sha256(AUDIO + b"!") in answer.json["detail"]
    assert snapshot() == before


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b//c", "🎧", "100% ?#&.wav", "upload", ".", "x" * 255])
def test_any_name_is_kept_and_none_reaches_a_key(alice: Client, name: str) -> None:
    answer = alice.upload(AUDIO, name)
    stored = kept(alice.user_id, answer.json["id"])
    assert (answer.status, answer.json["name"], stored.name) == (201, name, name)
    assert list(objects()) == [f"recordings/{alice.user_id}/{stored.id}/{stored.attempt}"]


@pytest.mark.parametrize("kind", ["audio/mp4", "audio/webm;codecs=opus", "video/webm", "video/mp4", "application/ogg"])
def test_keeps_the_content_type(alice: Client, kind: str) -> None:
    answer = alice.upload(AUDIO, content_type=kind)
    assert (answer.status, answer.json["content_type"]) == (201, kind)


def test_the_row_comes_before_the_object(alice: Client) -> None:
    """So that nothing lies in the bucket that no row names; the upload can be repeated."""
    with failing("TransactWriteItems") as refused:
        assert alice.upload(AUDIO).status == 503
    assert refused
    assert objects() == {}
    with failing("PutObject") as refused:
        assert alice.upload(AUDIO).status == 503
    assert refused
    assert alice.shelf("uploading") == [*changes(alice.user_id)]
    check_books(alice.user_id)
    assert alice.upload(AUDIO).json["status"] == "ready"
    check_books(alice.user_id)


def test_purged_while_the_bytes_arrive_it_is_kept_all_the_same(alice: Client) -> None:
    def purge() -> None:
        (id,) = alice.shelf("uploading")
        assert alice.delete(f"recordings/{id}/").status == 204

    with meanwhile("PutObject", purge):
        answer = alice.upload(AUDIO)
    stored = kept(alice.user_id, answer.json["id"])
    assert answer.status == 201
    assert stored.status == "ready"
    assert objects() == {stored.key: AUDIO}
    check_books(alice.user_id)


def test_a_closed_account_keeps_nothing(alice: Client) -> None:
    with meanwhile("PutObject", lambda: alice.delete("accounts/me/")):
        answer = alice.upload(AUDIO)
    assert (answer.status, answer.code) == (401, "account_closed")
    assert objects() == {}


def test_two_at_once_are_one(alice: Client) -> None:
    with meanwhile("PutObject", lambda: alice.upload(AUDIO)):
        answer = alice.upload(AUDIO)
    assert answer.status in (200, 201)
    assert objects() == {kept(alice.user_id, answer.json["id"]).key: AUDIO}
    assert ledger(alice.user_id).used_bytes == len(AUDIO)
    check_books(alice.user_id)


class Death(BaseException):
    """The process ends here: nothing in the app gets to see it."""


def repair(key: str) -> None:
    with suppress(SystemExit):
        call_command("verify_storage", "--repair", verbosity=0)


@pytest.mark.parametrize("heal", [tell, repair], ids=["S3's event", "verify_storage"])
@pytest.mark.parametrize("purged", [True, False])
def test_dead_right_after_the_bytes_it_heals(
    alice: Client, monkeypatch: pytest.MonkeyPatch, purged: bool, heal: Callable[[str], object]
) -> None:
    """Where the recording was purged meanwhile, no row names the object that has come after it."""
    monkeypatch.setattr(check, "GRACE", -60.0)  # seconds
    id = alice.create(AUDIO).json["recording"]["id"]

    def die() -> None:
        if objects():
            raise Death

    with (
        meanwhile("PutObject", lambda: purged and alice.delete(f"recordings/{id}/")),
        before_each("GetItem", die),
        before_each("TransactWriteItems", die),
        pytest.raises(Death),
    ):
        alice.upload(AUDIO)
    (key,) = objects()
    assert (row(alice.user_id, id) is None) is purged
    heal(key)
    if purged:
        assert objects() == {}
        assert row(alice.user_id, id) is None
    elif heal is tell:
        assert kept(alice.user_id, id).verified_at
    check_books(alice.user_id)
    assert alice.upload(AUDIO).json["status"] == "ready"
    assert objects() == {kept(alice.user_id, id).key: AUDIO}
