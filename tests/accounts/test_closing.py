"""DELETE accounts/me/: closed at once, and what it held is gone soon."""

from typing import Any

import boto3
import pytest
from django.conf import settings
from django.core.management import call_command

from accounts.models import Account, Identity
from recordings.models import MULTIPART
from tests.accounts.test_sessions import another_device
from tests.client import Client, send
from tests.state import failing, kept, meanwhile, objects, sessions, snapshot, traces, work

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
    assert traces(alice.user_id) == []
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
    assert traces(alice.user_id) == []
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
    assert traces(alice.user_id) == []


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
    assert work("account", alice.user_id) is None
    assert sessions(alice.user_id) == []
