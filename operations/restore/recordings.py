"""After tables came back from an earlier moment: what had happened to recordings since then, as the old table of
changes still tells it. What was purged is purged again, and no device takes what it has seen since for the last word.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from aws.dynamo import elsewhere
from operations.fsck.differences import batches
from operations.fsck.repair import write_again
from recordings.keys import RecordingId
from recordings.models import Change, Ledger, Recording
from recordings.transactions import rebook
from recordings.trash import purge


class Carried(NamedTuple):
    """Something that was so in the old tables: `kind` says what, `act` makes it so again (None: nothing can)."""

    kind: str
    account: str
    id: str
    act: Callable[[], object] | None


def carry_versions(changes_table: str) -> Iterator[Carried]:
    """What has to be done before any other change: no version is given again that a device may have a cursor of. One
    Scan of the old table, a GetItem for each ledger.
    """
    old_ledger = elsewhere(Ledger, changes_table)
    for book in old_ledger.scan(old_ledger.version == 0, consistent_read=True):
        ledger = Ledger.find(book.user_id, 0)
        if ledger and not ledger.closed and ledger.last_version < book.last_version:
            books = partial(rebook, ledger, used_bytes=ledger.used_bytes, last_version=book.last_version)
            yield Carried("versions", book.user_id, "", books)


def carry_recordings(changes_table: str) -> Iterator[Carried]:
    """What has to be done about recordings. One Scan of the old table, a BatchGetItem for each 100 changes."""
    old_change = elsewhere(Change, changes_table)
    for notes in batches(old_change.scan(old_change.version >= 1, consistent_read=True)):
        keys = {(RecordingId(str(note.recording_id)), note.user_id) for note in notes}
        rows = {(row.id, row.user_id): row for row in Recording.batch_get(keys, consistent_read=True)}
        for note in notes:
            row = rows.get((RecordingId(str(note.recording_id)), note.user_id))
            if row and row.status != "purging" and (carried := carry(note, row)):
                yield carried


def carry(note: Change, row: Recording) -> Carried | None:
    """What an old change row means for the recording that came back."""
    if note.deleted:
        if not note.life or note.life != row.life:
            return None
        same = partial(is_of, note)
        return Carried("purged", row.user_id, row.id, partial(purge, row.user_id, row.id, when=same))
    if row.version < note.version:
        seen = Change(row.user_id, note.version, recording_id=row.id)
        return Carried("changed", row.user_id, row.id, partial(write_again, seen))
    return None


def is_of(note: Change, row: Recording) -> bool:
    return row.life == note.life
