"""From the last byte to the proof: complete, verify, and the small upload, whose bytes the server sees itself."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aws import s3
from aws.dynamo import Conflict
from aws.retry import retry_on_conflict
from lib.clock import days_from_now, now, seconds_since
from lib.logs import count, measure
from lib.problems import FieldError, Problem
from recordings.keys import RecordingId, UserId
from recordings.library import PROOF_DAYS, find, is_over, present, settle
from recordings.models import MULTIPART, Declaration, Ledger, Recording
from recordings.transactions import change
from recordings.uploads import LEAST_PART, clear, declare, length_of, part_count, restart

# What was heard of other bytes says nothing of these.
UNHEARD = dict.fromkeys(
    ("tries", "playable", "duration", "codec", "sample_rate", "channels", "bit_rate", "waveform", "segments")
)
SMALL = 4 * 2**20  # bytes through the server: Lambda takes 6 MB a request, a third of which base64 eats


@dataclass(frozen=True)
class Arrived:
    """What is there of an attempt. `sha256` is None where nothing says it yet; `faults` are parts that do not fit."""

    size: int
    sha256: str | None = None
    faults: tuple[FieldError, ...] = ()

    def fits(self, row: Recording) -> bool:
        return not self.faults and self.size == row.size and self.sha256 in (None, row.sha256)


def complete(user_id: UserId, id: RecordingId, *, sent: Collection[int] = ()) -> Recording:
    """Make an upload `ready` once S3 is shown to hold the declared bytes. Safe to repeat.

    `sent` are the numbers of all parts, from a client that cuts them as it likes and says that it is done. Raises 409
    `upload_incomplete` when something is missing, naming the parts, 409 `checksum_mismatch` or `part_mismatch` when
    something else is there; the wrong bytes are thrown away then, and create starts anew.
    """
    row = find(user_id, id)
    while row.awaits_bytes:
        arrived = inspect(row, sent)
        attempt = row.attempt
        row = conclude(row, arrived)
        if row.attempt == attempt:
            return row
    if row.status == "mismatch":
        raise Problem(
            409, "checksum_mismatch", "The stored bytes are not the declared ones. Create starts a new upload."
        )
    return row


def inspect(row: Recording, sent: Collection[int] = ()) -> Arrived:
    """What S3 holds for the attempt, its parts put together. Raises 409 `upload_incomplete` for what is missing."""
    if row.upload_id and (parts := s3.list_parts(row.key, row.upload_id)) is not None:
        sizes = {part.number: part.size for part in parts}
        missing = missing_parts(row, sizes, sent)
        if missing and not s3.stat(row.key):
            errors = [fault(number, "missing", "This part has not arrived.") for number in missing[:100]]
            raise Problem(409, "upload_incomplete", f"{len(missing)} parts are missing.", errors=errors)
        wrong = wrong_parts(row, sizes)
        if wrong and not missing:
            faults = [fault(number, "wrong_size", f"{sizes[number]} bytes arrived.") for number in wrong[:100]]
            return Arrived(sum(sizes.values()), faults=tuple(faults))
        if missing:  # the object came by another way
            s3.abort_multipart(row.key, row.upload_id)
        else:
            s3.finish_multipart(row.key, row.upload_id, parts)
    stored = s3.stat(row.key)
    if stored is None:
        raise Problem(409, "upload_incomplete", "The bytes are not there yet. Send them, then call this again.")
    if stored.sha256 is None and stored.size == row.size < MULTIPART:
        return Arrived(stored.size, s3.digest(row.key))
    return Arrived(stored.size, stored.sha256)


def missing_parts(row: Recording, sizes: Mapping[int, int], sent: Collection[int]) -> list[int]:
    count = part_count(row.size)
    if row.any_parts:
        count = max((*sizes, *sent), default=0)
        if not sent and sum(sizes.values()) < row.size:
            count += 1  # nobody has said yet that this is all
    return [number for number in range(1, count + 1) if number not in sizes]


def wrong_parts(row: Recording, sizes: Mapping[int, int]) -> list[int]:
    """Parts of another length than asked for. Where the client chose it: too small for S3, or not adding up."""
    if row.any_parts:
        small = [number for number, size in sizes.items() if size < LEAST_PART and number < max(sizes)]
        return small or ([] if sum(sizes.values()) == row.size else [max(sizes, default=1)])
    return [number for number, size in sizes.items() if size != length_of(row.size, number)]


def fault(number: int, code: str, detail: str) -> FieldError:
    return {"pointer": f"/parts/{number}", "code": code, "detail": detail}


def conclude(seen: Recording, arrived: Arrived) -> Recording:
    """Act on what `seen.key` holds, unless the recording has moved on to another attempt."""

    def decide(row: Recording | None, ledger: Ledger) -> Recording:
        row = present(row)
        if not row.awaits_bytes or row.attempt != seen.attempt:
            return row
        if not arrived.fits(row):
            restart(row, ledger)
            code = "part_mismatch" if arrived.faults else "checksum_mismatch"
            raise Problem(409, code, describe(arrived), errors=list(arrived.faults) or None)
        if row.kept and not arrived.sha256:
            return assembled(row, ledger)
        return make_ready(row, ledger, proven=bool(arrived.sha256))

    return settle(seen.user_id, seen.id, decide, row=seen)


def describe(arrived: Arrived) -> str:
    having = f" with the SHA-256 {arrived.sha256}" if arrived.sha256 else ""
    return f"What arrived is not what was declared: {arrived.size} bytes{having}."


def assembled(row: Recording, ledger: Ledger) -> Recording:
    """A mismatch's new attempt is whole, and waits for its proof before it takes the old one's place."""
    return change(row, ledger, {"upload_id": None, "due_at": due_at(row)}) if row.upload_id else row


def due_at(row: Recording) -> str | None:
    """When the sweep shall look for a proof, or listen. What is in the trash is due for that already."""
    return row.due_at if row.trashed_at else days_from_now(PROOF_DAYS)


def make_ready(row: Recording, ledger: Ledger, *, proven: bool) -> Recording:
    """The one way to `ready`. A mismatch's old object goes once nothing names it any more."""
    clear(row)
    values: dict[str, Any] = {"status": "ready"}
    values |= dict.fromkeys(("upload_id", "kept", "kept_size", "discarded", "any_parts"))
    values["shelf"] = f"{row.user_id}#{'trash' if row.trashed_at else 'library'}"
    values["verified_at"] = now() if proven else None
    values["due_at"] = due_at(row)
    if row.kept:
        values |= {"discarded": [row.kept], **UNHEARD}
    elif row.playable is not None:  # a proof that came after all, of bytes that have been heard
        values["due_at"] = row.due_at if row.trashed_at else None
    arrived, waited = row.status != "ready", seconds_since(row.updated_at)
    row = change(row, ledger, values)
    if arrived:
        count("UploadsCompleted")
        count("UploadedBytes", row.size)
    if proven:
        measure("VerificationLag", 0 if arrived else waited)
    clear(row)
    return row


def verify(user_id: UserId, id: RecordingId) -> Recording:
    """Read what no checksum of S3's speaks for, and say whether it is what was declared. Safe to repeat.

    The bytes stream through; a proof sets `verified_at`, other bytes make a `mismatch` that keeps them.
    """
    row = find(user_id, id)
    unproven = row.status == "ready" and not row.verified_at
    if not unproven and not (row.kept and not row.upload_id):
        return row
    sha256 = s3.digest(row.key)
    if sha256 is None:
        return row
    attempt = row.attempt

    def decide(row: Recording | None, ledger: Ledger) -> Recording:
        row = present(row)
        if row.attempt != attempt or row.verified_at or (row.status == "mismatch" and not row.kept):
            return row
        if sha256 == row.sha256:
            return make_ready(row, ledger, proven=True)
        return keep_mismatch(row, ledger)

    return settle(user_id, id, decide, row=row)


def keep_mismatch(row: Recording, ledger: Ledger) -> Recording:
    """The stored bytes are not the declared ones. The first such object stays; a second one in its place does not, and
    no size that was declared for it.
    """
    rest = due_at(row) if row.playable is None or row.trashed_at else None
    if not row.kept:
        return change(row, ledger, {"status": "mismatch", "due_at": rest})
    clear(row)
    values = {"attempt": row.kept, "size": row.stored_size, "discarded": [row.leftover], "due_at": rest}
    row = change(row, ledger, values | dict.fromkeys(("upload_id", "kept", "kept_size")))
    clear(row)
    return row


def give_up(user_id: UserId, id: RecordingId, *, until: str) -> str:
    """End a mismatch's new attempt that was due before `until`: the old bytes go on being all there is."""

    def decide(row: Recording | None, ledger: Ledger) -> str:
        row = present(row)
        if row.kept and row.due_at and row.due_at <= until:
            keep_mismatch(row, ledger)
            return "abandoned"
        return "changed"

    return settle(user_id, id, decide)


def store(user_id: UserId, content: bytes, declared: Declaration) -> tuple[Recording, bool]:
    """Keep bytes that came through the server, and whether the recording is new. The row is written first.

    Whatever else happens to this content meanwhile, the answer is a ready recording or an error. After a 503 the
    recording may stand as `uploading`, with or without its bytes; the same call finishes it, or S3's event does.
    """
    is_new = False

    @retry_on_conflict
    def attempt() -> Recording:
        nonlocal is_new
        row, created = declare(user_id, declared)
        is_new = is_new or created
        if not row.awaits_bytes:
            return row
        s3.save(row.key, content, row.content_type)
        ready = make_stored_ready(row)
        if ready is None:
            raise Conflict
        return ready

    return attempt(), is_new


def make_stored_ready(seen: Recording) -> Recording | None:
    """`ready`, now that the bytes of this attempt are stored. None where the recording has moved on to another; bytes
    that it has let go of are deleted.
    """

    def decide(row: Recording | None, ledger: Ledger) -> Recording | None:
        if row is None or row.attempt != seen.attempt or row.status == "purging":
            return None
        return make_ready(row, ledger, proven=True) if row.awaits_bytes else row

    try:
        ready = settle(seen.user_id, seen.id, decide, row=seen)
    except Problem as problem:
        if problem.code == "account_closed" and is_over(seen):
            s3.delete(seen.key)
        raise
    if ready is None and is_over(seen):
        s3.delete(seen.key)
    return ready
