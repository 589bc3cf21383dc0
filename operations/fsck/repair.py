"""What `verify_storage --repair` does about each difference. Nothing here deletes the only copy of anything.

Bytes prove themselves: a recording's id and its row hold their SHA-256, so a stored version can be read and known to
be what a row has lost. An object is deleted only where its recording stands verified without it, or where its owner
had the recording deleted for good; a versioned bucket keeps even that for 35 days.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypedDict

from django.conf import settings

from aws import s3
from aws.dynamo import Conflict
from aws.s3 import Listed
from lib.clock import days_from_now, stamp
from recordings.adoption import adopt, finish
from recordings.completion import make_ready
from recordings.keys import RecordingId, UserId
from recordings.library import is_over, patience, settle
from recordings.models import Change, Declaration, Ledger, Recording, life_of, stands_in
from recordings.transactions import add, change, entomb, forget, rebook, renew
from recordings.uploads import clear, is_id_of, new_recording


class Place(TypedDict, total=False):
    """Where a recording is listed, and when the sweep looks at it."""

    shelf: str | None
    due_at: str | None


class Remedy(NamedTuple):
    """In words, and what does it: None where nothing can. What does not `mend` only keeps the harm from spreading."""

    text: str
    act: Callable[[], object] | None
    mends: bool = True


# A row's own fields and its change row.


def misplaced(row: Recording) -> Place:
    """Values for `shelf` and `due_at` where they do not fit the row's state."""
    values: Place = {}
    if row.shelf != (shelf := shelf_of(row)):
        values["shelf"] = shelf
    waits = wait_of(row)
    if waits is not None and not row.due_at:
        values["due_at"] = days_from_now(waits)
    elif waits is None and (row.due_at or row.due_shard):
        values["due_at"] = None
    elif row.due_at and not stands_in(row.due_shard, row.id):
        values["due_at"] = row.due_at
    return values


def shelf_of(row: Recording) -> str | None:
    if row.status == "purging":
        return None
    shelf = "uploading" if row.status == "uploading" else "trash" if row.trashed_at else "library"
    return f"{row.user_id}#{shelf}"


def wait_of(row: Recording) -> float | None:
    """Days until the sweep has to look at a row in this state, None if it never has to."""
    if row.status == "purging":
        return 0
    if row.status == "uploading":
        return settings.UPLOAD_DAYS
    if row.trashed_at:
        return settings.TRASH_DAYS
    return patience(row) if row.waits else None


def fits(note: Change | None, row: Recording) -> bool:
    """Whether this is the change row of the recording's version."""
    return note is not None and note.recording_id == row.id and bool(note.deleted) == (row.status == "purging")


def rewrite(user_id: UserId, id: RecordingId) -> None:
    """Put the row on the right lists, and its change where every device finds it: under the next version."""

    def decide(row: Recording | None, ledger: Ledger) -> None:
        if row and (misplaced(row) or not fits(Change.find(user_id, row.version), row)):
            change(row, ledger, misplaced(row), deleted=row.status == "purging")

    settle(user_id, id, decide)


# A row's bytes.


def restore_bytes(row: Recording, *, gone: bool) -> Remedy:
    """For an object that is `gone`, or is not what its row says."""
    if source := find_bytes(row):
        return Remedy("its bytes are in the bucket still, and are brought back", partial(bring_back, row, source))
    if not gone:
        return Remedy("status mismatch: kept, and the app may send it again", partial(call_mismatch, row))
    if source := next((old for old in s3.list_versions(row.stored_key) if old.key == row.stored_key), None):
        return Remedy("an older version is brought back as a mismatch", partial(bring_back_other, row, source))
    # As long as it counts as ready, create refuses the bytes to a device that has them still.
    lost = "none: lost; a mismatch from now on, so that a device that has it can send it"
    return Remedy(lost, partial(call_mismatch, row), mends=False)


def find_bytes(row: Recording) -> Listed | None:
    """A stored version of any attempt that is proven to be the recording."""
    for version in s3.list_versions(f"recordings/{row.user_id}/{row.id}/"):
        found = s3.read(version.key, version.id) if version.size == row.size else None
        if found and found.sha256 == row.sha256:
            return replace(version, etag=found.etag)
    return None


def bring_back(seen: Recording, source: Listed) -> None:
    """Make proven bytes the row's own, and the row `ready`. Nobody can put parts together at the key of one that is
    ready, so its bytes come back there; any other gets a place for them.
    """
    if seen.status != "ready":
        take_in(seen, source)
    elif not s3.copy(source, seen.key, seen.content_type):
        raise Conflict
    elif is_over(seen):
        s3.delete(seen.key)
        raise Conflict
    elif not seen.verified_at:
        settle(seen.user_id, seen.id, lambda row, ledger: call_ready(seen, row, ledger))


def take_in(seen: Recording, source: Listed) -> None:
    """Let an upload or a mismatch have these bytes, which may be what it waits for already."""
    if source.key == seen.key and seen.awaits_bytes and s3.stat(seen.key):
        finish(seen)
    elif not adopt(seen, source):
        raise Conflict("the quota has no room for them")
    row = Recording.find(seen.id, seen.user_id)
    if row is None or not row.verified_at:
        raise Conflict


def call_ready(seen: Recording, row: Recording | None, ledger: Ledger) -> None:
    if row and row.attempt == seen.attempt and row.status == "ready":
        make_ready(row, ledger, proven=True)


def bring_back_other(row: Recording, source: Listed) -> None:
    """First the row says that these are other bytes, so that they can come over none that are proven."""
    call_mismatch(row)
    s3.copy(source, row.stored_key, row.content_type)


def call_mismatch(seen: Recording) -> None:
    """Take the acknowledgement back: no device may rely on these bytes. They stay until better ones are verified."""

    def decide(row: Recording | None, ledger: Ledger) -> None:
        if row and row.attempt == seen.attempt and row.status == "ready":
            row.status, row.verified_at = "mismatch", None
            change(row, ledger, {"status": row.status, "verified_at": None, **misplaced(row)})

    settle(seen.user_id, seen.id, decide)


# Objects and uploads that no row names.


def home(item: Listed, user_id: UserId, id: RecordingId, attempt: str) -> Remedy:
    """For an object without a row: a row where it is the only copy, deletion only where it is not wanted."""
    row = Recording.find(id, user_id)
    if Ledger.find(user_id, 0) is None:
        return Remedy("none: there is no such account; remove it by hand if it was closed", None)
    if row is None and (purged := Change.purged(user_id, id, attempt)) is not False:
        if purged is None:
            return Remedy("none: an old tombstone does not say whether its owner had these bytes purged", None)
        return Remedy("deleted: its owner had the recording purged", lambda: s3.delete(item.key))
    if row and proven_without(row):
        return Remedy("deleted: the recording is verified without it", lambda: s3.delete(item.key))
    found = s3.read(item.key)
    source, sha256 = (replace(item, size=found.size, etag=found.etag), found.sha256) if found else (item, None)
    if row and sha256 == row.sha256:
        return Remedy("these are the recording's bytes: it gets them", lambda: bring_back(row, source))
    if row is None and sha256 and is_id_of(id, user_id, sha256):
        return Remedy("recovered into a recording", lambda: recover(source, user_id, id, life_of(attempt), sha256))
    return Remedy("none: its bytes are not what its key says, and may be all there is", None)


def proven_without(row: Recording) -> bool:
    """Whether the row's own object is there and is what was acknowledged."""
    stored = s3.stat(row.key)
    if row.status != "ready" or not row.verified_at or not stored or stored.size != row.size:
        return False
    return (stored.sha256 or s3.digest(row.key)) == row.sha256


def recover(item: Listed, user_id: UserId, id: RecordingId, life: str, sha256: str) -> None:
    """A row for an object that has lost its own, of the same life, and then a copy of it. What the owner called it,
    nobody knows any more.
    """
    declared: Declaration = {
        "name": "Recovered recording",
        "size": item.size,
        "sha256": sha256,
        "recorded_at": stamp(item.moment),
        "content_type": s3.content_type(item.key),
    }

    def decide(row: Recording | None, ledger: Ledger) -> Recording:
        if row is None:
            return add(new_recording(user_id, id, declared, any_parts=False, life=life), ledger)
        return row

    take_in(settle(user_id, id, decide), item)
    row = Recording.find(id, user_id)
    if row and proven_without(row):
        s3.delete(item.key)


def clear_leftovers(row: Recording) -> None:
    clear(row)


def end_upload(item: Listed, row: Recording | None) -> Remedy:
    if row and item.key == row.key and not s3.stat(item.key):
        return Remedy("none: its row has no object, and these parts may be all there is", None)
    return Remedy("aborted", lambda: s3.abort_multipart(item.key, item.id))


# Changes and sums.


def take_out(note: Change, row: Recording | None) -> Remedy:
    if row is None:
        if remains(note):
            return Remedy(REMAINS, None)
        return Remedy("a tombstone under the next version", lambda: bury(note))
    if note.deleted or row.version < note.version:
        return Remedy("the recording is written again under the next version", lambda: write_again(note))
    return Remedy("taken out", lambda: forget(note, row))


REMAINS = (
    "none: there are bytes of it. An object becomes a recording again once it is an hour old, an old version once its "
    "delete marker is removed"
)


def remains(note: Change) -> bool:
    """Whether the bucket holds anything of a missing recording that its owner has not had purged, if only behind a
    delete marker. One ListObjectVersions.
    """
    found = s3.list_versions(f"recordings/{note.user_id}/{note.recording_id}/")
    attempts = {attempt for version in found if "." not in (attempt := version.key.rpartition("/")[2])}
    id = RecordingId(str(note.recording_id))
    return any(Change.purged(note.user_id, id, attempt) is False for attempt in attempts)


def bury(note: Change) -> None:
    def decide(row: Recording | None, ledger: Ledger) -> None:
        if row is None:
            entomb(note, ledger)

    settle(note.user_id, RecordingId(str(note.recording_id)), decide)


def write_again(note: Change) -> None:
    """For a change row with a later version than its recording."""

    def decide(row: Recording | None, ledger: Ledger) -> None:
        if row and row.version < note.version:
            renew(row, ledger, note)

    settle(note.user_id, RecordingId(str(note.recording_id)), decide)


def set_books(ledger: Ledger, used_bytes: int, last_version: int) -> None:
    if (ledger.used_bytes, ledger.last_version) != (used_bytes, last_version):
        rebook(ledger, used_bytes=used_bytes, last_version=last_version)
        ledger.used_bytes, ledger.last_version = used_bytes, last_version
