"""verify_storage on real peers: versions, delete markers and uploads as S3 has them, and others at work meanwhile."""

import contextlib
import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests
from django.conf import settings
from django.core.management import call_command

from aws import s3 as storage
from operations.fsck import check as verifying
from recordings.models import Change, Ledger
from tests.client import Client, sha256
from tests.state import check_books, kept

CONTENT = b"what was said" * 1000


def verify(*options: str) -> list[dict[str, Any]]:
    output = io.StringIO()
    with contextlib.suppress(SystemExit):
        call_command("verify_storage", "--json", "--deep", *options, stdout=output)
    return [json.loads(line) for line in output.getvalue().splitlines()]


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "GRACE", -60.0)


def s3() -> Any:
    return boto3.client("s3", endpoint_url=settings.S3_ENDPOINT_URL, region_name=settings.AWS_REGION)


def downloaded(client: Client, id: str) -> bytes:
    url = client.get(f"recordings/{id}/download/?redirect=false").json["url"]
    return requests.get(url, timeout=60).content


def test_finds_and_mends_everything_at_once(alice: Client, charlie: Client, old: None) -> None:
    """One account with one of each; another one that nothing may touch."""
    theirs = charlie.record(CONTENT)
    rows = [kept(alice.user_id, alice.record(CONTENT + bytes([number]))["id"]) for number in range(6)]
    gone, replaced, unbooked, unnamed, misplaced, doubled = rows
    s3().delete_object(Bucket=settings.RECORDINGS_BUCKET, Key=gone.key)
    s3().put_object(Bucket=settings.RECORDINGS_BUCKET, Key=replaced.key, Body=b"something else")
    Change(alice.user_id, unbooked.version).delete()
    unnamed.delete()
    misplaced.update([type(misplaced).shelf.set(f"{alice.user_id}#trash")])
    s3().put_object(Bucket=settings.RECORDINGS_BUCKET, Key=doubled.key_of("f" * 32), Body=CONTENT + b"\x05")
    storage.start_multipart(doubled.key_of("e" * 32), "audio/wav")
    Ledger(alice.user_id).update([Ledger.used_bytes.add(7)])

    expected = ["dangling_upload", "missing_change", "missing_object", "missing_row", "orphan_object", "orphan_object"]
    expected += ["wrong_shelf", "wrong_size", "wrong_usage"]
    found = verify()
    assert sorted(each["kind"] for each in found) == expected
    assert {each["account"] for each in found} == {alice.user_id}
    assert all(each["mended"] for each in verify("--repair"))
    assert verify() == []
    for row in rows:
        assert sha256(downloaded(alice, row.id)) == row.sha256
    assert downloaded(charlie, theirs["id"]) == CONTENT
    check_books(alice.user_id)


@pytest.fixture
def life(alice: Client) -> Iterator[list[str]]:
    """Recordings come, change and go all the time, in a thread. Yields the ids of those that stay."""
    stop, staying = threading.Event(), []

    def live() -> None:
        client, number = Client(alice.auth_key, alice.user_id, alice.session_id), 0
        while not stop.is_set():
            number += 1
            row = client.record(CONTENT + b"%d" % number)
            client.patch(f"recordings/{row['id']}/", {"notes": "x"})
            if number % 2:
                client.delete(f"recordings/{row['id']}/?permanent=true")
            else:
                staying.append(row["id"])

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield staying
    finally:
        stop.set()
        thread.join()


def test_leaves_alone_what_is_under_way(alice: Client, life: list[str], old: None) -> None:
    """Others write all the time, and even without a grace nothing of theirs looks like a difference."""
    for number in range(100):
        assert verify("--repair") == []
        if number >= 4 and life:
            break
    assert life
    check = alice.get("recordings/?limit=200").json["results"]
    assert {row["status"] for row in check} == {"ready"}
