"""POST recordings/{id}/complete/: `ready` only once S3 is shown to hold the declared bytes."""

import pytest
from pytest_django import Settings

from aws import s3
from aws.s3 import Stored
from lib.clock import days_from_now, now
from tests.client import Answer, Client, send, sha256
from tests.state import calls, changes, check_books, failing, kept, ledger, meanwhile, objects, put, snapshot

AUDIO = b"RIFF, more or less" * 10


def complete(client: Client, id: str) -> Answer:
    return client.post(f"recordings/{id}/complete/")


def test_makes_it_ready(alice: Client) -> None:
    created = alice.create(AUDIO).json
    assert send(created["upload"], AUDIO).status_code == 200
    answer = complete(alice, created["recording"]["id"])
    stored = kept(alice.user_id, created["recording"]["id"])
    assert answer.status == 200
    assert answer.json == created["recording"] | {
        "status": "ready",
        "verified_at": stored.verified_at,
        "updated_at": stored.updated_at,
        "version": 2,
    }
    assert (stored.status, stored.version, stored.shelf) == ("ready", 2, f"{alice.user_id}#library")
    assert stored.discarded is None
    assert now() < stored.due_at < days_from_now(0.1)  # until somebody has listened to it
    assert stored.verified_at is not None
    assert objects() == {stored.key: AUDIO}
    assert changes(alice.user_id) == {stored.id: (2, False)}
    assert ledger(alice.user_id).used_bytes == len(AUDIO)


def test_again_changes_nothing(alice: Client) -> None:
    recording = alice.record(AUDIO)
    before = snapshot()
    answer = complete(alice, recording["id"])
    assert (answer.status, answer.json) == (200, recording)
    assert snapshot() == before


def test_before_the_bytes_are_there_is_a_conflict(alice: Client) -> None:
    id = alice.create(AUDIO).json["recording"]["id"]
    before = snapshot()
    answer = complete(alice, id)
    assert (answer.status, answer.code) == (409, "upload_incomplete")
    assert snapshot() == before


@pytest.mark.parametrize("wrong", [AUDIO[:-1], AUDIO + b"!", AUDIO[:-1] + b"!"])
def test_wrong_bytes_are_thrown_away(alice: Client, wrong: bytes) -> None:
    created = alice.create(AUDIO).json
    old = kept(alice.user_id, created["recording"]["id"])
    put(old.key, wrong)
    answer = complete(alice, old.id)
    new = kept(alice.user_id, old.id)
    assert (answer.status, answer.code) == (409, "checksum_mismatch")
    assert (new.status, new.verified_at, new.discarded) == ("uploading", None, [old.attempt])
    assert new.attempt != old.attempt
    assert objects() == {}
    check_books(alice.user_id)
    again = alice.create(AUDIO).json
    assert send(again["upload"], AUDIO).status_code == 200
    assert complete(alice, old.id).json["status"] == "ready"
    assert objects() == {new.key: AUDIO}
    assert kept(alice.user_id, old.id).discarded is None


def test_wrong_bytes_stay_until_the_row_has_let_go_of_them(alice: Client) -> None:
    row = kept(alice.user_id, alice.create(AUDIO).json["recording"]["id"])
    put(row.key, b"something else")
    with failing("TransactWriteItems") as refused:
        assert complete(alice, row.id).status == 503
    assert refused
    assert objects() == {row.key: b"something else"}
    with failing("DeleteObject") as refused:
        assert complete(alice, row.id).code == "checksum_mismatch"
    assert refused
    assert objects() == {row.key: b"something else"}
    assert kept(alice.user_id, row.id).discarded == [row.attempt]
    with failing("DeleteObject"):  # nothing yet under the new key
        assert complete(alice, row.id).code == "upload_incomplete"
    send(alice.create(AUDIO).json["upload"], AUDIO)
    assert complete(alice, row.id).json["status"] == "ready"
    assert objects() == {kept(alice.user_id, row.id).key: AUDIO}


def test_an_attempt_of_another_size_goes_with_its_object(alice: Client) -> None:
    first = alice.create(AUDIO, size=5).json
    put(kept(alice.user_id, first["recording"]["id"]).key, b"12345")
    send(alice.create(AUDIO).json["upload"], AUDIO)
    assert complete(alice, first["recording"]["id"]).json["status"] == "ready"
    assert objects() == {kept(alice.user_id, first["recording"]["id"]).key: AUDIO}


def test_reads_the_object_where_the_store_kept_no_checksum(alice: Client) -> None:
    row = kept(alice.user_id, alice.create(AUDIO).json["recording"]["id"])
    put(row.key, AUDIO)
    with calls() as sent:
        answer = complete(alice, row.id)
    assert answer.json["status"] == "ready"
    assert "GetObject" in sent


def test_trusts_the_checksum_that_the_store_has_kept(alice: Client) -> None:
    row = kept(alice.user_id, alice.create(AUDIO).json["recording"]["id"])
    put(row.key, AUDIO, ChecksumAlgorithm="SHA256")
    with calls() as sent:
        answer = complete(alice, row.id)
    assert answer.json["status"] == "ready"
    assert "GetObject" not in sent


def test_never_takes_a_hash_of_hashes_for_the_hash(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A multipart object's `x-amz-checksum-sha256` ends in `-<parts>` and says nothing of the whole."""
    row = kept(alice.user_id, alice.create(AUDIO).json["recording"]["id"])
    put(row.key, AUDIO)
    head = {"ContentLength": len(AUDIO), "ChecksumSHA256": "AAAA-2"}
    with monkeypatch.context() as patch:
        patch.setattr(s3.client(), "head_object", lambda **_: head)
        assert s3.stat(row.key) == Stored(len(AUDIO), None)
        assert complete(alice, row.id).json["status"] == "ready"


def test_bytes_of_the_attempt_before_prove_nothing(alice: Client) -> None:
    """Between the look at S3 and the write, another size was declared: a new attempt, still without bytes."""
    created = alice.create(AUDIO).json
    send(created["upload"], AUDIO)
    with meanwhile("TransactWriteItems", lambda: alice.create(AUDIO, size=5)):
        answer = complete(alice, created["recording"]["id"])
    assert (answer.status, answer.code) == (409, "upload_incomplete")
    assert kept(alice.user_id, created["recording"]["id"]).status == "uploading"
    check_books(alice.user_id)


def test_two_at_once_are_one(alice: Client) -> None:
    created = alice.create(AUDIO).json
    send(created["upload"], AUDIO)
    with meanwhile("TransactWriteItems", lambda: complete(alice, created["recording"]["id"])):
        answer = complete(alice, created["recording"]["id"])
    assert (answer.status, answer.json["status"], answer.json["version"]) == (200, "ready", 2)
    check_books(alice.user_id)


def test_an_upload_purged_meanwhile_stays_gone(alice: Client) -> None:
    created = alice.create(AUDIO).json
    id = created["recording"]["id"]
    send(created["upload"], AUDIO)
    with meanwhile("TransactWriteItems", lambda: alice.delete(f"recordings/{id}/")):
        assert complete(alice, id).status == 404
    assert objects() == {}
    check_books(alice.user_id)


@pytest.mark.parametrize("operation", ["GetItem", "HeadObject", "TransactWriteItems"])
def test_loses_nothing_while_aws_fails(alice: Client, operation: str) -> None:
    created = alice.create(AUDIO).json
    send(created["upload"], AUDIO)
    before = snapshot()
    with failing(operation) as refused:
        answer = complete(alice, created["recording"]["id"])
    assert refused
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "unavailable", "1")
    assert snapshot() == before
    assert complete(alice, created["recording"]["id"]).json["sha256"] == sha256(AUDIO)


def test_a_quota_met_since_then_does_not_stop_it(alice: Client, settings: Settings) -> None:
    """The bytes were reserved by create."""
    created = alice.create(AUDIO).json
    send(created["upload"], AUDIO)
    settings.GUEST_QUOTA_BYTES = 1
    assert complete(alice, created["recording"]["id"]).status == 200
