"""What a recording has let go of never becomes its own again, since deletes that were decided then may come late.

In each story somebody decides to delete what an attempt has left, and stands still. Meanwhile bytes come under its
key, the recording gets them, and its owner hears that they are safe.
"""

from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import settings

from aws import s3
from aws.dynamo import Conflict
from lib.problems import Problem
from operations.fsck import check as verifying
from operations.fsck import repair
from recordings import uploads
from recordings.models import Ledger, Recording
from recordings.serializers import CreateSerializer
from tests.client import Client, declare, send
from tests.recordings.test_events import send_parts, tell
from tests.recordings.test_verifying import kinds, lose_row, verify
from tests.state import check_books, failing, kept, meanwhile, objects, put, row, snapshot

AUDIO = b"RIFF, more or less" * 10
LARGE = bytes(range(256)) * (17 * 4096)  # 17 MiB: three parts


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test has just put there counts as old."""
    monkeypatch.setattr(verifying, "GRACE", -60.0)


class Phone:
    """Begins an upload whose bytes come late."""

    def __init__(self, client: Client) -> None:
        self.client, self.created = client, client.create(AUDIO).json
        self.id = self.created["recording"]["id"]
        self.key = kept(client.user_id, self.id).key

    def begin_in_a_page(self) -> Recording:
        """A page with Uppy begins the same upload, in parts."""
        declared = CreateSerializer.read(declare(AUDIO))
        uploads.declare(self.client.user_id, declared, any_parts=True)
        found: Recording = kept(self.client.user_id, self.id)
        return found

    def come_late(self) -> None:
        """The recording has moved on twice, and forgotten the first attempt; then its bytes come, and all is well."""
        self.client.create(AUDIO, size=5)
        self.client.create(AUDIO)
        self.arrive()

    def arrive(self) -> None:
        assert send(self.created["upload"], AUDIO).status_code in (200, 412)
        tell(self.key)
        done = self.client.post(f"recordings/{self.id}/complete/")
        assert (done.status, done.json["status"], bool(done.json["verified_at"])) == (200, "ready", True)

    def check(self) -> None:
        """What was acknowledged is there, and nothing else."""
        found = kept(self.client.user_id, self.id)
        assert (found.status, bool(found.verified_at)) == ("ready", True)
        assert objects() == {found.key: AUDIO}
        assert found.key != self.key
        check_books(self.client.user_id)
        assert verify("--deep") == []


@pytest.fixture
def phone(alice: Client) -> Phone:
    return Phone(alice)


def test_a_complete_that_read_its_row_earlier(alice: Client, phone: Phone) -> None:
    page = phone.begin_in_a_page()
    part: Any = {"Bucket": settings.RECORDINGS_BUCKET, "Key": page.key, "UploadId": page.upload_id}
    s3.client().upload_part(**part, PartNumber=1, Body=AUDIO)

    def story() -> None:
        alice.create(AUDIO)  # the phone again; the page's attempt remembers the phone's first one as over
        phone.arrive()

    with meanwhile("GetObject", story):  # the page's parts are put together, and about to be read
        done = alice.post(f"recordings/{phone.id}/complete/")
    assert (done.status, done.json["status"], bool(done.json["verified_at"])) == (200, "ready", True)
    phone.check()


def test_a_restart_that_is_slow_to_clean_up(phone: Phone) -> None:
    with meanwhile("DeleteObject", phone.come_late):
        phone.begin_in_a_page()
    phone.check()


def test_an_old_event_that_is_slow_to_remove(phone: Phone) -> None:
    phone.begin_in_a_page()
    put(phone.key, AUDIO)
    with meanwhile("DeleteObject", phone.come_late):
        assert tell(phone.key) == {"orphan": 1}
    phone.check()


def test_a_small_upload_that_is_slow_to_delete(alice: Client, phone: Phone) -> None:
    with ExitStack() as stack:

        def move_on() -> None:
            alice.create(AUDIO, size=5)
            alice.create(AUDIO)
            stack.enter_context(meanwhile("DeleteObject", phone.arrive))

        with meanwhile("PutObject", move_on):
            assert alice.upload(AUDIO).json["status"] == "ready"
    phone.check()


def test_a_slow_restart_beside_a_row_that_is_recovered(alice: Client, phone: Phone, old: None) -> None:
    def story() -> None:
        lost = kept(alice.user_id, phone.id)
        lost.delete()
        Ledger(alice.user_id).update([Ledger.used_bytes.add(-lost.used_bytes)])
        put(phone.key, AUDIO)
        assert ("orphan_object", True) in kinds("--repair")

    with meanwhile("DeleteObject", story):
        alice.create(AUDIO, size=5)
    phone.check()


def test_a_small_upload_erases_nothing_of_an_account_whose_ledger_is_lost(alice: Client) -> None:
    """Somebody else had completed the very attempt that it wrote to."""
    created = alice.create(AUDIO).json["recording"]

    def story() -> None:
        assert alice.post(f"recordings/{created['id']}/complete/").json["verified_at"]
        Ledger(alice.user_id).delete()

    with meanwhile("TransactWriteItems", story):
        assert alice.upload(AUDIO).code == "account_closed"
    assert objects() == {kept(alice.user_id, created["id"]).key: AUDIO}


# Between the row and the copy.


def late(alice: Client, content: bytes = AUDIO, **fields: Any) -> tuple[Recording, str]:
    """An upload, and its bytes under a later attempt that its row does not know."""
    pending = kept(alice.user_id, alice.create(content, **fields).json["recording"]["id"])
    key = pending.key_of(pending.life + "f" * 16)
    put(key, content)
    return pending, key


@pytest.mark.parametrize("again", ["event", "verify_storage"])
def test_a_copy_that_fails_is_made_the_next_time(alice: Client, old: None, again: str) -> None:
    pending, key = late(alice, size=5)
    with failing("CopyObject") as refused, pytest.raises(Problem):
        tell(key)
    assert refused
    waiting = kept(alice.user_id, pending.id)
    assert (waiting.status, waiting.size, waiting.upload_id) == ("uploading", len(AUDIO), None)
    assert waiting.attempt != pending.attempt
    if again == "event":
        assert tell(key) == {"orphan": 1}
    else:
        assert kinds("--repair") == [("orphan_object", True)] == kinds("--repair")
    ready = kept(alice.user_id, pending.id)
    assert (ready.attempt, bool(ready.verified_at)) == (waiting.attempt, True)
    assert objects() == {ready.key: AUDIO}
    check_books(alice.user_id)


def test_a_recovery_that_fails_is_finished_the_next_time(alice: Client, old: None) -> None:
    lost = kept(alice.user_id, alice.record(AUDIO)["id"])
    lose_row(lost)
    with failing("CopyObject"):
        assert ("orphan_object", False) in kinds("--repair")
    assert kept(alice.user_id, lost.id).status == "uploading"
    assert objects() == {lost.key: AUDIO}
    assert ("orphan_object", True) in kinds("--repair")
    kinds("--repair")  # which takes the second copy
    assert alice.get(f"recordings/{lost.id}/").json["verified_at"]
    assert objects() == {kept(alice.user_id, lost.id).key: AUDIO}
    check_books(alice.user_id)


@pytest.mark.parametrize("came", [True, False], ids=["the copy came", "no copy"])
def test_a_large_one_is_sent_again_where_no_copy_came(alice: Client, came: bool) -> None:
    """Its row waits for one object, larger than one PUT may be for some clients."""
    pending, key = late(alice, LARGE, size=len(LARGE) - 1)
    with failing("CopyObject"), pytest.raises(Problem):
        tell(key)
    waiting = kept(alice.user_id, pending.id)
    if came:
        put(waiting.key, LARGE)
    else:
        s3.erase(key)
    answer = alice.create(LARGE)
    if not came:
        assert answer.json["upload"]["kind"] == "multipart"
        send_parts(alice, pending.id, LARGE)
    assert alice.post(f"recordings/{pending.id}/complete/").json["status"] == "ready"
    ready = kept(alice.user_id, pending.id)
    assert (ready.attempt == waiting.attempt) is came
    assert objects()[ready.key] == LARGE
    check_books(alice.user_id)


def test_a_copy_that_comes_too_late_goes_again(alice: Client) -> None:
    """The row has let go of the attempt that it was made for; the next look makes another."""
    pending, key = late(alice)
    with meanwhile("CopyObject", lambda: alice.create(AUDIO, size=5)):
        assert tell(key) == {"orphan": 1}
    ready = kept(alice.user_id, pending.id)
    assert (ready.status, ready.size) == ("ready", len(AUDIO))
    assert ready.attempt != pending.attempt
    assert objects() == {ready.key: AUDIO}
    check_books(alice.user_id)


def test_a_copy_for_what_was_purged_meanwhile_goes(alice: Client) -> None:
    pending, key = late(alice)
    with meanwhile("CopyObject", lambda: alice.delete(f"recordings/{pending.id}/")):
        assert tell(key) == {"orphan": 1}
    assert (row(alice.user_id, pending.id), objects()) == (None, {})
    check_books(alice.user_id)


def test_a_source_that_goes_before_it_is_copied_is_no_failure(alice: Client) -> None:
    pending, key = late(alice)
    with meanwhile("CopyObject", lambda: s3.erase(key)):
        assert tell(key) == {"gone": 1}
    assert kept(alice.user_id, pending.id).status == "uploading"
    assert objects() == {}
    check_books(alice.user_id)


def test_a_multipart_upload_can_not_come_over_a_copy(alice: Client) -> None:
    """Its attempt is over before anything is copied."""
    pending, key = late(alice, LARGE)
    assert pending.upload_id
    assert tell(key) == {"orphan": 1}
    ready = kept(alice.user_id, pending.id)
    assert (ready.status, bool(ready.verified_at), ready.attempt == pending.attempt) == ("ready", True, False)
    assert snapshot()["uploads"] == []
    assert objects() == {ready.key: LARGE}


def test_a_purge_under_way_gets_nothing(alice: Client) -> None:
    """verify_storage looks again when it mends, and meanwhile its owner has begun to purge the recording."""
    pending, key = late(alice)
    with failing("DeleteObject"):
        assert alice.delete(f"recordings/{pending.id}/").status == 204
    before = snapshot()
    listed = next(item for page in s3.list_objects(key) for item in page)
    remedy = repair.home(listed, alice.user_id, pending.id, key[-32:])
    assert remedy.act
    with pytest.raises(Conflict):
        remedy.act()
    assert snapshot() == before
