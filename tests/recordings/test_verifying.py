"""manage.py verify_storage: what it finds, what --repair mends, and what it leaves alone."""

import datetime
import io
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from django.conf import settings
from django.core.management import call_command

from aws import s3 as storage
from operations.fsck import check
from operations.sweep import sweep
from recordings.models import Change, Grave, Ledger, Recording, due_shard
from tests.client import Client, declare, send
from tests.recordings.test_events import tell
from tests.state import TABLES, calls, check_books, kept, make_due, meanwhile, objects, row, snapshot
from tests.web.test_uppy import Uppy

AUDIO = b"a lecture, more or less" * 9


def s3() -> Any:
    return boto3.client("s3", region_name=settings.AWS_REGION)


def put(key: str, content: bytes, content_type: str = "audio/wav") -> None:
    s3().put_object(Bucket=settings.RECORDINGS_BUCKET, Key=key, Body=content, ContentType=content_type)


def erase(key: str) -> None:
    """The object with all its versions."""
    storage.erase(key)


def update(row: Recording, *actions: Any) -> None:
    """A write past the app: no version, no change row."""
    row.update(list(actions))


def verify(*options: str) -> list[dict[str, Any]]:
    """The differences that the command prints. Its exit status tells whether there are any."""
    output = io.StringIO()
    try:
        call_command("verify_storage", "--json", *options, stdout=output, stderr=io.StringIO())
        status = 0
    except SystemExit as stop:
        status = int(str(stop.code))
    found = [json.loads(line) for line in output.getvalue().splitlines()]
    assert status == (1 if found else 0)
    return found


def kinds(*options: str) -> list[tuple[str, bool]]:
    return [(found["kind"], found["mended"]) for found in verify(*options)]


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test has just put there counts as old."""
    monkeypatch.setattr(check, "GRACE", -60.0)


@pytest.fixture
def ready(alice: Client, old: None) -> Recording:
    """Alice's one recording, beside another that nothing may touch."""
    alice.upload(b"another one", "Another.wav")
    row: Recording = kept(alice.user_id, alice.upload(AUDIO).json["id"])
    return row


def lose_object(row: Recording) -> None:
    s3().delete_object(Bucket=settings.RECORDINGS_BUCKET, Key=row.key)  # its old version stays


def lose_row(row: Recording) -> None:
    row.delete()
    used = Ledger(row.user_id)
    used.update([Ledger.used_bytes.add(-row.size)])


def shorten(row: Recording) -> None:
    erase(row.key)
    put(row.key, AUDIO[:-1])


def corrupt(row: Recording) -> None:
    erase(row.key)
    put(row.key, AUDIO[:-1] + b"!")


def drift(row: Recording) -> None:
    Ledger(row.user_id).update([Ledger.used_bytes.add(7)])


def fall_behind(row: Recording) -> None:
    Ledger(row.user_id).update([Ledger.last_version.set(1)])


def dangle(row: Recording) -> None:
    storage.start_multipart(row.key_of("f" * 32), "audio/wav")


def lose_change(row: Recording) -> None:
    Change(row.user_id, row.version).delete()


def bury_alive(row: Recording) -> None:
    Change(row.user_id, row.version).update([Change.deleted.set(True)])


def leave_change(row: Recording) -> None:
    Change(row.user_id, 1, recording_id=row.id).save()


def leave_change_ahead(row: Recording) -> None:
    Ledger(row.user_id).update([Ledger.last_version.set(9)])
    Change(row.user_id, 9, recording_id=row.id, deleted=True).save()


def misplace(row: Recording) -> None:
    update(row, Recording.shelf.set(f"{row.user_id}#trash"))


def forget_due(row: Recording) -> None:
    update(row, Recording.due_at.remove(), Recording.due_shard.remove())


def stay_due(row: Recording) -> None:
    """It was heard, and waits for nothing."""
    update(row, Recording.playable.set(False))


def wrong_shard(row: Recording) -> None:
    shard = "00" if due_shard(row.id) != "00" else "01"
    trashed = "2120-01-01T00:00:00.000Z"
    update(row, Recording.due_at.set(trashed), Recording.due_shard.set(shard), Recording.verified_at.remove())


def duplicate(row: Recording) -> None:
    put(row.key_of("f" * 32), AUDIO)


@pytest.mark.parametrize(
    ("kind", "harm"),
    [
        ("missing_object", lose_object),
        ("orphan_object", duplicate),
        ("wrong_usage", drift),
        ("wrong_version", fall_behind),
        ("dangling_upload", dangle),
        ("missing_change", lose_change),
        ("missing_change", bury_alive),
        ("stale_change", leave_change),
        ("stale_change", leave_change_ahead),
        ("wrong_shelf", misplace),
        ("wrong_due", forget_due),
        ("wrong_due", stay_due),
        ("wrong_due", wrong_shard),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_finds_and_mends(alice: Client, ready: Recording, kind: str, harm: Callable[[Recording], None]) -> None:
    harm(ready)
    harmed = snapshot()
    found = verify()
    assert [(each["kind"], each["account"], each["mended"]) for each in found] == [(kind, alice.user_id, False)]
    assert [each["kind"] for each in verify("--repair", "--dry-run")] == [kind]
    assert snapshot() == harmed
    assert kinds("--repair") == [(kind, True)]
    assert verify() == []
    assert verify("--deep") == []
    mended = kept(alice.user_id, ready.id)
    assert mended.status == "ready"
    assert objects()[mended.key] == AUDIO
    assert len(objects()) == 2
    check_books(alice.user_id)
    assert alice.get("recordings/changes/").json["changes"][-1]["id"] == ready.id


def test_a_clean_store_has_no_differences(alice: Client, charlie: Client, old: None) -> None:
    for client in (alice, charlie):
        client.upload(AUDIO)
        client.create(b"under way")
        client.delete(f"recordings/{client.upload(b'trash').json['id']}/")
        client.delete(f"recordings/{client.upload(b'purged').json['id']}/?permanent=true")
        client.patch(f"recordings/{client.upload(b'renamed').json['id']}/", {"name": "x"})
        client.upload(b"purged")
        client.delete(f"recordings/{client.upload(b'purged').json['id']}/?permanent=true")
        client.upload(b"purged")
        client.post("recordings/", declare(AUDIO, sha256="0" * 64, size=20 * 2**20))
    before = snapshot()
    assert verify("--deep", "--repair") == []
    assert snapshot() == before


@pytest.mark.parametrize("harm", [shorten, corrupt])
def test_wrong_bytes_become_a_mismatch(alice: Client, ready: Recording, harm: Callable[[Recording], None]) -> None:
    """No device may rely on them; they stay until the right ones are there."""
    harm(ready)
    wrong = objects()[ready.key]
    kind = "wrong_size" if harm is shorten else "wrong_bytes"
    assert kinds("--deep", "--repair") == [(kind, True)]
    assert kinds("--deep") == []
    after = kept(alice.user_id, ready.id)
    assert (after.status, after.verified_at, objects()[after.key]) == ("mismatch", None, wrong)
    assert alice.get("recordings/changes/").json["changes"][-1]["status"] == "mismatch"
    send(alice.create(AUDIO).json["upload"], AUDIO)
    again = alice.post(f"recordings/{ready.id}/complete/").json
    assert (again["status"], again["id"]) == ("ready", ready.id)
    assert verify("--deep") == []
    check_books(alice.user_id)


def test_only_deep_reads_find_what_no_checksum_tells(
    alice: Client, ready: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrupt(ready)
    stat = storage.stat
    monkeypatch.setattr(storage, "stat", lambda key: (seen := stat(key)) and storage.Stored(seen.size, None))
    with calls() as sent:
        assert verify() == []
    assert "GetObject" not in sent
    assert [each["kind"] for each in verify("--deep")] == ["wrong_bytes"]


def test_right_bytes_under_wrong_ones_are_brought_back(alice: Client, ready: Recording) -> None:
    put(ready.key, AUDIO[:-3])  # the bucket is versioned
    assert kinds("--repair") == [("wrong_size", True)]
    assert kinds("--deep") == []
    assert objects()[ready.key] == AUDIO
    assert kept(alice.user_id, ready.id).verified_at


def test_another_attempts_bytes_bring_a_lost_object_back(alice: Client, ready: Recording) -> None:
    erase(ready.key)
    put(ready.key_of("f" * 32), AUDIO)
    assert kinds("--repair") == [("missing_object", True), ("orphan_object", True)]
    assert kinds("--deep") == []
    assert objects()[ready.key] == AUDIO
    assert len(objects()) == 2


def test_what_is_lost_is_reported_and_may_be_sent_again(alice: Client, ready: Recording) -> None:
    erase(ready.key)
    assert kinds("--repair") == [("missing_object", False)]
    lost = kept(alice.user_id, ready.id)
    assert (lost.status, lost.verified_at, lost.size, lost.name) == ("mismatch", None, ready.size, ready.name)
    assert kinds("--repair") == [("missing_object", False)]
    assert kept(alice.user_id, ready.id).version == lost.version
    send(alice.create(AUDIO).json["upload"], AUDIO)
    alice.post(f"recordings/{ready.id}/complete/")
    assert verify("--deep") == []
    check_books(alice.user_id)


def test_an_object_without_a_row_becomes_a_recording_again(alice: Client, ready: Recording) -> None:
    lose_row(ready)
    found = verify()
    assert [each["kind"] for each in found] == ["orphan_object", "missing_row"]
    assert (found[0]["recording"], found[0]["key"]) == (ready.id, ready.key)
    assert kinds("--repair")[0] == ("orphan_object", True)
    assert verify("--deep", "--repair") == []
    recovered = alice.get(f"recordings/{ready.id}/").json
    assert recovered["verified_at"]
    assert (recovered["status"], recovered["sha256"]) == ("ready", ready.sha256)
    assert (recovered["size"], recovered["content_type"]) == (len(AUDIO), "audio/wav")
    assert alice.upload(AUDIO).status == 200
    assert objects()[kept(alice.user_id, ready.id).key] == AUDIO
    check_books(alice.user_id)


@pytest.mark.usefixtures("old")
def test_what_came_under_a_grant_becomes_a_recording_again(alice: Client) -> None:
    """Beside one with the same bytes: its id tells its hash, too."""
    other, key = alice.record(AUDIO)["id"], Uppy(alice).post(AUDIO).json["fields"]["key"]
    id = key.split("/")[2]
    alice.post(f"recordings/{id}/complete/")
    lose_row(lost := kept(alice.user_id, id))
    assert kinds("--repair")[0] == ("orphan_object", True)
    recovered(alice, lost)
    assert sorted(alice.shelf()) == sorted([other, id])


def test_a_recording_of_which_nothing_is_left_is_told_as_gone(alice: Client, ready: Recording) -> None:
    lose_row(ready)
    erase(ready.key)
    assert kinds("--repair") == [("missing_row", True)]
    assert verify() == []
    assert alice.get("recordings/changes/").json["changes"][-1] == {"id": ready.id, "deleted": True}
    check_books(alice.user_id)


def test_bytes_that_nobody_can_place_are_never_deleted(alice: Client, ready: Recording) -> None:
    key = f"recordings/{alice.user_id}/{'0' * 32}/{'f' * 32}"
    put(key, b"whose is this?")
    put("recordings/something else", b"not ours")
    put("elsewhere", b"not ours either")
    before = snapshot()
    assert sorted(kinds("--repair")) == [("foreign_object", False), ("orphan_object", False)]
    assert snapshot() == before


def test_an_only_copy_under_another_key_completes_its_upload(alice: Client, old: None) -> None:
    pending = kept(alice.user_id, alice.create(AUDIO).json["recording"]["id"])
    put(pending.key_of("f" * 32), AUDIO)
    assert kinds("--repair") == [("orphan_object", True)]
    assert kept(alice.user_id, pending.id).verified_at
    assert kinds("--repair") == [("orphan_object", True)]  # by now it is a second copy
    assert verify("--deep") == []
    assert objects() == {pending.key: AUDIO}


def test_an_only_copy_of_another_size_than_its_upload_declared(alice: Client, old: None) -> None:
    """As a restored row may say."""
    pending = kept(alice.user_id, alice.create(AUDIO, size=5).json["recording"]["id"])
    put(later := pending.key_of(pending.life + "f" * 16), AUDIO)
    quota = Ledger(alice.user_id)
    quota.set_quota(5)
    (found,) = verify("--repair")
    assert (found["mended"], "no room" in found["remedy"]) == (False, True)
    quota.set_quota(10**6)
    assert kinds("--repair") == [("orphan_object", True)]
    after = kept(alice.user_id, pending.id)
    assert (after.status, after.size) == ("ready", len(AUDIO))
    assert after.key not in (later, pending.key)
    assert kinds("--repair") == [("orphan_object", True)]  # by now it is a second copy
    assert verify("--deep") == []
    assert objects() == {after.key: AUDIO}
    check_books(alice.user_id)


def test_what_the_sweep_abandons_is_nobodys_purge(alice: Client, old: None) -> None:
    """A restored row waits for bytes that came under a later attempt, and nobody looks until the sweep gives it up."""
    pending = kept(alice.user_id, alice.create(AUDIO).json["recording"]["id"])
    make_due(alice.user_id, pending.id)
    assert sweep() == {"purged": 1}
    put(later := pending.key_of(pending.life + "f" * 16), AUDIO)
    assert tell(later) == {"unknown": 1}
    assert kinds("--repair") == [("orphan_object", True)]
    recovered(alice, Recording(pending.id, alice.user_id, attempt=later[-32:], sha256=pending.sha256))


def test_wrong_bytes_beside_an_upload_under_way_stay(alice: Client, old: None) -> None:
    pending = kept(alice.user_id, alice.create(AUDIO).json["recording"]["id"])
    put(pending.key_of("f" * 32), AUDIO[:-1])
    before = snapshot()
    assert kinds("--repair") == [("orphan_object", False)]
    assert snapshot() == before


def test_what_its_owner_purged_stays_purged(alice: Client, ready: Recording) -> None:
    """Under the key that was purged, and under those of earlier tries at the same upload."""
    alice.delete(f"recordings/{ready.id}/?permanent=true")
    late = [ready.key, ready.key_of(ready.life + "f" * 16)]
    for key in late:
        put(key, AUDIO)
    assert kinds("--repair") == [("orphan_object", True)] * 2
    assert row(alice.user_id, ready.id) is None
    assert not set(late) & set(objects())
    assert verify() == []


def purge(client: Client, id: str) -> None:
    assert client.delete(f"recordings/{id}/?permanent=true").status == 204


def test_all_attempts_of_a_life_are_purged_with_it(alice: Client, old: None) -> None:
    """Also those that the row has long forgotten: the URLs that led there may be good for hours."""
    id = alice.create(AUDIO).json["recording"]["id"]
    attempts = [kept(alice.user_id, id)]
    for size in (5, 6, len(AUDIO)):
        alice.create(AUDIO, size=size)
        attempts.append(kept(alice.user_id, id))
    assert len({attempt.key for attempt in attempts}) == 4
    purge(alice, id)
    for attempt in attempts:
        put(attempt.key, AUDIO)
    assert kinds("--repair") == [("orphan_object", True)] * 4
    assert (objects(), row(alice.user_id, id)) == ({}, None)


def recovered(alice: Client, lost: Recording) -> None:
    """It is there again with the bytes that were acknowledged, under an attempt of the same life, and nothing else
    differs any more.
    """
    found = kept(alice.user_id, lost.id)
    assert (found.status, found.life, found.sha256) == ("ready", lost.life, lost.sha256)
    assert found.attempt != lost.attempt
    assert found.verified_at
    assert objects()[found.key] == AUDIO
    assert lost.key not in objects()
    assert verify("--deep") == []
    check_books(alice.user_id)


@pytest.mark.parametrize("times", [1, 2])
def test_a_purge_says_nothing_of_what_was_uploaded_after_it(alice: Client, ready: Recording, times: int) -> None:
    for _ in range(times):
        purge(alice, ready.id)
        alice.upload(AUDIO)
    again = kept(alice.user_id, ready.id)
    lose_row(again)
    notes = [bool(note.deleted) for note in Change.all_of(alice.user_id, ready.id)]
    assert notes == [True] * times + [False]
    assert kinds("--repair") == [("orphan_object", True), ("stale_change", True)]
    recovered(alice, again)


def restore_tables(to: dict[str, Any]) -> None:
    """The tables as they were, and the bucket as it is."""
    for name in TABLES:
        table = boto3.resource("dynamodb", region_name=settings.AWS_REGION).Table(name)
        keys = [each["AttributeName"] for each in table.key_schema]
        for item in snapshot()[name]:
            table.delete_item(Key={key: item[key] for key in keys})
        for item in to[name]:
            table.put_item(Item=item)


def test_tables_of_a_moment_between_a_purge_and_the_next_upload(alice: Client, ready: Recording) -> None:
    purge(alice, ready.id)
    before = snapshot()
    alice.upload(AUDIO)
    again = kept(alice.user_id, ready.id)
    restore_tables(before)
    assert kinds("--repair") == [("orphan_object", True)]
    recovered(alice, again)


def test_a_row_is_lost_and_its_object_is_young(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run may not touch the object yet; nor may it say that the recording is gone."""
    lost = kept(alice.user_id, alice.upload(AUDIO).json["id"])
    lose_row(lost)
    before = snapshot()
    assert kinds("--repair") == [("missing_row", False)]
    assert snapshot() == before
    monkeypatch.setattr(check, "GRACE", -60.0)  # an hour later
    assert kinds("--repair") == [("orphan_object", True), ("stale_change", True)]
    recovered(alice, lost)


def test_a_row_is_lost_and_its_object_behind_a_delete_marker(alice: Client, ready: Recording) -> None:
    lose_row(ready)
    lose_object(ready)
    before = snapshot()
    (found,) = verify("--repair")
    assert (found["kind"], found["mended"]) == ("missing_row", False)
    assert "delete marker" in found["remedy"]
    assert snapshot() == before
    where = {"Bucket": settings.RECORDINGS_BUCKET, "Prefix": ready.key}
    (marker,) = s3().list_object_versions(**where)["DeleteMarkers"]
    s3().delete_object(Bucket=settings.RECORDINGS_BUCKET, Key=ready.key, VersionId=marker["VersionId"])
    assert kinds("--repair") == [("orphan_object", True), ("stale_change", True)]
    recovered(alice, ready)


def test_old_versions_of_what_was_purged_hold_no_tombstone_up(alice: Client, ready: Recording) -> None:
    """A later life of the same recording is lost altogether; what an earlier one has left is no hope for it."""
    purge(alice, ready.id)
    alice.upload(AUDIO)
    again = kept(alice.user_id, ready.id)
    lose_row(again)
    erase(again.key)
    assert kinds("--repair") == [("missing_row", True)]
    assert verify() == []


def test_a_tombstone_of_what_was_lost_keeps_nothing_from_coming_back(alice: Client, ready: Recording) -> None:
    """The object comes out of a backup, after the tombstone was written."""
    lose_row(ready)
    erase(ready.key)
    assert kinds("--repair") == [("missing_row", True)]
    put(ready.key, AUDIO)
    assert kinds("--repair") == [("orphan_object", True)]
    recovered(alice, ready)


def test_a_tombstone_that_does_not_say_whose_it_is_deletes_nothing(alice: Client, ready: Recording) -> None:
    """As earlier versions of Recorder wrote them, for what was purged and for what was lost."""
    purge(alice, ready.id)
    (note,) = Change.all_of(alice.user_id, ready.id)
    note.update([Change.life.remove()])
    Grave.of(ready.user_id, ready.id, ready.life).delete()
    put(ready.key, AUDIO)
    before = snapshot()
    assert kinds("--repair") == [("orphan_object", False)]
    assert snapshot() == before


def test_leftovers_go(alice: Client, old: None) -> None:
    id = alice.create(AUDIO, size=5).json["recording"]["id"]
    first = kept(alice.user_id, id)
    alice.create(AUDIO)
    put(first.key, b"12345")
    assert kinds("--repair") == [("leftover_object", True)]
    assert objects() == {}
    assert verify() == []


def test_an_account_without_a_ledger_is_reported_only(alice: Client, charlie: Client, ready: Recording) -> None:
    charlie.upload(AUDIO)
    Ledger(alice.user_id).delete()
    before = snapshot()
    assert set(kinds("--repair")) == {("no_account", False)}
    assert snapshot() == before


def test_one_account_only(alice: Client, charlie: Client, ready: Recording) -> None:
    charlies = kept(charlie.user_id, charlie.upload(AUDIO).json["id"])
    lose_object(ready)
    lose_object(charlies)
    found = verify("--account", charlie.user_id, "--repair")
    assert [each["account"] for each in found] == [charlie.user_id]
    assert [each["account"] for each in verify()] == [alice.user_id]


# What is under way.


def test_an_upload_begun_after_the_listing_is_left_alone(alice: Client, old: None) -> None:
    with meanwhile("BatchGetItem", lambda: alice.upload(AUDIO)):
        alice.upload(b"first")
        assert verify("--repair") == []
    check_books(alice.user_id)


@pytest.mark.parametrize("operation", ["BatchGetItem", "HeadObject", "ListObjectsV2", "Query"])
@pytest.mark.parametrize("act", ["rename", "purge", "trash", "replace", "close"])
def test_a_change_meanwhile_is_no_difference(alice: Client, ready: Recording, operation: str, act: str) -> None:
    path = f"recordings/{ready.id}/"
    acts: dict[str, Callable[[], object]] = {
        "rename": lambda: alice.patch(path, {"name": "New"}),
        "purge": lambda: alice.delete(f"{path}?permanent=true"),
        "trash": lambda: alice.delete(path),
        "replace": lambda: (alice.delete(f"{path}?permanent=true"), alice.upload(AUDIO)),
        "close": lambda: alice.delete("accounts/me/"),
    }
    with meanwhile(operation, acts[act]):
        assert verify("--repair") == []
    assert verify("--deep", "--repair") == []
    if act != "close":
        check_books(alice.user_id)


def test_young_objects_and_uploads_are_left_alone(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = kept(alice.user_id, alice.upload(AUDIO).json["id"])
    duplicate(ready)
    upload_id = storage.start_multipart(ready.key_of("f" * 32), "audio/wav")
    begun = storage.Listed(ready.key_of("f" * 32), 0, datetime.datetime.now(datetime.UTC), upload_id)
    monkeypatch.setattr(storage, "list_uploads", lambda prefix: [[begun]])  # moto's uploads all began in 2010
    before = snapshot()
    assert verify("--repair") == []
    assert snapshot() == before


def test_a_mend_that_comes_too_late_does_nothing(alice: Client, ready: Recording) -> None:
    """Between the finding and the write, the owner purged it."""
    lose_object(ready)
    with meanwhile("CopyObject", lambda: alice.delete(f"recordings/{ready.id}/?permanent=true")):
        assert kinds("--repair") == [("missing_object", False)]
    assert row(alice.user_id, ready.id) is None
    assert ready.key not in objects()
    assert verify() == []
    check_books(alice.user_id)


def test_a_closing_under_way_is_the_sweeps(alice: Client, ready: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.services.finish_closing", lambda *args: None)
    dangle(ready)
    alice.delete("accounts/me/")
    lose_change(ready)
    before = snapshot()
    assert verify("--repair") == []
    assert snapshot() == before


# The command.


def test_says_in_words_what_it_found(alice: Client, ready: Recording) -> None:
    drift(ready)
    output = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("verify_storage", "--repair", stdout=output)
    used = ready.size + len(b"another one")
    assert output.getvalue() == (
        f"wrong_usage {alice.user_id}: {used + 7} bytes in the ledger, {used} in rows [mended: set to the sum]\n"
        "2 rows, 2 objects, 1 accounts: 1 differences, 1 mended\n"
    )


def test_cost_follows_the_rows(alice: Client, old: None) -> None:
    for number in range(12):
        alice.upload(b"%d" % number)
    with calls() as sent:
        assert verify() == []
    assert {name: sent.count(name) for name in set(sent)} == {
        "Scan": 7,  # logins, feeds, accounts and replaced sessions, the ledgers for accounts; the rows, the ledgers
        # Account and ledger of each other, a guest's work; change rows and ledgers of the rows, rows of the objects,
        # rows of the changes
        "BatchGetItem": 7,
        "HeadObject": 12,
        "ListObjectsV2": 1,
        "ListMultipartUploads": 1,
        "GetItem": 2,  # the ledger before and after its account
        "Query": 1,
    }


def test_shows_how_far_it_is_on_a_terminal_only(alice: Client, ready: Recording) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for screen, shown in ((Terminal(), True), (io.StringIO(), False)):
        call_command("verify_storage", stderr=screen, stdout=io.StringIO())
        assert ("2 rows" in screen.getvalue()) is shown


def test_a_row_in_one_of_the_old_shards_stands_where_the_sweep_looks(alice: Client) -> None:
    row = kept(alice.user_id, alice.record(AUDIO)["id"])
    assert alice.delete(f"recordings/{row.id}/").status == 204
    update(row, Recording.due_shard.set(due_shard(row.id)[0]))
    assert verify() == []
