"""recordings.handlers.handler: S3's events complete, prove and tidy up, however late, often and mixed up they come."""

import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import requests
from pytest_django import Settings

from aws import s3
from lib.problems import Problem
from operations.lambda_handler import handler
from operations.sweep import sweep
from recordings.models import Change, Ledger, Recording
from tests.client import Client, send, sha256
from tests.state import (
    check_books,
    failing,
    kept,
    let_urls_end,
    make_due,
    meanwhile,
    objects,
    put,
    row,
    snapshot,
    undoable,
)

AUDIO = b"RIFF, more or less" * 10
LARGE = bytes(range(256)) * (17 * 4096)  # 17 MiB: three parts
PART = 8 * 2**20


def record(key: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    """One record of a notification, with the members that matter. S3 encodes keys as HTML forms do."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {"bucket": {"name": "test-recordings-bucket"}, "object": {"key": quote_plus(key, safe="/")}},
    }


def tell(*keys: str) -> dict[str, Any]:
    return handler({"Records": [record(key) for key in keys]})


def upload(client: Client, content: bytes = AUDIO) -> Recording:
    """An upload whose bytes are in S3, and of which nobody has said anything yet."""
    created = client.create(content).json
    if created["upload"]["kind"] == "single":
        assert send(created["upload"], content).status_code == 200
    else:
        send_parts(client, created["recording"]["id"], content)
    found: Recording = kept(client.user_id, created["recording"]["id"])
    return found


def send_parts(client: Client, id: str, content: bytes) -> None:
    pieces = [content[start : start + PART] for start in range(0, len(content), PART)]
    wanted = [{"number": number, "sha256": sha256(piece)} for number, piece in enumerate(pieces, 1)]
    answer = client.post(f"recordings/{id}/parts/", {"parts": wanted})
    for part, piece in zip(answer.json["parts"], pieces, strict=True):
        assert requests.put(part["url"], data=piece, headers=part["headers"], timeout=20).status_code == 200


def complete(client: Client, row: Recording) -> Any:
    answer = client.post(f"recordings/{row.id}/complete/")
    assert answer.status == 200, answer
    return answer.json


def downloaded(client: Client, id: str) -> bytes:
    url = client.get(f"recordings/{id}/download/?redirect=false").json["url"]
    return requests.get(url, timeout=20).content


def test_an_event_of_another_bucket_moves_nothing(alice: Client) -> None:
    """Whose key looks like ours, also one that no row of ours names."""
    pending = upload(alice)
    stray = f"recordings/{alice.user_id}/{pending.id}/{'f' * 32}"
    put(stray, AUDIO)
    before = snapshot()
    for key in (pending.key, stray):
        foreign = record(key)
        foreign["s3"]["bucket"]["name"] = "somebody-elses"
        assert handler({"Records": [foreign]}) == {"foreign": 1}
    assert snapshot() == before


# Without the app.


def test_the_event_alone_makes_it_ready(alice: Client) -> None:
    """The app died right after its last byte."""
    pending = upload(alice)
    assert tell(pending.key) == {"ready": 1}
    ready = kept(alice.user_id, pending.id)
    assert (ready.status, ready.version, ready.due_at) == ("ready", 3, None)  # ready, then heard
    assert ready.verified_at
    check_books(alice.user_id)


def test_the_event_proves_what_came_in_parts(alice: Client) -> None:
    """The app's complete makes it ready; that its bytes are the declared ones, one read proves."""
    pending = upload(alice, LARGE)
    done = complete(alice, pending)
    assert (done["status"], done["verified_at"]) == ("ready", None)
    assert tell(pending.key) == {"ready": 1}
    ready = kept(alice.user_id, pending.id)
    assert ready.verified_at
    assert (ready.due_at, ready.upload_id, ready.version) == (None, None, 4)  # ready, proven, heard
    assert alice.get("recordings/changes/").json["changes"][-1]["verified_at"] == ready.verified_at
    assert downloaded(alice, ready.id) == LARGE
    check_books(alice.user_id)


# Before, after, twice, at the same instant.


def end(alice: Client) -> list[Any]:
    """What is stored, without what differs from run to run: times, random names."""
    stored = snapshot()
    rows = [(r["status"], bool(r.get("verified_at")), r.get("due_at")) for r in stored["test-recordings"] if r["size"]]
    return [rows, sorted(stored["objects"].values()), stored["uploads"], alice.used_bytes()]


@pytest.mark.parametrize("content", [AUDIO, LARGE], ids=["single", "multipart"])
@pytest.mark.parametrize("order", ["event", "complete event", "event complete", "event event", "event complete event"])
def test_in_any_order_it_ends_the_same(alice: Client, content: bytes, order: str, rows_only: None) -> None:
    pending = upload(alice, content)
    acts = order.split()
    if pending.upload_id and acts[0] == "event":  # of parts there is no event before somebody has put them together
        acts.insert(0, "complete")
    for act in acts:
        if act == "event":
            assert tell(pending.key) == {"ready": 1}
        else:
            complete(alice, pending)
    assert end(alice) == [[("ready", True, None)], [content], [], len(content)]
    check_books(alice.user_id)


@pytest.fixture
def rows_only(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the row that ends a guest's account some day."""
    from recordings.models import Work

    Work.of("account", alice.user_id, due_at="").delete()


def test_at_the_same_instant_they_are_one_change(alice: Client) -> None:
    first, second = upload(alice), upload(alice, AUDIO * 2)
    with meanwhile("TransactWriteItems", lambda: tell(first.key)):
        assert complete(alice, first)["version"] == 4
    with meanwhile("TransactWriteItems", lambda: complete(alice, second)):
        assert tell(second.key) == {"ready": 1}
    assert kept(alice.user_id, second.id).version == 6
    check_books(alice.user_id)


@pytest.mark.parametrize("operation", ["ListParts", "HeadObject", "CompleteMultipartUpload", "TransactWriteItems"])
def test_two_that_complete_the_same_parts_make_one_recording(alice: Client, operation: str) -> None:
    pending = upload(alice, LARGE)
    with meanwhile(operation, lambda: complete(alice, pending)):
        assert complete(alice, pending)["status"] == "ready"
    with meanwhile("GetObject", lambda: tell(pending.key)):
        assert tell(pending.key) == {"ready": 1}
    assert kept(alice.user_id, pending.id).verified_at
    assert list(objects()) == [pending.key]
    check_books(alice.user_id)


# After the recording has moved on.


@pytest.mark.parametrize("content", [AUDIO, LARGE], ids=["single", "multipart"])
def test_after_a_trash_it_stays_in_the_trash(alice: Client, content: bytes) -> None:
    pending = upload(alice, content)
    complete(alice, pending)
    alice.delete(f"recordings/{pending.id}/")
    trashed = kept(alice.user_id, pending.id)
    assert tell(pending.key, pending.key) == {"ready": 2}
    after = kept(alice.user_id, pending.id)
    assert (after.status, after.trashed_at, after.due_at) == ("ready", trashed.trashed_at, trashed.due_at)
    assert after.verified_at
    assert alice.shelf("trash") == [pending.id]
    check_books(alice.user_id)
    assert alice.post(f"recordings/{pending.id}/restore/").json["verified_at"]


def test_after_a_purge_it_stays_purged(alice: Client) -> None:
    ready = upload(alice)
    complete(alice, ready)
    alice.delete(f"recordings/{ready.id}/?permanent=true")
    before = snapshot()
    assert tell(ready.key) == {"gone": 1}
    assert snapshot() == before


def test_bytes_that_arrive_after_the_purge_are_removed(alice: Client) -> None:
    created = alice.create(AUDIO).json
    key = kept(alice.user_id, created["recording"]["id"]).key
    alice.delete(f"recordings/{created['recording']['id']}/")
    assert send(created["upload"], AUDIO).status_code == 200
    assert tell(key) == {"orphan": 1}
    assert (objects(), undoable(key)) == ({}, [AUDIO])
    assert row(alice.user_id, created["recording"]["id"]) is None


def test_a_purge_under_way_is_finished(alice: Client) -> None:
    ready = upload(alice)
    complete(alice, ready)
    with failing("DeleteObject"):
        assert alice.delete(f"recordings/{ready.id}/?permanent=true").status == 204
    assert tell(ready.key) == {"purged": 1}
    assert row(alice.user_id, ready.id) is None
    assert objects() == {}
    check_books(alice.user_id)


def test_an_old_attempts_event_touches_the_new_attempt_in_no_way(alice: Client) -> None:
    """Out of order: the first attempt's event comes when the second has long been ready."""
    first = kept(alice.user_id, alice.create(AUDIO, size=5).json["recording"]["id"])
    second = upload(alice)
    complete(alice, second)
    tell(second.key)
    before = snapshot()
    assert tell(first.key) == {"gone": 1}
    assert snapshot() == before
    put(first.key, b"12345")
    assert tell(first.key, second.key) == {"orphan": 1, "ready": 1}
    assert snapshot() | {"versions": []} == before | {"versions": []}
    assert undoable(first.key) == [b"12345"]


# Of objects that no row names: after tables or objects were brought back they may be the only copy.


def lose_row(row: Recording) -> None:
    row.delete()
    Ledger(row.user_id).update([Ledger.used_bytes.add(-row.size)])


def lose_change(row: Recording) -> None:
    """With `lose_row`, as tables are that were restored to the moment before."""
    Change(row.user_id, row.version).delete()
    Ledger(row.user_id).update([Ledger.last_version.set(row.version - 1)])


def proven(client: Client, content: bytes = AUDIO) -> Recording:
    found: Recording = kept(client.user_id, client.record(content)["id"])
    assert found.verified_at
    return found


@pytest.mark.parametrize("restored", [True, False], ids=["tables restored", "row lost"])
def test_an_object_without_a_row_is_left_for_verify_storage(
    alice: Client, restored: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ready = proven(alice)
    lose_row(ready)
    if restored:
        lose_change(ready)
    before = snapshot()
    assert tell(ready.key) == {"unknown": 1}
    assert snapshot() == before
    said = [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]
    assert said == [f"No row names an object of recording {ready.id} of {alice.user_id}: verify_storage can place it"]


def test_one_that_was_uploaded_after_a_purge_is_left(alice: Client) -> None:
    alice.delete(f"recordings/{proven(alice).id}/?permanent=true")
    again = proven(alice)
    lose_row(again)
    lose_change(again)
    before = snapshot()
    assert tell(again.key) == {"unknown": 1}
    assert snapshot() == before


def test_all_that_was_ever_sent_for_a_purged_recording_goes(alice: Client) -> None:
    """Under attempts that its row had forgotten, too, and under a row that came after it: no way around the quota."""
    first = kept(alice.user_id, alice.create(AUDIO).json["recording"]["id"])
    for size in (5, 6, len(AUDIO)):
        alice.create(AUDIO, size=size)
    last = kept(alice.user_id, first.id)
    alice.delete(f"recordings/{first.id}/")
    for _ in range(2):
        put(first.key, AUDIO)
        put(last.key, AUDIO)
        assert tell(first.key, last.key) == {"orphan": 2}
        assert objects() == {}
        assert {*undoable(first.key), *undoable(last.key)} == {AUDIO}
        alice.create(AUDIO)
    check_books(alice.user_id)


def test_nothing_of_a_closed_account_stays(alice: Client) -> None:
    ready = proven(alice)
    alice.delete("accounts/me/")
    put(ready.key, AUDIO)
    assert tell(ready.key) == {"orphan": 1}
    assert (objects(), undoable(ready.key)) == ({}, [AUDIO])
    let_urls_end(alice.user_id)
    assert dict(sweep()) == {"forgotten": 1}
    assert snapshot()["versions"] == []


@pytest.mark.parametrize("size", [len(AUDIO), 5], ids=["same size", "other size"])
def test_a_restored_row_gets_the_attempt_that_came_to_be_later(alice: Client, size: int) -> None:
    """It says `uploading` under an attempt without bytes, while those that were acknowledged are under another."""
    before = kept(alice.user_id, alice.create(AUDIO, size=size).json["recording"]["id"])
    later = before.key_of(before.life + "f" * 16)
    put(later, AUDIO)
    assert tell(later) == {"orphan": 1}
    after = kept(alice.user_id, before.id)
    assert (after.status, after.size, after.due_at is None) == ("ready", len(AUDIO), False)
    assert (after.attempt == before.attempt) is (size == len(AUDIO))  # it expects what is copied there, or it is new
    assert after.verified_at
    assert downloaded(alice, after.id) == AUDIO
    put(before.key, AUDIO)  # what its client sends now, is one too many
    assert tell(before.key) == ({"ready": 1} if size == len(AUDIO) else {"orphan": 1})
    assert tell(after.key) == {"ready": 1}  # the copy has an event of its own
    assert objects() == {after.key: AUDIO}
    check_books(alice.user_id)


def test_a_recording_that_began_anew_gets_what_came_before(alice: Client) -> None:
    """Row and change were lost, a device began again, and then the object came back out of a backup."""
    lost = proven(alice)
    s3.erase(lost.key)
    lose_row(lost)
    lose_change(lost)
    alice.create(AUDIO)
    put(lost.key, AUDIO)
    assert tell(lost.key) == {"orphan": 1}
    again = kept(alice.user_id, lost.id)
    assert (again.status, bool(again.verified_at)) == ("ready", True)
    assert objects() == {again.key: AUDIO}
    check_books(alice.user_id)


@pytest.mark.parametrize("quota", [True, False], ids=["no room", "not its bytes"])
def test_what_a_restored_row_can_not_take_stays_undoable(alice: Client, settings: Settings, quota: bool) -> None:
    before = kept(alice.user_id, alice.create(AUDIO, size=5).json["recording"]["id"])
    later = before.key_of(before.life + "f" * 16)
    put(later, AUDIO if quota else b"what?")
    settings.GUEST_QUOTA_BYTES = 5
    assert tell(later) == {"orphan": 1}
    assert (objects(), [key for key, _ in snapshot()["versions"]]) == ({}, [later, later])  # and its delete marker
    assert kept(alice.user_id, before.id).attempt == before.attempt
    check_books(alice.user_id)


def test_a_ready_row_without_its_object_keeps_whatever_comes(alice: Client) -> None:
    """It was restored, and has a later life's bytes beside it: verify_storage gives them to it."""
    ready = proven(alice)
    s3.erase(ready.key)
    later = ready.key_of("f" * 32)
    put(later, AUDIO)
    before = snapshot()
    assert tell(later) == {"unknown": 1}
    assert snapshot() == before


def test_the_row_moves_on_while_it_gets_an_attempt(alice: Client) -> None:
    before = kept(alice.user_id, alice.create(AUDIO, size=5).json["recording"]["id"])
    later = before.key_of(before.life + "f" * 16)
    put(later, AUDIO)
    with meanwhile("TransactWriteItems", lambda: alice.delete(f"recordings/{before.id}/")):
        assert tell(later) == {"orphan": 1}
    assert (row(alice.user_id, before.id), objects(), undoable(later)) == (None, {}, [AUDIO])
    check_books(alice.user_id)


def test_wrong_bytes_are_thrown_away_as_by_complete(alice: Client) -> None:
    pending = kept(alice.user_id, alice.create(AUDIO).json["recording"]["id"])
    put(pending.key, AUDIO[:-1])
    assert tell(pending.key) == {"checksum_mismatch": 1}
    assert objects() == {}
    assert upload(alice).attempt != pending.attempt
    check_books(alice.user_id)


# What else comes in.


def test_takes_several_records_and_says_what_became_of_each(alice: Client, charlie: Client) -> None:
    mine, theirs = upload(alice), upload(charlie)
    answer = handler(
        {
            "Records": [
                record(mine.key),
                record("recordings/somebody's+own.wav"),
                record(theirs.key, "ObjectCreated:CompleteMultipartUpload"),
                record(mine.key, "ObjectRemoved:Delete"),
                record(mine.key, "s3:ObjectCreated:Post"),  # as SQS has it from some
            ]
        }
    )
    assert answer == {"ready": 3, "foreign": 1, "ignored": 1}


def test_keys_are_url_encoded(alice: Client) -> None:
    pending = upload(alice)
    coded = record(pending.key)
    coded["s3"]["object"]["key"] = quote(pending.key, safe="")
    assert handler({"Records": [coded]}) == {"ready": 1}


@pytest.mark.parametrize(
    "key",
    ["", "recordings/", "recordings/%00/x/y", "recordings/../../x", f"recordings/{'0' * 32}/{'0' * 32}/x", "강의"],
)
def test_foreign_keys_are_left_alone(alice: Client, key: str) -> None:
    before = snapshot()
    assert tell(key) == {"foreign": 1}
    assert snapshot() == before


def test_the_test_event_does_nothing() -> None:
    assert handler({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "test-recordings-bucket"}) == {
        "test": 1
    }


def test_through_sqs(alice: Client) -> None:
    pending = upload(alice)
    bodies = [{"Records": [record(pending.key)]}, {"Event": "s3:TestEvent"}]
    records = [{"eventSource": "aws:sqs", "messageId": "1", "body": json.dumps(body)} for body in bodies]
    assert handler({"Records": records}) == {"ready": 1, "test": 1}


def test_the_schedule_sweeps(alice: Client) -> None:
    pending = upload(alice)
    make_due(alice.user_id, pending.id)
    assert handler({"source": "aws.events", "detail-type": "Scheduled Event"}) == {"completed": 1}


@pytest.mark.parametrize(
    "event",
    [{}, {"Records": []}, {"Records": [{"eventSource": "aws:ses"}]}, {"Records": "x"}, {"requestContext": {}}],
)
def test_anything_else_is_a_fault_that_the_alarms_see(event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"notification|not S3"):
        handler(event)


def test_one_record_that_fails_holds_up_no_other_and_comes_again(alice: Client, charlie: Client) -> None:
    lost, fine = upload(alice), upload(charlie)
    attempts: list[str] = []

    def find(id: str, user_id: str) -> Recording | None:
        attempts.append(id)
        if id == lost.id and len(attempts) == 1:
            raise Problem(503, "unavailable", "made up")
        return row(user_id, id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("operations.events.Recording", type("Rows", (), {"find": staticmethod(find)}))
        with pytest.raises(Problem):
            tell(lost.key, fine.key)
        assert kept(charlie.user_id, fine.id).status == "ready"
        assert tell(lost.key, fine.key) == {"ready": 2}


@pytest.mark.parametrize("operation", ["GetItem", "HeadObject", "TransactWriteItems"])
def test_loses_nothing_while_aws_fails(alice: Client, operation: str) -> None:
    pending = upload(alice)
    before = snapshot()
    with failing(operation) as refused, pytest.raises(Problem):
        tell(pending.key)
    assert refused
    assert snapshot() == before
    assert tell(pending.key) == {"ready": 1}


# Bytes that turn out to be others.


@pytest.fixture
def mismatch(alice: Client) -> Recording:
    """Right parts under a wrong hash of the whole: S3 has checked each part, and reading the whole shows it."""
    created = alice.create(LARGE, sha256=sha256(OTHER)).json["recording"]
    send_parts(alice, created["id"], LARGE)
    alice.post(f"recordings/{created['id']}/complete/")
    row: Recording = kept(alice.user_id, created["id"])
    assert tell(row.key) == {"mismatch": 1}
    found: Recording = kept(alice.user_id, created["id"])
    return found


OTHER = LARGE[:-1] + b"!"


def test_a_mismatch_is_kept_and_never_called_ready(alice: Client, mismatch: Recording) -> None:
    shown = alice.get(f"recordings/{mismatch.id}/").json
    assert (shown["status"], shown["verified_at"]) == ("mismatch", None)
    assert alice.shelf() == [mismatch.id]
    assert downloaded(alice, mismatch.id) == LARGE
    assert alice.post(f"recordings/{mismatch.id}/complete/").code == "checksum_mismatch"
    assert tell(mismatch.key) == {"mismatch": 1}
    assert kept(alice.user_id, mismatch.id).version == mismatch.version
    check_books(alice.user_id)


def test_only_a_verified_attempt_replaces_a_mismatch(alice: Client, mismatch: Recording) -> None:
    again = alice.create(OTHER)
    assert (again.status, again.json["recording"]["status"]) == (200, "mismatch")
    assert again.json["upload"]["received"] == []
    assert downloaded(alice, mismatch.id) == LARGE
    send_parts(alice, mismatch.id, OTHER)
    new = kept(alice.user_id, mismatch.id)
    assert new.attempt != mismatch.attempt
    assert complete(alice, new)["status"] == "mismatch"  # whole, and not proven yet
    assert downloaded(alice, mismatch.id) == LARGE
    assert alice.create(OTHER).json["upload"] is None
    assert tell(mismatch.key) == {"ready": 1}  # the old object's event, late; it does for the new one too
    ready = kept(alice.user_id, mismatch.id)
    assert (ready.status, ready.kept, ready.due_at) == ("ready", None, None)
    assert ready.verified_at
    assert objects() == {new.key: OTHER}
    assert downloaded(alice, mismatch.id) == OTHER
    check_books(alice.user_id)


def test_a_restored_mismatch_gets_the_attempt_that_was_proven_later(alice: Client, mismatch: Recording) -> None:
    later = mismatch.key_of(mismatch.life + "f" * 16)
    put(later, OTHER)
    assert tell(later) == {"orphan": 1}
    after = kept(alice.user_id, mismatch.id)
    assert (after.status, bool(after.verified_at), after.kept) == ("ready", True, None)
    assert after.key not in (later, mismatch.key)
    assert objects() == {after.key: OTHER}
    check_books(alice.user_id)


def test_late_bytes_beside_a_mismatch_stay_undoable(alice: Client, mismatch: Recording) -> None:
    late = mismatch.key_of(mismatch.life + "f" * 16)
    put(late, LARGE)
    assert tell(late) == {"orphan": 1}
    assert objects() == {mismatch.key: LARGE}
    assert kept(alice.user_id, mismatch.id).version == mismatch.version


def test_a_second_mismatch_leaves_the_first(alice: Client, mismatch: Recording) -> None:
    alice.create(OTHER)
    send_parts(alice, mismatch.id, LARGE)
    new = kept(alice.user_id, mismatch.id)
    alice.post(f"recordings/{mismatch.id}/complete/")
    assert tell(new.key) == {"mismatch": 1}
    after = kept(alice.user_id, mismatch.id)
    assert (after.status, after.attempt, after.kept) == ("mismatch", mismatch.attempt, None)
    assert objects() == {mismatch.key: LARGE}
    check_books(alice.user_id)


def test_a_purge_takes_both_attempts(alice: Client, mismatch: Recording) -> None:
    alice.create(OTHER)
    send_parts(alice, mismatch.id, OTHER)
    alice.post(f"recordings/{mismatch.id}/complete/")
    alice.delete(f"recordings/{mismatch.id}/?permanent=true")
    assert objects() == {}
    assert snapshot()["uploads"] == []
    assert alice.used_bytes() == 0
