"""The table `recordings`: what a row holds, and how rows are read. Written by transactions.py."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from django.conf import settings
from pynamodb.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.expressions.condition import Condition
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection, KeysOnlyProjection

from aws.bucket import LEFTOVER_DAYS
from aws.dynamo import IntegerAttribute, Table, id_attribute
from lib.clock import seconds_since
from recordings.keys import RecordingId, UserId
from recordings.models.changes import life_of
from recordings.models.shares import ShareEntry

STATUSES = ("uploading", "ready", "mismatch", "purging")
MULTIPART = 16 * 2**20  # from this size on, in bytes, an upload goes in parts


class Declaration(TypedDict):
    """What a device says of a recording before its bytes come."""

    name: str
    size: int
    sha256: str
    content_type: str
    recorded_at: NotRequired[str]
    tags: NotRequired[list[str]]
    notes: NotRequired[str]


class Marker(TypedDict):
    at: float  # seconds
    label: str


def used_bytes(size: int, kept_size: int | None) -> int:
    """What a recording counts for in the ledger. While it keeps an object beside an attempt of another size, that is
    the larger of both: what is kept stays counted, and giving the attempt up needs no bytes that may not be free.
    """
    return max(size, kept_size or 0)


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
    """One audio file and what is known about it. Times are texts, sizes bytes, durations seconds.

    states.py has the states that a row can be in, and the ways from one to another.
    """

    class Meta:
        table_name = settings.RECORDINGS_TABLE

    id = id_attribute(RecordingId, hash_key=True)
    user_id = id_attribute(UserId, range_key=True)
    name = UnicodeAttribute()
    size = IntegerAttribute()
    sha256 = UnicodeAttribute()
    content_type = UnicodeAttribute()
    recorded_at = UnicodeAttribute()
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()
    trashed_at = UnicodeAttribute(null=True)
    trashed_as = IntegerAttribute(null=True)  # the version that put it into the trash
    status = UnicodeAttribute()  # one of STATUSES
    verified_at = UnicodeAttribute(null=True)
    version = IntegerAttribute()
    tags: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, default=list)
    notes = UnicodeAttribute(default="")
    favorite = BooleanAttribute(default=False)
    markers = JSONAttribute(default=list)  # of Marker, in order; too long for lists
    attempt = UnicodeAttribute()
    upload_id = UnicodeAttribute(null=True)  # of the attempt's multipart upload, until it is put together
    begun_at = UnicodeAttribute(null=True)  # the attempt, where that was not with the row
    any_parts = BooleanAttribute(null=True)  # the client cuts this attempt's parts as it likes, as Uppy does
    kept = UnicodeAttribute(null=True)  # a mismatch's attempt, which stays until the one under way is verified
    kept_size = IntegerAttribute(null=True)  # bytes of the kept object, where `size` may be another
    # `leftover`s: attempts that are over, whose objects go before the next step of this recording.
    discarded: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, null=True)
    shares = JSONAttribute(null=True)  # links to it, of ShareEntry
    # What analyse.py finds, all absent until then. A row that is not heard yet counts the tries.
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

    if TYPE_CHECKING:  # the two can't be swapped

        def __init__(self, id: RecordingId, user_id: UserId, **attributes: Any) -> None: ...

        @classmethod
        def find(cls, id: RecordingId, user_id: UserId) -> "Recording | None": ...  # type: ignore[override]

    @property
    def key(self) -> str:
        """Where the bytes are, or will be."""
        return self.key_of(self.attempt)

    def key_of(self, attempt: str) -> str:
        return f"recordings/{self.user_id}/{self.id}/{attempt}"

    @property
    def life(self) -> str:
        return life_of(self.attempt)

    @property
    def stored_key(self) -> str:
        """Where the bytes are that a download gives."""
        return self.key_of(self.kept or self.attempt)

    @property
    def stored_size(self) -> int:
        """How many bytes a download gives, once it gives any."""
        return self.kept_size or self.size

    @property
    def used_bytes(self) -> int:
        """What it counts for."""
        return used_bytes(self.size, self.kept_size)

    def excerpt_key(self, share_id: str) -> str:
        """Where the part of it is that a share gives."""
        return self.key_of(f"{share_id}.m4a")

    def order_key(self, share_id: str) -> str:
        """An empty object, whose event makes the handler cut that part."""
        return self.key_of(f"{share_id}.order")

    def share(self, share_id: str) -> ShareEntry | None:
        """Its entry of this share."""
        entries: list[ShareEntry] = self.shares or []
        return next((entry for entry in entries if entry["id"] == share_id), None)

    @property
    def excerpt_keys(self) -> list[str]:
        """Every key that its shares may have objects at."""
        ids = [share["id"] for share in self.shares or [] if share["excerpt"]]
        return [key for id in ids for key in (self.excerpt_key(id), self.order_key(id))]

    @property
    def is_whole(self) -> bool:
        """Whether the row has what every row has; one that was torn or that nobody knows may not."""
        needed = (self.sha256, self.size, self.version, self.attempt, self.updated_at)
        return self.status in STATUSES and None not in needed

    @property
    def awaits_bytes(self) -> bool:
        """Whether an attempt is under way."""
        return self.status == "uploading" or bool(self.kept)

    @property
    def days_left(self) -> float:
        """Days until the bucket's rule may end its multipart upload, which counts from its beginning, however busy it
        is; infinity for none.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpu-abort-incomplete-mpu-lifecycle-config.html
        """
        if not self.upload_id:
            return math.inf
        return settings.UPLOAD_DAYS + LEFTOVER_DAYS - seconds_since(self.begun_at or self.created_at) / 86400

    @property
    def awaits_proof(self) -> bool:
        """Whether a mismatch's new attempt is put together, and only has to be read."""
        return bool(self.kept) and not self.upload_id and (bool(self.any_parts) or self.size >= MULTIPART)

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
        cls,
        user_id: UserId,
        shelf: str,
        *,
        start: str | None,
        end: str | None,
        after: Sequence[str] | None,
        limit: int,
    ) -> tuple[list["Recording"], bool]:
        """At most `limit` recordings of a shelf, newest first, and whether there may be more. One Query: 1 MB.

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
        query = cls.by_shelf.query(name, within, scan_index_forward=False, limit=limit, last_evaluated_key=key)
        rows: list[Recording] = []
        for row in query:
            rows.append(row)
            if len(rows) == query.page_iter.total_scanned_count:
                break  # it would ask again
        return rows, bool(query.page_iter.last_evaluated_key)

    @classmethod
    def shelved(cls, user_id: UserId) -> Iterator[RecordingId]:
        """The ids of what is on an account's shelves, within moments. Three Queries, one for each MB."""
        for shelf in ("library", "trash", "uploading"):
            for row in cls.by_shelf.query(f"{user_id}#{shelf}"):
                yield row.id

    @classmethod
    def batch(cls, user_id: UserId, ids: Iterable[RecordingId]) -> dict[RecordingId, "Recording"]:
        """Those of the account's recordings that exist, by id, as they are now. One BatchGetItem for each 100."""
        keys = {(id, user_id) for id in ids}
        return {row.id: row for row in cls.batch_get(keys, consistent_read=True)}

    @classmethod
    def everything(cls, segment: int = 0, segments: int = 1) -> Iterator["Recording"]:
        """Every recording, or those of one of so many segments of the table, in no order. One consistent Scan for each
        MB of it.
        """
        part: Any = {"segment": segment, "total_segments": segments} if segments > 1 else {}
        for row in cls.scan(consistent_read=True, **part):
            if ":" not in row.id:  # a Work row
                yield row

    @property
    def position(self) -> list[str]:
        """The place of this row on its shelf, for `on_shelf(after=…)`."""
        return [self.recorded_at, self.id]

    @classmethod
    def due(
        cls, shard: str, until: str, *, after: Any = None, limit: int
    ) -> tuple[list[tuple[RecordingId, UserId]], Any]:
        """(id, user_id) of at most `limit` rows in this shard that were due at `until`, the longest overdue first, and
        where to go on `after`, None at the end. One Query, eventually consistent.
        """
        query = cls.by_due.query(shard, ByDue.due_at <= until, limit=limit, last_evaluated_key=after)
        rows = [(row.id, row.user_id) for row in query]
        return rows, query.last_evaluated_key


def _index_key(user_id: UserId, shelf: str, position: Sequence[str]) -> dict[str, dict[str, str]]:
    recorded_at, id = position
    values = {"id": id, "user_id": user_id, "shelf": shelf, "recorded_at": recorded_at}
    return {name: {"S": value} for name, value in values.items()}
