"""DELETE accounts/me/: closed at once, and what it held is gone soon."""

from collections.abc import Callable
from math import inf
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from django.conf import settings
from django.core.management import call_command

from accounts import services
from accounts.models import Account, Identity
from aws.presign import UPLOAD_SECONDS
from lib.clock import days_from_now, seconds_since
from operations import sweep as sweeping
from operations.events import object_created
from operations.sweep import sweep
from recordings.keys import UserId
from recordings.models import MULTIPART, Ledger, Work
from tests.accounts.test_sessions import another_device
from tests.client import Client, send
from tests.recordings.test_verifying import kinds
from tests.state import (
    LONG_AGO,
    changes,
    failing,
    kept,
    let_urls_end,
    make_due,
    meanwhile,
    objects,
    remains,
    sessions,
    snapshot,
    traces,
    undoable,
    work,
)

AUDIO = b"RIFF, more or less"


def test_leaves_nothing_of_it_and_everything_of_others(alice: Client, charlie: Client) -> None:
    charlie.record(AUDIO)
    before = snapshot()
    tablet = another_device(alice, "Tablet")
    for content in (b"library", b"trash", b"purged"):
        alice.record(content)
    trashed, purged, _ = alice.shelf()
    alice.delete(f"recordings/{trashed}/")
    alice.delete(f"recordings/{purged}/?permanent=true")
    send(alice.create(b"uploading").json["upload"], b"uploading")
    client = boto3.client("s3", region_name=settings.AWS_REGION)
    key = f"recordings/{alice.user_id}/x/y"
    client.create_multipart_upload(Bucket=settings.RECORDINGS_BUCKET, Key=key)
    answer = alice.delete("accounts/me/")
    assert (answer.status, answer.content) == (202, b"")
    for device in (alice, tablet):
        assert device.get("accounts/me/").status == 401
    assert remains(alice.user_id) == []
    after = snapshot()
    assert after["test-users"] == [row for row in before["test-users"] if row["id"] != alice.user_id]
    assert {name: after[name] for name in ("objects", "versions", "uploads")} == {
        name: before[name] for name in ("objects", "versions", "uploads")
    }


def test_again_is_not_signed_in(alice: Client) -> None:
    alice.delete("accounts/me/")
    answer = alice.delete("accounts/me/")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_the_same_content_can_come_to_a_new_account(alice: Client, charlie: Client) -> None:
    alice.record(AUDIO)
    alice.delete("accounts/me/")
    assert charlie.record(AUDIO)["status"] == "ready"


@pytest.mark.parametrize(
    "operation",
    [
        "ListMultipartUploads",
        "ListObjectVersions",
        "DeleteObjects",
        "BatchWriteItem",
        "DeleteItem",
        "Query",
    ],
)
def test_whatever_fails_it_is_closed_at_once_and_finished_by_the_sweep(alice: Client, operation: str) -> None:
    alice.record(AUDIO)
    with failing(operation) as refused:
        status = alice.delete("accounts/me/").status
    assert refused
    assert status in (202, 503)
    account = Account.of(alice.user_id)
    assert account is None or account.closed_at
    assert alice.get("accounts/me/").status == 401
    assert alice.upload(b"more").status == 401
    call_command("sweep", verbosity=0)
    assert remains(alice.user_id) == []
    assert objects() == {}


def test_nothing_is_closed_while_the_first_step_fails(alice: Client) -> None:
    alice.record(AUDIO)
    before = snapshot()
    with failing("TransactWriteItems"):
        assert alice.delete("accounts/me/").status == 503
    assert snapshot() == before
    assert alice.get("accounts/me/").status == 200


def test_identities_go_with_it(alice: Client) -> None:
    identity = Identity("identity:example:1", user_id=alice.user_id)
    identity.save()
    Account(alice.user_id).update([Account.identities.set([identity.id])])
    alice.delete("accounts/me/")
    assert "identity:example:1" not in repr(snapshot())


def test_twice_at_once_is_once(alice: Client) -> None:
    alice.record(AUDIO)
    tablet = another_device(alice, "Tablet")
    with meanwhile("TransactWriteItems", lambda: tablet.delete("accounts/me/")):
        assert alice.delete("accounts/me/").status in (202, 401)
    assert remains(alice.user_id) == []


@pytest.mark.parametrize(
    ("operation", "nth"),
    [
        ("ListMultipartUploads", 1),
        ("AbortMultipartUpload", 1),
        ("ListObjectVersions", 1),
        ("BatchWriteItem", 1),
        ("ListMultipartUploads", 2),
        ("ListObjectVersions", 2),
    ],
)
def test_uploads_that_were_under_way_leave_nothing(alice: Client, operation: str, nth: int) -> None:
    """They end in S3 after the account was closed, at whatever moment before the last look."""
    whole, parts = alice.create(AUDIO).json["upload"], alice.create(b"in parts", size=MULTIPART).json["recording"]
    row = kept(alice.user_id, parts["id"])
    client = boto3.client("s3", region_name=settings.AWS_REGION)
    where = {"Bucket": settings.RECORDINGS_BUCKET, "Key": row.key, "UploadId": row.upload_id}
    part: Any = {"PartNumber": 1, "ETag": client.upload_part(**where, PartNumber=1, Body=b"in parts")["ETag"]}

    def arrive() -> None:
        send(whole, AUDIO)
        if snapshot()["uploads"]:
            client.complete_multipart_upload(**where, MultipartUpload={"Parts": [part]})

    with meanwhile(operation, arrive, nth=nth):
        assert alice.delete("accounts/me/").status == 202
    assert {name: snapshot()[name] for name in ("objects", "versions", "uploads")} == {
        "objects": {},
        "versions": [],
        "uploads": [],
    }
    assert sessions(alice.user_id) == []


HOUR = 1 / 24


def test_what_arrives_after_it_goes_within_eight_hours_whatever_event_is_lost(alice: Client) -> None:
    whole = alice.create(AUDIO).json["upload"]
    parts = alice.create(b"in parts", size=MULTIPART).json["recording"]
    row = kept(alice.user_id, parts["id"])
    client = boto3.client("s3", region_name=settings.AWS_REGION)
    assert alice.delete("accounts/me/").status == 202
    assert send(whole, AUDIO).status_code == 200  # its URL lives for hours, and no event comes
    client.create_multipart_upload(Bucket=settings.RECORDINGS_BUCKET, Key=row.key)
    assert dict(sweep()) == {}
    order = work("account", alice.user_id)
    assert order is not None
    assert UPLOAD_SECONDS < -seconds_since(order.due_at) < 8 * 3600 - 5 * 60
    assert list(objects().values()) == [AUDIO]
    let_urls_end(alice.user_id)
    assert dict(sweep()) == {"forgotten": 1}
    assert traces(alice.user_id) == []
    assert dict(sweep()) == {}


def test_a_late_event_knows_that_the_account_is_closed(alice: Client) -> None:
    upload = alice.create(AUDIO).json
    key = kept(alice.user_id, upload["recording"]["id"]).key
    alice.delete("accounts/me/")
    assert send(upload["upload"], AUDIO).status_code == 200
    assert object_created(key) == "orphan"
    assert (objects(), undoable(key)) == ({}, [AUDIO])
    let_urls_end(alice.user_id)
    assert dict(sweep()) == {"forgotten": 1}
    assert snapshot()["versions"] == []


def test_the_last_look_comes_no_sooner_than_urls_end(alice: Client) -> None:
    alice.delete("accounts/me/")
    order = work("account", alice.user_id)
    assert order is not None
    order.update([Work.created_at.set(days_from_now(-6.5 * HOUR)), Work.due_at.set(LONG_AGO)])
    assert dict(sweep()) == {"closed": 1}
    order.update([Work.created_at.set(days_from_now(-7.5 * HOUR)), Work.due_at.set(LONG_AGO)])
    assert dict(sweep()) == {"forgotten": 1}


def lose_account(user_id: str) -> None:
    Account(user_id).delete()


def lose_ledger(user_id: str) -> None:
    Ledger(user_id).delete()


def close_ledger(user_id: str) -> None:
    Ledger(user_id).update([Ledger.closed.set(True)])


def close_account(user_id: str) -> None:
    Account(user_id).update([Account.closed_at.set(LONG_AGO)])


@pytest.mark.parametrize("tear", [lose_account, lose_ledger, close_ledger, close_account])
def test_nothing_is_erased_unless_both_tables_say_closed(
    alice: Client, tear: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    alice.record(AUDIO)
    tear(alice.user_id)
    make_due(alice.user_id, f"account:{alice.user_id}")
    before = snapshot()
    assert dict(sweep()) == {"unclear": 1}
    assert f"account:{alice.user_id} of {alice.user_id}" in caplog.text
    after = snapshot()
    for rows in (before["test-recordings"], after["test-recordings"]):
        for row in rows:
            row.pop("due_at", None)
    assert after == before
    assert list(objects().values()) == [AUDIO]


def closed_with(client: Client, number: int) -> None:
    """So many recordings in an account that is closed, and nothing of it is gone yet."""
    for each in range(number):
        client.record(b"%d" % each)
    with failing("ListObjectVersions"):
        assert client.delete("accounts/me/").status == 202


@pytest.mark.parametrize(("operation", "objects_left"), [("ListObjectVersions", 3), ("BatchWriteItem", 0)])
def test_each_piece_asks_the_ledger_anew(
    alice: Client, operation: str, objects_left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after tables were restored while the sweep worked."""
    closed_with(alice, 3)
    monkeypatch.setattr("recordings.transactions.BATCH", 1)
    with meanwhile(operation, lambda: Ledger(alice.user_id).update([Ledger.closed.remove()])):
        assert dict(sweep()) == {"unclear": 1}
    assert len(objects()) == objects_left
    assert len(changes(alice.user_id)) >= 2


def test_a_long_closing_goes_on_in_slices(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    closed_with(alice, 5)
    monkeypatch.setattr("recordings.transactions.BATCH", 1)
    turns: list[str] = []

    def briefly(user_id: UserId, until: float) -> str:
        """For two pieces."""
        asked = iter((0.0, 0.0))
        clock = SimpleNamespace(monotonic=lambda: next(asked, inf))
        with monkeypatch.context() as patch:
            patch.setattr("recordings.trash.time", clock)
            turns.append(services.finish_closing(user_id, 1.0))
        return turns[-1]

    monkeypatch.setattr(sweeping, "finish_closing", briefly)
    assert dict(sweep()) == {"closed": 1}
    assert turns == ["going on", "going on", "closed"]
    assert remains(alice.user_id) == []


def test_two_sweeps_meet_at_the_end(alice: Client) -> None:
    alice.record(AUDIO)
    alice.delete("accounts/me/")
    let_urls_end(alice.user_id)
    with meanwhile("TransactWriteItems", sweep):
        assert dict(sweep()) == {"changed": 1}
    assert traces(alice.user_id) == []


def test_verify_storage_finds_a_closed_account_that_the_sweep_does_not_know(alice: Client) -> None:
    alice.record(AUDIO)
    with failing("ListObjectVersions"):
        alice.delete("accounts/me/")
    assert kinds() == []
    order = work("account", alice.user_id)
    assert order is not None
    order.delete()
    assert dict(sweep()) == {}
    assert kinds() == [("missing_work", False)]
    assert kinds("--repair") == [("missing_work", True)]
    assert dict(sweep()) == {"closed": 1}
    assert remains(alice.user_id) == []
    assert kinds() == []
