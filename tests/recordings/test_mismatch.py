"""A mismatch that is sent again: with another size too, which counts exactly, and for as long as any upload."""

from typing import Any

import pytest
from django.conf import settings as configured
from pytest_django import Settings

from aws import s3
from lib.clock import days_from_now
from operations.fsck import check
from recordings.models import Recording
from tests.client import Answer, Client, send, sha256
from tests.recordings.scenes import LONG, PART, make_parts_small
from tests.recordings.test_events import downloaded, send_parts, tell
from tests.recordings.test_overuse import grown_up
from tests.recordings.test_sweep import sweep
from tests.recordings.test_verifying import verify
from tests.state import LONG_AGO, check_books, failing, kept, ledger, make_due, meanwhile, objects, put, row, snapshot

WRONG = b"what nobody has declared, in three parts"
SHORT = b"what was declared"  # goes in one PUT
LONGER = b"what was declared, and some more of it, in four parts"
BOTH = pytest.mark.parametrize("right", [SHORT, LONGER], ids=["shorter", "longer"])


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(SHORT) < LONG <= len(WRONG) < len(LONGER)
    make_parts_small(monkeypatch)
    monkeypatch.setattr("tests.recordings.test_events.PART", PART)


def a_mismatch(client: Client, right: bytes) -> Recording:
    """The hash of `right` was declared, and the size of WRONG, which came."""
    created = client.create(right, size=len(WRONG))
    assert send_all(client, created, WRONG).json["status"] == "ready"
    assert tell(stored(client, created).key) == {"mismatch": 1}
    return stored(client, created)


def stored(client: Client, created: Answer) -> Recording:
    found: Recording = kept(client.user_id, created.json["recording"]["id"])
    return found


def send_all(client: Client, created: Answer, content: bytes) -> Answer:
    """The bytes as create has said, and that they are all."""
    id = created.json["recording"]["id"]
    if created.json["upload"]["kind"] == "single":
        assert send(created.json["upload"], content).status_code == 200
    else:
        send_parts(client, id, content)
    return client.post(f"recordings/{id}/complete/")


@BOTH
def test_another_size_begins_an_attempt_beside_what_is_there(alice: Client, right: bytes) -> None:
    old = a_mismatch(alice, right)
    answer = alice.create(right)
    new = stored(alice, answer)
    assert (answer.status, answer.json["recording"]["status"]) == (200, "mismatch")
    assert answer.json["recording"]["size"] == new.size == len(right)
    assert answer.json["upload"]["kind"] == ("single" if right == SHORT else "multipart")
    assert (new.kept, new.kept_size, new.stored_key) == (old.attempt, len(WRONG), old.key)
    assert new.due_at is not None
    assert new.due_at > days_from_now(6.9)
    assert objects() == {old.key: WRONG}
    assert downloaded(alice, old.id) == WRONG
    assert alice.shelf() == [old.id]
    assert ledger(alice.user_id).used_bytes == alice.used_bytes() == max(len(WRONG), len(right))
    assert verify() == []
    check_books(alice.user_id)


@BOTH
def test_what_proves_to_be_declared_replaces_it(alice: Client, right: bytes) -> None:
    old = a_mismatch(alice, right)
    created = alice.create(right)
    done = send_all(alice, created, right)
    assert done.status == 200
    tell(stored(alice, created).key)
    new = stored(alice, created)
    assert (new.status, new.size) == ("ready", len(right))
    assert not new.kept
    assert not new.kept_size
    assert new.verified_at
    assert objects() == {new.key: right}
    assert downloaded(alice, old.id) == right
    assert ledger(alice.user_id).used_bytes == len(right)
    assert verify("--deep") == []
    assert alice.create(right, size=len(WRONG)).code == "size_conflict"
    check_books(alice.user_id)


@BOTH
def test_a_small_upload_replaces_it(alice: Client, right: bytes) -> None:
    old = a_mismatch(alice, right)
    answer = alice.upload(right)
    new = kept(alice.user_id, old.id)
    assert (answer.status, answer.json["status"], answer.json["size"]) == (200, "ready", len(right))
    assert answer.json["verified_at"]
    assert objects() == {new.key: right}
    assert ledger(alice.user_id).used_bytes == len(right)
    check_books(alice.user_id)


@BOTH
@pytest.mark.usefixtures("earlier_grants")
def test_uppy_replaces_it(alice: Client, right: bytes) -> None:
    uppy, old = grown_up(alice), a_mismatch(alice, right)
    upload = uppy.begin(right).json
    assert upload["key"] != old.key
    assert uppy.complete(upload, uppy.send(upload, right, PART)).status == 200
    tell(upload["key"])
    assert objects() == {upload["key"]: right}
    assert ledger(alice.user_id).used_bytes == len(right)
    check_books(alice.user_id)


def test_more_bytes_than_are_free_change_nothing(alice: Client, settings: Settings) -> None:
    settings.GUEST_QUOTA_BYTES = len(LONGER) + 9
    a_mismatch(alice, LONGER)
    other = alice.record(b"ten bytes.")["id"]
    before = snapshot()
    for answer in (alice.create(LONGER), alice.upload(LONGER)):
        assert (answer.status, answer.code) == (409, "quota_exceeded")
        assert answer.json["detail"] == f"{len(LONGER) - len(WRONG)} bytes more do not fit; 12 of 62 are free."
    assert snapshot() == before
    alice.delete(f"recordings/{other}/?permanent=true")
    assert alice.create(LONGER).status == 200
    check_books(alice.user_id)


def test_what_is_kept_counts_until_it_goes(alice: Client, settings: Settings) -> None:
    """Otherwise a byte would be enough to keep any number of them, and giving the attempt up could be too much."""
    settings.GUEST_QUOTA_BYTES = len(WRONG)
    a_mismatch(alice, SHORT)
    created = alice.create(SHORT)
    assert alice.create(b"x").code == "quota_exceeded"
    send_all(alice, created, SHORT)
    assert alice.create(b"x").status == 201
    assert ledger(alice.user_id).used_bytes == len(SHORT) + 1


@BOTH
def test_an_attempt_that_is_abandoned_leaves_the_size_of_what_is_there(alice: Client, right: bytes) -> None:
    old = a_mismatch(alice, right)
    alice.create(right)
    make_due(alice.user_id, old.id)
    assert sweep() == "1 abandoned"
    after = kept(alice.user_id, old.id)
    assert (after.status, after.attempt, after.size) == ("mismatch", old.attempt, len(WRONG))
    assert (after.kept, after.kept_size, after.upload_id) == (None, None, None)
    assert alice.get(f"recordings/{old.id}/").json["size"] == len(WRONG)
    assert objects() == {old.key: WRONG}
    assert snapshot()["uploads"] == []
    assert ledger(alice.user_id).used_bytes == len(WRONG)
    assert verify() == []
    check_books(alice.user_id)


def test_other_bytes_of_the_other_size_leave_it_too(alice: Client) -> None:
    old = a_mismatch(alice, LONGER)
    created = alice.create(LONGER)
    send_all(alice, created, b"x" * len(LONGER))
    new = stored(alice, created)
    assert ledger(alice.user_id).used_bytes == len(LONGER)
    assert tell(new.key) == {"mismatch": 1}
    after = stored(alice, created)
    assert (after.attempt, after.size) == (old.attempt, len(WRONG))
    assert not after.kept
    assert not after.kept_size
    assert objects() == {old.key: WRONG}
    assert ledger(alice.user_id).used_bytes == len(WRONG)
    check_books(alice.user_id)


def test_the_size_may_change_again_and_back(alice: Client) -> None:
    old = a_mismatch(alice, LONGER)
    attempts = {old.attempt}
    for size in (len(LONGER), 70, 5, len(WRONG), len(SHORT), len(LONGER)):
        new = stored(alice, alice.create(LONGER, size=size))
        assert (new.size, new.kept, new.kept_size) == (size, old.attempt, len(WRONG))
        assert ledger(alice.user_id).used_bytes == max(size, len(WRONG))
        assert len(snapshot()["uploads"]) == (size >= LONG)
        assert len(new.discarded or []) <= 1
        attempts.add(new.attempt)
        check_books(alice.user_id)
    assert len(attempts) == 7
    send_all(alice, alice.create(LONGER), LONGER)
    tell(kept(alice.user_id, old.id).key)
    assert list(objects().values()) == [LONGER]
    check_books(alice.user_id)


def test_another_size_gives_up_an_attempt_that_awaits_its_proof(alice: Client) -> None:
    """The two sizes can't both be right, and nothing is acknowledged yet."""
    old = a_mismatch(alice, LONGER)
    send_all(alice, alice.create(LONGER, size=len(WRONG)), b"x" * len(WRONG))
    assert len(objects()) == 2
    created = alice.create(LONGER)
    assert objects() == {old.key: WRONG}
    send_all(alice, created, LONGER)
    assert tell(stored(alice, created).key) == {"ready": 1}
    check_books(alice.user_id)


def test_a_proof_that_comes_while_the_size_changes_is_of_no_attempt_any_more(alice: Client) -> None:
    a_mismatch(alice, LONGER)
    created = alice.create(LONGER)
    send_all(alice, created, LONGER)
    proven = stored(alice, created).key
    with meanwhile("TransactWriteItems", lambda: alice.create(LONGER, size=5)):
        assert tell(proven) in ({"mismatch": 1}, {"upload_incomplete": 1})
    new = stored(alice, created)
    assert (new.status, new.size, new.kept_size) == ("mismatch", 5, len(WRONG))
    check_books(alice.user_id)


def test_what_was_begun_before_there_were_two_sizes(alice: Client) -> None:
    """Such a row says nothing of the kept object's size, which is its own."""
    old = a_mismatch(alice, LONGER)
    alice.create(LONGER, size=len(WRONG))
    kept(alice.user_id, old.id).update([Recording.kept_size.remove()])
    check_books(alice.user_id)
    assert kept(alice.user_id, old.id).stored_size == len(WRONG)
    assert stored(alice, alice.create(LONGER)).kept_size == len(WRONG)
    make_due(alice.user_id, old.id)
    assert sweep() == "1 abandoned"
    assert kept(alice.user_id, old.id).size == ledger(alice.user_id).used_bytes == len(WRONG)


@BOTH
@pytest.mark.parametrize("late", [False, True])
def test_a_purge_gives_back_what_it_counted_for(alice: Client, right: bytes, late: bool) -> None:
    old = a_mismatch(alice, right)
    assert alice.create(right).status == 200
    if late:
        with failing("DeleteObject"):
            alice.delete(f"recordings/{old.id}/?permanent=true")
        check_books(alice.user_id)
        assert sweep() == "1 purged"
    else:
        alice.delete(f"recordings/{old.id}/?permanent=true")
    assert (row(alice.user_id, old.id), objects(), snapshot()["uploads"]) == (None, {}, [])
    assert ledger(alice.user_id).used_bytes == 0


def test_verify_storage_counts_it_as_the_ledger_does(alice: Client) -> None:
    a_mismatch(alice, SHORT)
    alice.create(SHORT)
    used = ledger(alice.user_id).used_bytes
    ledger(alice.user_id).update([type(ledger(alice.user_id)).used_bytes.add(7)])
    assert [found["kind"] for found in verify("--repair")] == ["wrong_usage"]
    assert ledger(alice.user_id).used_bytes == used == len(WRONG)


# How long a client has.


def begun_anew(alice: Client, how: str) -> Recording:
    """An attempt under way, out of the trash again."""
    a_mismatch(alice, LONGER)
    id = str(alice.create(LONGER).json["recording"]["id"])
    send_parts(alice, id, LONGER[:PART])
    alice.delete(f"recordings/{id}/")
    assert alice.shelf("trash") == [id]
    answer = alice.post(f"recordings/{id}/restore/") if how == "restore" else alice.create(LONGER)
    assert answer.status == 200
    found: Recording = kept(alice.user_id, id)
    return found


@pytest.mark.parametrize("how", ["restore", "create"])
def test_out_of_the_trash_the_client_has_all_its_time(alice: Client, how: str) -> None:
    found = begun_anew(alice, how)
    assert found.due_at is not None
    assert days_from_now(6.9) < found.due_at < days_from_now(7.1)
    assert alice.create(LONGER).json["upload"]["received"] == [1]
    check_books(alice.user_id)


@pytest.mark.parametrize("how", ["restore", "create"])
def test_out_of_the_trash_what_is_whole_is_looked_at_soon(alice: Client, how: str) -> None:
    a_mismatch(alice, LONGER)
    created = alice.create(LONGER)
    send_all(alice, created, LONGER)
    id = created.json["recording"]["id"]
    alice.delete(f"recordings/{id}/")
    assert (alice.post(f"recordings/{id}/restore/") if how == "restore" else alice.create(LONGER)).status == 200
    due_at = stored(alice, created).due_at
    assert due_at is not None
    assert due_at < days_from_now(1)
    make_due(alice.user_id, id)
    assert sweep() == "1 verified"


def test_create_again_gives_new_time_once_half_of_it_is_gone(alice: Client) -> None:
    a_mismatch(alice, LONGER)
    first = stored(alice, alice.create(LONGER))
    before = snapshot()
    alice.create(LONGER)
    assert snapshot() == before
    make_due(alice.user_id, first.id)
    again = stored(alice, alice.create(LONGER))
    assert (again.attempt, again.upload_id) == (first.attempt, first.upload_id)
    assert again.due_at is not None
    assert again.due_at > days_from_now(6.9)
    check_books(alice.user_id)


def test_create_again_postpones_no_proof(alice: Client) -> None:
    a_mismatch(alice, LONGER)
    created = alice.create(LONGER)
    send_all(alice, created, LONGER)
    make_due(alice.user_id, created.json["recording"]["id"])
    assert alice.create(LONGER).json["upload"] is None
    assert stored(alice, created).due_at == LONG_AGO


def test_wrong_bytes_in_the_trash_do_not_bring_its_end_nearer(alice: Client) -> None:
    a_mismatch(alice, SHORT)
    created = alice.create(SHORT)
    attempt = stored(alice, created)
    alice.delete(f"recordings/{attempt.id}/")
    trashed = stored(alice, created)
    put(attempt.key, b"x" * len(SHORT))
    assert tell(attempt.key) == {"checksum_mismatch": 1}
    after = stored(alice, created)
    assert after.attempt != attempt.attempt
    assert (after.trashed_at, after.due_at, after.due_shard) == (trashed.trashed_at, trashed.due_at, trashed.due_shard)
    assert s3.stat(attempt.key) is None
    check_books(alice.user_id)


def test_a_lost_due_time_comes_back_as_long_as_the_client_has(alice: Client) -> None:
    a_mismatch(alice, LONGER)
    found = stored(alice, alice.create(LONGER))
    found.update([Recording.due_at.remove(), Recording.due_shard.remove()])
    assert [difference["kind"] for difference in verify("--repair")] == ["wrong_due"]
    due_at = kept(alice.user_id, found.id).due_at
    assert due_at is not None
    assert due_at > days_from_now(6.9)
    assert sha256(objects()[found.stored_key]) == sha256(WRONG)


def test_what_a_crash_leaves_of_the_bytes_before_goes_with_the_next_event(alice: Client) -> None:
    was = a_mismatch(alice, SHORT)
    created = alice.create(SHORT)
    assert send(created.json["upload"], SHORT).status_code == 200
    with failing("DeleteObject"):
        assert alice.post(f"recordings/{was.id}/complete/").status == 503
    new = kept(alice.user_id, was.id)
    assert (new.verified_at is not None, len(objects())) == (True, 2)
    tell(new.key)
    assert objects() == {new.key: SHORT}
    check_books(alice.user_id)


@pytest.mark.usefixtures("earlier_grants")
@pytest.mark.parametrize("versions", ["Enabled", "Suspended"])
def test_a_repair_deletes_nothing_that_it_copies_from(
    alice: Client, versions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a bucket without versions, as `make run` has."""
    monkeypatch.setattr(check, "GRACE", -1.0)
    status: Any = {"Status": versions}
    s3.client().put_bucket_versioning(Bucket=configured.RECORDINGS_BUCKET, VersioningConfiguration=status)
    uppy, was = grown_up(alice), a_mismatch(alice, LONGER)
    upload = uppy.begin(LONGER).json
    assert uppy.complete(upload, uppy.send(upload, LONGER, PART)).status == 200  # its event is late
    s3.delete(was.key)  # what a download gave is lost
    assert {(found["kind"], found["mended"]) for found in verify("--repair")} == {("missing_object", True)}
    row = kept(alice.user_id, was.id)
    assert (row.status, objects()) == ("ready", {row.key: LONGER})
    assert row.verified_at
