"""The way of a recording from "created" to its last byte: create, resume, parts. completion.py goes on from there."""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypedDict

from django.conf import settings

from aws import presign, s3
from aws.dynamo import Conflict
from lib.clock import days_from_now, now
from lib.problems import Problem, invalid
from recordings.keys import RecordingId, UserId
from recordings.library import find, leave_to_sweep, library, settle, upload_days
from recordings.models import MULTIPART, Declaration, Ledger, Recording, due_shard, used_bytes
from recordings.transactions import add, change
from recordings.trash import finish_purge, untrash

PART = 8 * 2**20  # the smallest part we ask for
LEAST_PART = 5 * 2**20  # S3's own least, for every part but the last
MOST_PARTS = 10_000  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html


class Single(TypedDict):
    """The `upload` member for one PUT."""

    kind: Literal["single"]
    method: Literal["PUT"]
    url: str
    headers: dict[str, str]
    expires_at: str


class Multipart(TypedDict):
    """The `upload` member for parts: all of `part_size` bytes but the last, those in `received` not needed again."""

    kind: Literal["multipart"]
    part_size: int
    part_count: int
    received: list[int]
    expires_at: str


class WantedPart(TypedDict):
    number: int
    sha256: str


class PartUrl(TypedDict):
    number: int
    url: str
    headers: dict[str, str]
    expires_at: str


def id_of(user_id: UserId, sha256: str, grant: str = "") -> RecordingId:
    """A recording's id: the same account and the same content make the same row, however often it is sent.

    What comes under a `grant`, an id of one, is a recording of its own: who holds the grant and knows the hash of
    another recording does not meet it. The first half of its id is the grant's, the second tells the hash.
    """
    if grant:
        return _granted(user_id, sha256, _digits(user_id, sha256, grant)[:16])
    return RecordingId(_digits(user_id, sha256)[:32])


def is_id_of(id: RecordingId, user_id: UserId, sha256: str) -> bool:
    """Whether this is the id of a recording with this hash, under whichever grant it came, or none."""
    return id in (id_of(user_id, sha256), _granted(user_id, sha256, id[:16]))


def _granted(user_id: UserId, sha256: str, half: str) -> RecordingId:
    return RecordingId(half + _digits(user_id, sha256, half)[:16])


def _digits(*words: str) -> str:
    return hashlib.sha256(":".join(words).encode()).hexdigest()


def create(user_id: UserId, declared: Declaration) -> tuple[Recording, bool, Single | Multipart | None]:
    """`declare`, and what the app has to send where: None when there is nothing to send."""
    row, is_new = declare(user_id, declared)
    received: list[int] | None = []
    if row.awaits_bytes and not is_new and (row.upload_id or row.size >= MULTIPART):
        received = received_parts(row)
    if received is None:  # there is no multipart upload any more, and no object came of it
        row, received = settle(user_id, row.id, lambda again, ledger: renew(row, again, ledger)), []
    return row, is_new, what_is_missing(row, received)


def what_is_missing(row: Recording, received: Sequence[int]) -> Single | Multipart | None:
    """The `upload` member, None when there is nothing to send."""
    if row.awaits_proof or not row.awaits_bytes:
        return None
    return multipart(row, received) if row.upload_id else single(row)


def declare(
    user_id: UserId, declared: Declaration, *, grant: str = "", any_parts: bool = False, whole: bool = False
) -> tuple[Recording, bool]:
    """The recording for `declared` (name, size, sha256, content_type and what else is known), and whether it is new.

    Safe to repeat: an upload under way goes on, a trashed recording is restored, a mismatch gets a new attempt. Under
    a `grant` that is said of what came under the same grant, and of nothing else. With
    `any_parts` the bytes come in parts that the client cuts as it likes; parts that are cut otherwise can't go on from
    them, so the change from one to the other is a new attempt. What comes `whole`, however large it is, gets a key
    that no parts lead to: put together late, they would take the place of what came. Raises 409 `size_conflict` when
    a ready recording has this hash and another size, 409 `quota_exceeded`, 413 `too_large`.
    """
    id, size = id_of(user_id, declared["sha256"], grant), declared["size"]
    if size > settings.MAX_RECORDING_BYTES:
        raise Problem(413, "too_large", f"A recording is at most {settings.MAX_RECORDING_BYTES} bytes long.")

    def decide(row: Recording | None, ledger: Ledger) -> tuple[Recording, bool]:
        if row is None:
            check_quota(ledger, size)
            return begin(new_recording(user_id, id, declared, any_parts), ledger, whole=whole), True
        if row.status == "purging":
            finish_purge(user_id, id)
            raise Conflict
        if row.status == "uploading":
            return resume(row, ledger, size, any_parts, whole), False
        if row.status == "mismatch":
            return replace(row, ledger, size, any_parts, whole), False
        if row.size != size:
            raise Problem(409, "size_conflict", f"The recording with this hash is {row.size} bytes long.")
        return untrash(row, ledger) if row.trashed_at else row, False

    return settle(user_id, id, decide)


def new_attempt(life: str = "") -> str:
    """A name that no attempt has had, of a new life unless it goes on with one. There is no other source of names: a
    recording that has let go of an attempt can't take it again.
    """
    return (life or secrets.token_hex(8)) + secrets.token_hex(8)


def new_recording(
    user_id: UserId, id: RecordingId, declared: Declaration, any_parts: bool, life: str = ""
) -> Recording:
    moment = now()
    due_at = days_from_now(settings.UPLOAD_DAYS)
    row = Recording(id, user_id, created_at=moment, updated_at=moment, due_shard=due_shard(id), due_at=due_at)
    row.status, row.shelf, row.attempt = "uploading", f"{user_id}#uploading", new_attempt(life)
    row.recorded_at, row.any_parts = moment, any_parts or None
    for name, value in declared.items():
        setattr(row, name, value)
    return row


def begin(row: Recording, ledger: Ledger, *, whole: bool) -> Recording:
    """Put a new recording in."""
    any_parts = bool(row.any_parts)
    with upload_for(row.key, row.content_type, row.size, any_parts=any_parts, whole=whole) as row.upload_id:
        return add(row, ledger)


@contextmanager
def upload_for(key: str, content_type: str, size: int, *, any_parts: bool, whole: bool) -> Iterator[str | None]:
    """The id of a new multipart upload, where these bytes come in parts, for the block to write into a row.

    Who loses the race, or gets no answer, ends his own. If the row was written all the same, create finds the upload
    gone and begins another.
    """
    if whole or (not any_parts and size < MULTIPART):
        yield None
        return
    upload_id = s3.start_multipart(key, content_type, checksums=not any_parts)
    try:
        yield upload_id
    except Exception:
        s3.abort_multipart(key, upload_id)
        raise


def restart(
    row: Recording,
    ledger: Ledger,
    values: dict[str, Any] | None = None,
    *,
    whole: bool = False,
    spare: bool = False,
) -> Recording:
    """Give the recording a new attempt, with a key of its own. Once the row has let go of the old attempt, what was
    sent for it goes at once, unless `values` keep it: bytes that nobody counts could pile up otherwise. The row
    remembers it all the same, and the next such step deletes what has come late.

    What comes `whole` has no multipart upload, however large it is. With `spare` the next step deletes what was sent:
    it may be what the new attempt is copied from.
    """
    values = values or {}
    if not spare:
        clear(row)
    attempt = new_attempt(row.life)
    news: dict[str, Any] = {"attempt": attempt, "begun_at": now()}
    if not values.get("trashed_at", row.trashed_at):  # what stays in the trash is due for that already
        news["due_at"] = days_from_now(settings.UPLOAD_DAYS)
    if "kept" not in values:
        news["discarded"] = [*(row.discarded or []), row.leftover]
    size, any_parts = values.get("size", row.size), bool(values.get("any_parts", row.any_parts))
    key = row.key_of(attempt)
    with upload_for(key, row.content_type, size, any_parts=any_parts, whole=whole) as upload_id:
        row = change(row, ledger, {**values, **news, "upload_id": upload_id})
    if not spare:
        leave_to_sweep(clear, row)
    return row


def clear(row: Recording) -> None:
    """Delete the objects of attempts that are over. The next change may then forget them."""
    for key, upload_id in row.leftovers:
        s3.discard(key, upload_id)
    row.discarded = None


def comes_otherwise(row: Recording, any_parts: bool, whole: bool) -> bool:
    """Whether the attempt under way is for other parts, or has any where none may be."""
    return bool(row.any_parts) != any_parts or (whole and bool(row.upload_id))


def resume(row: Recording, ledger: Ledger, size: int, any_parts: bool, whole: bool) -> Recording:
    """An upload under way, called again: another size, other parts or parts that would soon be gone are a new attempt;
    half its time gone, it gets new time.
    """
    if row.size != size or comes_otherwise(row, any_parts, whole) or ends_soon(row):
        check_quota(ledger, size - row.size)
        return restart(row, ledger, {"size": size, "any_parts": any_parts or None}, whole=whole)
    return prolong(row, ledger)


def replace(row: Recording, ledger: Ledger, size: int, any_parts: bool, whole: bool) -> Recording:
    """A mismatch, called again: a new attempt beside the bytes that are there, or the one under way if it can go on.
    Other parts of one that is put together are no reason for another; its size is, since one of the two is wrong.
    """
    kept_size = row.stored_size
    check_quota(ledger, used_bytes(size, kept_size) - row.used_bytes)
    values = {**library(row), "size": size, "kept_size": kept_size, "any_parts": any_parts or None}
    if not row.kept:
        return restart(row, ledger, {**values, "kept": row.attempt}, whole=whole)
    if row.size != size or (comes_otherwise(row, any_parts, whole) and not row.awaits_proof) or ends_soon(row):
        return restart(row, ledger, values, whole=whole)
    if row.trashed_at:
        return untrash(row, ledger)
    return row if row.awaits_proof else prolong(row, ledger)


def prolong(row: Recording, ledger: Ledger) -> Recording:
    """New time for the client, half of it gone."""
    days = upload_days(row)
    if row.due_at and row.due_at < days_from_now(min(settings.UPLOAD_DAYS / 2, days - 1 / 24)):
        return change(row, ledger, {"due_at": days_from_now(days)})
    return row


def ends_soon(row: Recording) -> bool:
    """Whether what is sent from now on may be gone before all is there: the bucket's rule is a day away. By then the
    sweep has seen whether all was.
    """
    return row.days_left < 1


def renew(
    seen: Recording, row: Recording | None, ledger: Ledger, *, any_parts: bool = False, whole: bool = False
) -> Recording:
    """A new attempt for one of which S3 has nothing, in parts as `declare` has them, unless somebody else has just
    begun one.
    """
    if row is None or row.status == "purging":
        raise Problem(409, "upload_incomplete", "The recording was deleted meanwhile. Create it again.")
    if not row.awaits_bytes or row.attempt != seen.attempt:
        return row
    return restart(row, ledger, {"any_parts": any_parts or None}, whole=whole)


def check_quota(ledger: Ledger, more: int) -> None:
    """Raises 409 where `more` bytes do not fit. The ledger's version in the transaction makes this binding."""
    if more > 0 and ledger.used_bytes + more > ledger.quota:
        free = max(0, ledger.quota - ledger.used_bytes)
        raise Problem(409, "quota_exceeded", f"{more} bytes more do not fit; {free} of {ledger.quota} are free.")


def single(row: Recording) -> Single:
    """The `upload` member for one PUT."""
    url, headers = presign.presign_put(row.key, size=row.size, sha256=row.sha256, content_type=row.content_type)
    return {"kind": "single", "method": "PUT", "url": url, "headers": headers, "expires_at": presign.end_of(url)}


def multipart(row: Recording, received: Sequence[int]) -> Multipart:
    """The `upload` member for parts: all of `part_size` bytes but the last, those in `received` not needed again."""
    days = presign.lasting(min(presign.UPLOAD_SECONDS, seconds_left(row))) / 86400
    return {
        "kind": "multipart",
        "part_size": part_size(row.size),
        "part_count": part_count(row.size),
        "received": list(received),
        "expires_at": days_from_now(days),
    }


def seconds_left(row: Recording) -> float:
    return row.days_left * 86400


def part_size(size: int) -> int:
    """Bytes of each part but the last: 8 MiB, as much again as often as that would take more than 10,000 parts."""
    return PART * max(1, -(-size // (MOST_PARTS * PART)))


def part_count(size: int) -> int:
    return -(-size // part_size(size))


def length_of(size: int, number: int) -> int:
    """Bytes of part `number` (from 1) of a recording of `size` bytes."""
    return min(part_size(size), size - (number - 1) * part_size(size))


def received_parts(row: Recording) -> list[int] | None:
    """The numbers of the parts that S3 holds whole; all of them once they are put together; None where all is gone."""
    parts = s3.list_parts(row.key, row.upload_id) if row.upload_id else None
    if parts is not None:
        return [part.number for part in parts if part.size == length_of(row.size, part.number)]
    return list(range(1, part_count(row.size) + 1)) if s3.stat(row.key) else None


def parts(user_id: UserId, id: RecordingId, wanted: list[WantedPart]) -> list[PartUrl]:
    """A URL for each wanted part (number, sha256), which S3 takes that part's bytes alone through.

    Raises 409 `not_multipart` where the recording waits for no parts, 400 for a number that it does not have.
    """
    row = find(user_id, id)
    if not row.upload_id or row.any_parts or row.days_left <= 0:
        raise Problem(409, "not_multipart", "This recording waits for no parts; create says what it waits for.")
    answers: list[PartUrl] = []
    for position, part in enumerate(wanted):
        number = part["number"]
        if number > part_count(row.size):
            raise invalid(f"/parts/{position}/number", "max_value", f"There are {part_count(row.size)} parts.")
        size = length_of(row.size, number)
        how: Any = {"size": size, "sha256": part["sha256"], "seconds": seconds_left(row)}
        url, headers = presign.presign_part(row.key, row.upload_id, number, **how)
        answers.append({"number": number, "url": url, "headers": headers, "expires_at": presign.end_of(url)})
    return answers
