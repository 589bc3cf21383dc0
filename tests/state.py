"""What is stored, and what goes to AWS: for tests that assert state, count calls, or make a call fail."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from django.conf import settings

from accounts.models import Session
from aws import s3 as storage
from aws.dynamo import dynamo
from recordings.keys import RecordingId, UserId
from recordings.models import Change, Ledger, Recording, Work, due_shard

LONG_AGO = "2020-01-01T00:00:00.000Z"
TABLES = (settings.USERS_TABLE, settings.RECORDINGS_TABLE, settings.CHANGES_TABLE)


@cache
def _resources() -> tuple[Any, Any]:
    """AWS past the app: the tables and the bucket."""
    s3 = boto3.resource("s3", region_name=settings.AWS_REGION)
    return boto3.resource("dynamodb", region_name=settings.AWS_REGION), s3.Bucket(settings.RECORDINGS_BUCKET)


def snapshot() -> dict[str, Any]:
    """Every row of every table, every version of every object with its bytes, every multipart upload."""
    tables, bucket = _resources()
    stored: dict[str, Any] = {
        name: sorted(tables.Table(name).scan(ConsistentRead=True)["Items"], key=repr) for name in TABLES
    }
    stored["objects"] = {item.key: item.get()["Body"].read() for item in bucket.objects.all()}
    stored["versions"] = sorted((version.object_key, version.id) for version in bucket.object_versions.all())
    stored["uploads"] = sorted(upload.id for upload in bucket.multipart_uploads.all())
    return stored


def traces(user_id: str) -> list[str]:
    """Where anything stored still names this account."""
    return [name for name, content in snapshot().items() if user_id in repr(content)]


def remains(user_id: str) -> list[str]:
    """Where anything is stored of a closed account, but for what says until the last look that it is closed."""
    last = ({"id": f"account:{user_id}"}, {"user_id": user_id, "version": 0, "closed": True})

    def tells(row: Any) -> bool:
        return not (isinstance(row, dict) and any(each.items() <= row.items() for each in last))

    stored = {name: list(filter(tells, rows)) if name in TABLES else rows for name, rows in snapshot().items()}
    return [name for name, content in stored.items() if user_id in repr(content)]


def let_urls_end(user_id: str) -> None:
    """The account was closed so long ago that the sweep may have its last look."""
    order = work("account", user_id)
    assert order is not None
    order.update([Work.created_at.set(LONG_AGO), Work.due_at.set(LONG_AGO)])


def objects() -> dict[str, bytes]:
    found: dict[str, bytes] = snapshot()["objects"]
    return found


def undoable(key: str) -> list[bytes]:
    """What the operator can have back of an object that was deleted: the bytes of its old versions, newest first."""
    _, bucket = _resources()
    found = sorted(bucket.object_versions.filter(Prefix=key), key=lambda each: each.last_modified, reverse=True)
    return [each.get()["Body"].read() for each in found if each.size is not None and not each.is_latest]


def put(key: str, content: bytes, **options: Any) -> None:
    """Bytes that come into the bucket past the presigned URL, and without a checksum unless `options` have one."""
    _resources()[1].put_object(Key=key, Body=content, **options)


def row(user_id: str, id: str) -> Recording | None:
    return Recording.find(RecordingId(id), UserId(user_id))


def kept(user_id: str, id: str) -> Any:
    """The stored Recording, which must be there. (PynamoDB types what may be absent as if it never were.)"""
    found = row(user_id, id)
    assert found is not None
    return found


def ledger(user_id: str) -> Ledger:
    found = Ledger.find(user_id, 0)
    assert found is not None
    return found


def changes(user_id: str) -> dict[str, tuple[int, bool]]:
    """(version, deleted) of each recording's newest change. Older ones may only be tombstones."""
    found: dict[str, tuple[int, bool]] = {}
    for row in Change.query(user_id, Change.version >= 1, consistent_read=True):
        id = str(row.recording_id)
        assert id not in found or found[id][1]
        found[id] = row.version, bool(row.deleted)
    return found


def check_books(user_id: str, *, whole: bool = True) -> None:
    """The ledger and the changes say what the recordings say. Where not all of them are left (not `whole`), the ledger
    may have given versions of which nothing is there.
    """
    rows = list(Recording.scan(Recording.user_id == user_id, consistent_read=True))
    rows = [row for row in rows if ":" not in row.id]
    book, noted, ids = ledger(user_id), changes(user_id), {row.id for row in rows}
    assert book.used_bytes == sum(max(row.size, row.kept_size or 0) for row in rows)
    assert {row.id: (row.version, row.status == "purging") for row in rows}.items() <= noted.items()
    assert all(deleted for id, (_, deleted) in noted.items() if id not in ids)
    newest = max((version for version, _ in noted.values()), default=0)
    assert newest == book.last_version if whole else newest <= book.last_version


def work(kind: str, user_id: str) -> Work | None:
    return Work.find(f"{kind}:{user_id}", user_id)


def make_due(user_id: str, id: str) -> None:
    """What waits for its time, has waited long enough."""
    row = Recording(RecordingId(id), UserId(user_id))
    row.update([Recording.due_at.set(LONG_AGO), Recording.due_shard.set(due_shard(id))])


def sessions(user_id: str) -> list[Session]:
    return Session.all_of(UserId(user_id))


def _clients() -> list[Any]:
    return [dynamo().client, storage.client(), storage.copier()]


@contextmanager
def _hook(event: str, handler: Callable[..., Any]) -> Iterator[None]:
    clients = _clients()
    for client in clients:
        client.meta.events.register_first(event, handler)
    try:
        yield
    finally:
        for client in clients:
            client.meta.events.unregister(event, handler)


@contextmanager
def calls() -> Iterator[list[str]]:
    """The operations that the app sends, in order, each try counted: what botocore is about to put on the wire."""
    sent: list[str] = []

    def note(event_name: str, **_: Any) -> None:
        sent.append(event_name.rpartition(".")[2])

    with _hook("before-send", note):
        yield sent


@dataclass
class _Refusal:
    status_code: int


@contextmanager
def failing(*operations: str, code: str = "ServiceUnavailable", status: int = 503) -> Iterator[list[str]]:
    """AWS refuses these operations, after botocore's own retries. Yields those that were refused."""
    refused: list[str] = []

    def refuse(model: Any, **_: Any) -> tuple[_Refusal, dict[str, Any]] | None:
        if model.name not in operations:
            return None
        refused.append(model.name)
        metadata = {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 2}
        return _Refusal(status), {"Error": {"Code": code, "Message": "made up"}, "ResponseMetadata": metadata}

    with _hook("before-call", refuse):
        yield refused


@contextmanager
def before_each(operation: str, act: Callable[[], object]) -> Iterator[None]:
    """Just before each of the app's calls of `operation`, somebody else does `act`."""

    def interrupt(model: Any, **_: Any) -> None:
        if model.name == operation:
            act()

    with _hook("before-call", interrupt):
        yield


@contextmanager
def meanwhile(operation: str, act: Callable[[], object], *, nth: int = 1) -> Iterator[None]:
    """Once, just before the app's next (or nth) `operation`, somebody else does `act`."""
    waiting: list[Callable[[], object]] = [act, *[lambda: None] * (nth - 1)]
    with before_each(operation, lambda: waiting and waiting.pop()()):
        yield
    assert not waiting, f"There was no {operation}."
