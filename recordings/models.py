"""The tables `recordings` and `changes`, and every write to them.

A recording changes in one way only: `add`, `change` or `remove`, each a single TransactWriteItems over the recording,
its account's ledger and its change row. All of them raise `Conflict` when what the caller had read is no longer so.
Botocore's errors end here: what is temporary becomes a 503 Problem, what is a fault of ours passes through.
"""

import datetime
import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Self, cast

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from pynamodb.attributes import (
    Attribute,
    BinaryAttribute,
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.connection import Connection, TableConnection
from pynamodb.constants import NUMBER
from pynamodb.exceptions import TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection, KeysOnlyProjection
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from recorder_project.logs import called
from recorder_project.problems import unavailable

# A request makes about five calls and Lambda gives it 30 seconds: three tries of at most 3 s each.
CONNECT_TIMEOUT, READ_TIMEOUT, RETRIES = 1, 3, 2
TOMBSTONE_DAYS = 100
CLASHES = {"ConditionalCheckFailed", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
PASSING = {
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
}


class Conflict(Exception):  # noqa: N818 - an answer to act on, not an error
    """Somebody else wrote first: read again and decide again."""


def now() -> str:
    """The time as the tables and the API write it: ISO 8601, UTC, milliseconds."""
    return stamp(datetime.datetime.now(datetime.UTC))


def stamp(moment: datetime.datetime) -> str:
    """`moment` (aware) in the one form that sorts as text."""
    return moment.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def seconds_since(moment: str) -> float:
    """How long ago a time of the tables was."""
    return time.time() - datetime.datetime.fromisoformat(moment).timestamp()


def days_from_now(days: float) -> str:
    return stamp(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days))


class Dynamo(Connection):
    """One botocore client for all tables."""

    def dispatch(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        called(operation_name)
        try:
            return super().dispatch(operation_name, operation_kwargs)
        except ClientError as error:
            answer: Any = error.__cause__ or error  # pynamodb leaves the status out
            status = answer.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status >= 500 or status == 429 or error.response["Error"].get("Code") in PASSING:
                raise unavailable() from error
            raise
        except BotoCoreError as error:
            raise unavailable() from error


@cache
def dynamo() -> Dynamo:
    return Dynamo(
        region=settings.AWS_REGION,
        host=settings.DYNAMODB_ENDPOINT_URL,
        connect_timeout_seconds=CONNECT_TIMEOUT,
        read_timeout_seconds=READ_TIMEOUT,
        max_retry_attempts=RETRIES,
        max_pool_connections=32,
    )


class IntegerAttribute(Attribute[int]):
    """A number without a fraction."""

    attr_type = NUMBER

    def serialize(self, value: Any) -> str:
        return str(int(value))

    def deserialize(self, value: Any) -> int:
        return int(value)


class Table(Model):
    """A model whose reads are strongly consistent and whose calls go through `dynamo()`."""

    @classmethod
    def _get_connection(cls) -> TableConnection:
        if cls._connection is None or cls._connection.connection is not dynamo():
            cls._connection = None
            table = super()._get_connection()
            meta, table.connection = table.get_meta_table(), dynamo()
            if cls._indexes or meta.table_name not in dynamo()._tables:  # several models share a table
                dynamo()._tables[meta.table_name] = meta
        return cast("TableConnection", cls._connection)

    @classmethod
    def find(cls, hash_key: str, range_key: str | int) -> Self | None:
        """The row as it is now, or None. One GetItem."""
        try:
            return cls.get(hash_key, range_key, consistent_read=True)
        except cls.DoesNotExist:
            return None


def create_table(*models: type[Table]) -> None:
    """Make each model's table, with its indexes and its TTL, unless it is there. Returns when all can be used."""
    for model in models:
        model.create_table(wait=True, billing_mode="PAY_PER_REQUEST")
        client: Any = dynamo().client
        ttl = client.describe_time_to_live(TableName=model.Meta.table_name)["TimeToLiveDescription"]
        if "expires_at" in model.get_attributes() and ttl["TimeToLiveStatus"] in ("DISABLED", "DISABLING"):
            model._get_connection().update_time_to_live("expires_at")


def transaction() -> TransactWrite:
    return TransactWrite(connection=dynamo())


def commit(write: TransactWrite) -> None:
    """Send one transaction. Raises Conflict when one of its conditions did not hold, or when it met another."""
    try:
        write._commit()
    except TransactWriteError as error:
        if CLASHES.intersection(reason.code for reason in error.cancellation_reasons if reason):
            raise Conflict from error
        raise


def due_shard(id: str) -> str:
    """The shard of `by_due` that a row waits in: one hex digit, spread evenly."""
    return hashlib.sha256(id.encode()).hexdigest()[0]


SHARDS = "0123456789abcdef"


class ByShelf(GlobalSecondaryIndex["Recording"]):  # type: ignore[no-untyped-call]
    """What an account's lists show, newest first by `recorded_at`."""

    class Meta:
        index_name = "by_shelf"
        billing_mode = "PAY_PER_REQUEST"
        projection = IncludeProjection(
            [
                *("name", "size", "sha256", "content_type", "created_at", "updated_at", "trashed_at", "status"),
                *("verified_at", "version", "tags", "notes", "favorite"),
                *("playable", "duration", "codec", "sample_rate", "channels", "bit_rate"),
            ]
        )

    shelf = UnicodeAttribute(hash_key=True)
    recorded_at = UnicodeAttribute(range_key=True)


class ByDue(GlobalSecondaryIndex["Recording"]):  # type: ignore[no-untyped-call]
    """Rows that wait for something, by the time from which it may happen."""

    class Meta:
        index_name = "by_due"
        billing_mode = "PAY_PER_REQUEST"
        projection = KeysOnlyProjection()

    due_shard = UnicodeAttribute(hash_key=True)
    due_at = UnicodeAttribute(range_key=True)


class Recording(Table):
    """One audio file and what is known about it. Times are texts, sizes bytes, durations seconds."""

    class Meta:
        table_name = settings.RECORDINGS_TABLE

    id = UnicodeAttribute(hash_key=True)
    user_id = UnicodeAttribute(range_key=True)
    name = UnicodeAttribute()
    size = IntegerAttribute()
    sha256 = UnicodeAttribute()
    content_type = UnicodeAttribute()
    recorded_at = UnicodeAttribute()
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()
    trashed_at = UnicodeAttribute(null=True)
    status = UnicodeAttribute()  # uploading, ready, mismatch, purging
    verified_at = UnicodeAttribute(null=True)
    version = IntegerAttribute()
    tags: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, default=list)
    notes = UnicodeAttribute(default="")
    favorite = BooleanAttribute(default=False)
    markers = JSONAttribute(default=list)  # [{"at": seconds, "label"}], in order; too long for lists
    attempt = UnicodeAttribute()
    upload_id = UnicodeAttribute(null=True)  # of the attempt's multipart upload, until it is put together
    any_parts = BooleanAttribute(null=True)  # the client cuts this attempt's parts as it likes, as Uppy does
    kept = UnicodeAttribute(null=True)  # a mismatch's attempt, which stays until the one under way is verified
    # `leftover`s: attempts that are over, whose objects go before the next step of this recording.
    discarded: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, null=True)
    # What hearing.py finds, all absent until then. A row that is not heard yet counts the tries.
    tries = IntegerAttribute(null=True)
    playable = BooleanAttribute(null=True)
    duration = NumberAttribute(null=True)
    codec = UnicodeAttribute(null=True)
    sample_rate = IntegerAttribute(null=True)
    channels = IntegerAttribute(null=True)
    bit_rate = IntegerAttribute(null=True)
    waveform = BinaryAttribute(null=True, legacy_encoding=False)  # 800 peaks, each 0 to 255
    segments = BinaryAttribute(null=True, legacy_encoding=False)  # where there is sound: see segments.py
    shelf = UnicodeAttribute(null=True)
    due_shard = UnicodeAttribute(null=True)
    due_at = UnicodeAttribute(null=True)
    by_shelf = ByShelf()
    by_due = ByDue()

    @property
    def key(self) -> str:
        """Where the bytes are, or will be."""
        return self.key_of(self.attempt)

    def key_of(self, attempt: str) -> str:
        return f"recordings/{self.user_id}/{self.id}/{attempt}"

    @property
    def stored_key(self) -> str:
        """Where the bytes are that a download gives."""
        return self.key_of(self.kept or self.attempt)

    @property
    def awaits_bytes(self) -> bool:
        """Whether an attempt is under way."""
        return self.status == "uploading" or bool(self.kept)

    @property
    def unheard(self) -> bool:
        """Whether its bytes are what they will be, and nobody knows yet what they sound like."""
        settled = self.status == "mismatch" or (self.status == "ready" and bool(self.verified_at))
        return settled and self.playable is None and not self.kept

    @property
    def waits(self) -> bool:
        """Whether a recording that is here waits for its proof, for new bytes, or to be heard."""
        return bool(self.kept) or (self.status == "ready" and not self.verified_at) or self.unheard

    @property
    def leftover(self) -> str:
        """The current attempt, as `discarded` remembers it once another takes its place."""
        return f"{self.attempt} {self.upload_id or ''}".strip()

    @property
    def leftovers(self) -> list[tuple[str, str]]:
        """(key, multipart upload id or "") of each attempt that is over."""
        parted = (leftover.partition(" ") for leftover in self.discarded or [])
        return [(self.key_of(attempt), upload_id) for attempt, _, upload_id in parted]

    @classmethod
    def on_shelf(
        cls, user_id: str, shelf: str, *, start: str | None, end: str | None, after: Sequence[str] | None, limit: int
    ) -> list["Recording"]:
        """At most `limit` recordings of a shelf, newest first; fewer only at its end. One Query for each MB.

        `start` and `end` bound `recorded_at`, both included; `after` is the `position` to go on from.
        """
        within: Condition | None = None
        if start and end:
            within = ByShelf.recorded_at.between(start, end)
        elif start:
            within = ByShelf.recorded_at >= start
        elif end:
            within = ByShelf.recorded_at <= end
        name = f"{user_id}#{shelf}"
        key = _index_key(user_id, name, after) if after else None
        return list(cls.by_shelf.query(name, within, scan_index_forward=False, limit=limit, last_evaluated_key=key))

    @classmethod
    def batch(cls, user_id: str, ids: Iterable[str]) -> dict[str, "Recording"]:
        """Those of the account's recordings that exist, by id, as they are now. One BatchGetItem for each 100."""
        keys = {(id, user_id) for id in ids}
        return {row.id: row for row in cls.batch_get(keys, consistent_read=True)}

    @classmethod
    def everything(cls, user_id: str = "") -> Iterator["Recording"]:
        """Every recording, or one account's, in no order. One consistent Scan for each MB of the whole table."""
        for row in cls.scan(cls.user_id == user_id if user_id else None, consistent_read=True):
            if ":" not in row.id:  # a Work row
                yield row

    @property
    def position(self) -> list[str]:
        """The place of this row on its shelf, for `on_shelf(after=…)`."""
        return [self.recorded_at, self.id]

    @classmethod
    def due(cls, shard: str, until: str) -> Iterator[tuple[str, str]]:
        """(id, user_id) of each row in this shard that was due at `until`, the longest overdue first."""
        for row in cls.by_due.query(shard, ByDue.due_at <= until):
            yield row.id, row.user_id


def _index_key(user_id: str, shelf: str, position: Sequence[str]) -> dict[str, dict[str, str]]:
    recorded_at, id = position
    values = {"id": id, "user_id": user_id, "shelf": shelf, "recorded_at": recorded_at}
    return {name: {"S": value} for name, value in values.items()}


class Change(Table):
    """The newest change to one recording. `deleted` rows are tombstones of purged ones; they expire."""

    class Meta:
        table_name = settings.CHANGES_TABLE

    user_id = UnicodeAttribute(hash_key=True)
    version = IntegerAttribute(range_key=True)
    recording_id = UnicodeAttribute(null=True)
    deleted = BooleanAttribute(null=True)
    expires_at = IntegerAttribute(null=True)  # seconds since 1970, for DynamoDB's TTL

    @classmethod
    def since(cls, user_id: str, version: int, *, limit: int) -> list["Change"]:
        """At most `limit` changes after `version` in order, all that had been acknowledged before. One Query."""
        return list(cls.query(user_id, cls.version > version, consistent_read=True, limit=limit))

    @classmethod
    def all_of(cls, user_id: str, recording_id: str = "") -> Iterator["Change"]:
        """Every change row of an account, in order, or those of one recording. One Query for each MB."""
        only = cls.recording_id == recording_id if recording_id else None
        yield from cls.query(user_id, cls.version >= 1, only, consistent_read=True)


class Ledger(Table):
    """Row 0 of an account's changes: its last version and the bytes it uses."""

    class Meta:
        table_name = settings.CHANGES_TABLE

    user_id = UnicodeAttribute(hash_key=True)
    version = IntegerAttribute(range_key=True, default=0)
    last_version = IntegerAttribute()
    used_bytes = IntegerAttribute()
    quota_bytes = IntegerAttribute(null=True)  # only where an operator set one
    is_guest = BooleanAttribute()
    closed = BooleanAttribute(null=True)

    @property
    def quota(self) -> int:
        """The most bytes that this account may use."""
        default = settings.GUEST_QUOTA_BYTES if self.is_guest else settings.QUOTA_BYTES
        return self.quota_bytes or int(default)

    @classmethod
    def everything(cls, user_id: str = "") -> Iterator["Ledger"]:
        """Every account's ledger, or one account's. One consistent Scan for each MB of all changes."""
        if not user_id:
            yield from cls.scan(cls.version == 0, consistent_read=True)
        elif ledger := cls.find(user_id, 0):
            yield ledger

    def set_quota(self, quota_bytes: int) -> None:
        self.update([Ledger.quota_bytes.set(quota_bytes)], condition=Ledger.last_version.exists())


class Work(Table):
    """Something for the sweep to do for an account, in the table of recordings so that `by_due` finds it.

    `id` is `"<kind>:<user_id>"`, which no recording's id can be.
    """

    class Meta:
        table_name = settings.RECORDINGS_TABLE

    id = UnicodeAttribute(hash_key=True)
    user_id = UnicodeAttribute(range_key=True)
    created_at = UnicodeAttribute()
    due_shard = UnicodeAttribute()
    due_at = UnicodeAttribute()

    @classmethod
    def of(cls, kind: str, user_id: str, *, due_at: str) -> "Work":
        id = f"{kind}:{user_id}"
        return cls(id, user_id, created_at=now(), due_shard=due_shard(id), due_at=due_at)


def add(row: Recording, ledger: Ledger) -> Recording:
    """Put a new recording in, and reserve its bytes."""
    row.version = ledger.last_version + 1
    write = transaction()
    write.save(row, Recording.id.does_not_exist())
    _book(write, ledger, row.version, row.id, bytes=row.size)
    commit(write)
    return row


def change(
    row: Recording, ledger: Ledger, values: Mapping[str, Any], *, bytes: int = 0, deleted: bool = False
) -> Recording:
    """Set `values` (None takes an attribute away) on the recording as `row` was read, and take the next version."""
    version = ledger.last_version + 1
    values = {**values, "version": version, "updated_at": now()}
    if "due_at" in values:
        values["due_shard"] = due_shard(row.id) if values["due_at"] else None
    actions: list[Action] = []
    for name, value in values.items():
        attribute: Attribute[Any] = getattr(Recording, name)
        actions.append(attribute.remove() if value is None else attribute.set(value))
    write = transaction()
    write.update(row, actions, condition=(Recording.version == row.version) & (Recording.attempt == row.attempt))
    write.delete(Change(row.user_id, row.version))
    _book(write, ledger, version, row.id, bytes=bytes, deleted=deleted)
    commit(write)
    for name, value in values.items():
        setattr(row, name, value)
    return row


def claim(row: Recording, tries: int, *, due_at: str) -> bool:
    """Count the tries at hearing a recording, and let the sweep look again at `due_at` (what is in the trash stays due
    for that). False where anything about it is not as it was read. Takes no version: no reader can see it.
    """
    actions: list[Action] = [Recording.tries.set(tries)]
    if not row.trashed_at:
        actions += [Recording.due_at.set(due_at), Recording.due_shard.set(due_shard(row.id))]
    as_read = (Recording.attempt == row.attempt) & Recording.playable.does_not_exist()
    for name in ("tries", "due_at", "trashed_at"):
        attribute, value = getattr(Recording, name), getattr(row, name)
        as_read &= attribute.does_not_exist() if value is None else attribute == value
    try:
        row.update(actions, condition=as_read)
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


def _book(write: TransactWrite, ledger: Ledger, version: int, id: str, *, bytes: int, deleted: bool = False) -> None:
    """The ledger's and the change row's part of a transaction. The condition puts all changes in one order."""
    actions: list[Action] = [Ledger.last_version.set(version)]
    if bytes:
        actions.append(Ledger.used_bytes.add(bytes))
    in_order = (Ledger.last_version == ledger.last_version) & Ledger.closed.does_not_exist()
    write.update(ledger, actions, condition=in_order)
    row = Change(ledger.user_id, version, recording_id=id)
    if deleted:
        row.deleted, row.expires_at = True, int(time.time()) + TOMBSTONE_DAYS * 86400
    write.save(row)


def remove(row: Recording) -> None:
    """Take a `purging` recording out and give its bytes back. No version: its tombstone stands already."""
    write = transaction()
    write.delete(row, (Recording.status == "purging") & (Recording.attempt == row.attempt))
    write.update(Ledger(row.user_id), [Ledger.used_bytes.add(-row.size)], condition=Ledger.last_version.exists())
    commit(write)


def rebook(ledger: Ledger, *, used_bytes: int, last_version: int) -> None:
    """Put right what a ledger says, on condition that it still says what was read."""
    as_read = (Ledger.last_version == ledger.last_version) & (Ledger.used_bytes == ledger.used_bytes)
    write = transaction()
    actions: list[Action] = [Ledger.used_bytes.set(used_bytes), Ledger.last_version.set(last_version)]
    write.update(ledger, actions, condition=as_read)
    commit(write)


def forget(stale: Change, row: Recording) -> None:
    """Take out a change row that its recording, as it was read, has left behind."""
    write = transaction()
    write.condition_check(Recording, row.id, row.user_id, condition=Recording.version == row.version)
    write.delete(stale)
    commit(write)


def entomb(stale: Change, ledger: Ledger) -> None:
    """Tell every device that a recording is gone whose row is missing: a tombstone in its change row's place."""
    id = stale.recording_id
    write = transaction()
    write.condition_check(Recording, id, stale.user_id, condition=Recording.id.does_not_exist())
    write.delete(stale)
    _book(write, ledger, ledger.last_version + 1, id, bytes=0, deleted=True)
    commit(write)


def open_ledger(write: TransactWrite, user_id: str, *, is_guest: bool) -> None:
    """Sign-up's part for this package."""
    ledger = Ledger(user_id, last_version=0, used_bytes=0, is_guest=is_guest)
    write.save(ledger, Ledger.user_id.does_not_exist())


def settle_ledger(write: TransactWrite, user_id: str) -> None:
    """Linking's part for this package: a guest's account becomes a full one, with a full one's quota."""
    write.update(Ledger(user_id), [Ledger.is_guest.set(False)], condition=Ledger.last_version.exists())


def close_ledger(write: TransactWrite, user_id: str) -> None:
    """Closing's part for this package: from here on no recording of this account can change."""
    write.update(Ledger(user_id), [Ledger.closed.set(True)], condition=Ledger.last_version.exists())


def finish_work(work: Work) -> None:
    """Take a work row out. Raises Conflict where it has been renewed, or is gone."""
    write = transaction()
    as_read: Any = Work.created_at == work.created_at
    write.delete(work, as_read)
    commit(write)


def erase_rows(user_id: str, until: float) -> bool:
    """Delete a closed account's recordings and changes, the ledger last. Returns whether it got that far in time."""
    rows = iter(Change.query(user_id, Change.version >= 1, consistent_read=True))
    while batch := list(itertools.islice(rows, 500)):
        if time.monotonic() > until:
            return False
        with Recording.batch_write() as recordings:
            for id in {row.recording_id for row in batch}:
                recordings.delete(Recording(id, user_id))
        with Change.batch_write() as changes:
            for row in batch:
                changes.delete(row)
    Work.of("trash", user_id, due_at="").delete()
    Ledger(user_id).delete()
    return True
