"""Every write to the tables `recordings` and `changes`.

A recording changes in one way only: `add`, `change` or `remove`, each a single TransactWriteItems over the recording,
its account's ledger and its change row. All of them raise `Conflict` when what the caller had read is no longer so.
"""

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.conf import settings
from pynamodb.attributes import Attribute
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from aws.dynamo import Conflict, commit, transaction
from lib.clock import now
from lib.logs import count
from recordings.keys import RecordingId, UserId
from recordings.models import Change, Excerpt, Grave, Ledger, Recording, Share, Work, due_shard, used_bytes

log = logging.getLogger(__name__)

TOMBSTONE_DAYS = 100
BATCH = 500  # changes of a closed account that are deleted at once


class Behind(Conflict):
    """Rows have versions that the ledger has yet to give, as after tables came back from different moments: the ledger
    has to `catch_up` with them, to `version` at least.
    """

    def __init__(self, version: int) -> None:
        super().__init__("rows are ahead of their ledger")
        self.version = version


def catch_up(ledger: Ledger, version: int) -> None:
    """Let the ledger count on from the account's newest change. Raises Conflict where it has moved meanwhile."""
    newest = max(version, ledger.last_version, Change.newest(ledger.user_id))
    count("TornRows")
    log.error("Account %s has changes up to %d, its ledger to %d", ledger.user_id, newest, ledger.last_version)
    rebook(ledger, used_bytes=ledger.used_bytes, last_version=newest)


def add(row: Recording, ledger: Ledger) -> Recording:
    """Put a new recording in, and reserve its bytes."""
    row.version = ledger.last_version + 1
    write = transaction()
    write.save(row, Recording.id.does_not_exist())
    _book(write, ledger, row.version, row.id, bytes=row.used_bytes)
    _commit(write)
    return row


def change(
    row: Recording,
    ledger: Ledger,
    values: Mapping[str, Any],
    *,
    deleted: bool = False,
    lost: bool = False,
    also: Callable[[TransactWrite], None] = lambda write: None,
) -> Recording:
    """Set `values` (None takes an attribute away) on the recording as `row` was read, and take the next version. The
    ledger follows where they make it count for more or less. A tombstone (`deleted`) stands for the attempts of this
    row, none of which may come back, unless nobody wanted it to be deleted (`lost`).

    `also` may put other rows into the same transaction.
    """
    version = ledger.last_version + 1
    values = {**values, "version": version, "updated_at": now()}
    if "due_at" in values:
        values["due_shard"] = due_shard(row.id) if values["due_at"] else None
    more = used_bytes(values.get("size", row.size), values.get("kept_size", row.kept_size)) - row.used_bytes
    actions: list[Action] = []
    for name, value in values.items():
        attribute: Attribute[Any] = getattr(Recording, name)
        actions.append(attribute.remove() if value is None else attribute.set(value))
    if row.version > ledger.last_version:
        raise Behind(row.version)

    def send(*, note: bool) -> None:
        write = transaction()
        as_read = (Recording.version == row.version) & (Recording.attempt == row.attempt)
        write.update(row, actions, condition=as_read)
        if note:
            write.delete(Change(row.user_id, row.version), condition=_of(row.id))
        life = row.life if deleted and not lost else None
        _book(write, ledger, version, row.id, bytes=more, deleted=deleted, life=life)
        also(write)
        _commit(write)

    try:
        send(note=True)
    except Foreign:
        count("TornRows")
        log.warning("Change %d of account %s is not recording %s's own", row.version, row.user_id, row.id)
        send(note=False)
    for name, value in values.items():
        setattr(row, name, value)
    return row


class Foreign(Conflict):
    """The change row at a recording's version is another recording's."""


def _of(recording_id: RecordingId) -> Any:
    """A change row may be taken out where it is this recording's, or is not there."""
    return Change.recording_id.does_not_exist() | (Change.recording_id == recording_id)


def _commit(write: TransactWrite) -> None:
    """Send a transaction with a change row. Raises Conflict; Behind or Foreign for rows of different moments."""
    try:
        commit(write)
    except Conflict as conflict:
        failed = _failed(write, conflict)
        if any("UpdateExpression" in item for item in failed):  # the ledger or a row has moved: anything may have
            raise
        changes = [item for item in failed if item["TableName"] == settings.CHANGES_TABLE]
        if any("Item" in item for item in changes):
            raise Behind(0) from conflict
        if changes:
            raise Foreign from conflict
        raise


def _failed(write: TransactWrite, conflict: Conflict) -> list[Mapping[str, object]]:
    """The items whose conditions did not hold, in the order in which PynamoDB sends them."""
    items = [*write._condition_check_items, *write._delete_items, *write._put_items, *write._update_items]
    reasons = getattr(conflict.__cause__, "cancellation_reasons", [])
    pairs = zip(items, reasons, strict=False)
    return [item for item, reason in pairs if reason and reason.code == "ConditionalCheckFailed"]


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
    return row.update_if(as_read, *actions)


def _book(
    write: TransactWrite,
    ledger: Ledger,
    version: int,
    id: RecordingId,
    *,
    bytes: int,
    deleted: bool = False,
    life: str | None = None,
) -> None:
    """The ledger's and the change row's part of a transaction. The condition puts all changes in one order.

    A tombstone (`deleted`) says whose attempts were purged, or that none were: a row was lost.
    """
    actions: list[Action] = [Ledger.last_version.set(version)]
    if bytes:
        actions.append(Ledger.used_bytes.add(bytes))
    in_order = (Ledger.last_version == ledger.last_version) & Ledger.closed.does_not_exist()
    write.update(ledger, actions, condition=in_order)
    row = Change(ledger.user_id, version, recording_id=id, made_at=int(time.time()))
    if deleted:
        row.deleted, row.expires_at = True, int(time.time()) + TOMBSTONE_DAYS * 86400
        row.life, row.lost = life, None if life else True
        if life:
            write.save(Grave.of(row.user_id, id, life, expires_at=row.expires_at))
    write.save(row, Change.user_id.does_not_exist())


def remove(row: Recording) -> None:
    """Take a `purging` recording out, its shares with it, and give its bytes back. No version: its tombstone stands
    already.
    """
    write = transaction()
    for entry in row.shares or []:
        write.delete(Share.bare(entry["id"]))
        if entry["excerpt"]:
            write.delete(Excerpt(Excerpt.id_of(entry["id"]), row.user_id))
    write.delete(row, (Recording.status == "purging") & (Recording.attempt == row.attempt))
    write.update(Ledger(row.user_id), [Ledger.used_bytes.add(-row.used_bytes)], condition=Ledger.last_version.exists())
    commit(write)


def rebook(ledger: Ledger, *, used_bytes: int, last_version: int) -> None:
    """Put right what a ledger says, on condition that it still says what was read."""
    as_read = (Ledger.last_version == ledger.last_version) & (Ledger.used_bytes == ledger.used_bytes)
    write = transaction()
    actions: list[Action] = [Ledger.used_bytes.set(used_bytes), Ledger.last_version.set(last_version)]
    write.update(ledger, actions, condition=as_read)
    commit(write)


def renew(row: Recording, ledger: Ledger, note: Change) -> None:
    """Write a recording again that a change row is ahead of, so that no device takes that for the last word. A
    tombstone stays, and speaks for an earlier life from then on.
    """
    if note.version > ledger.last_version:
        raise Behind(note.version)

    def join(write: TransactWrite) -> None:
        if not note.deleted:
            write.delete(note, condition=_of(row.id))

    change(row, ledger, {}, deleted=row.status == "purging", also=join)


def forget(stale: Change, row: Recording) -> None:
    """Take out a change row that its recording, as it was read, has left behind."""
    write = transaction()
    write.condition_check(Recording, row.id, row.user_id, condition=Recording.version == row.version)
    write.delete(stale, condition=_of(row.id))
    commit(write)


def entomb(stale: Change, ledger: Ledger) -> None:
    """Tell every device that a recording is gone whose row is missing: a tombstone in its change row's place."""
    id = RecordingId(str(stale.recording_id))
    if stale.version > ledger.last_version:
        raise Behind(stale.version)
    write = transaction()
    write.condition_check(Recording, id, stale.user_id, condition=Recording.id.does_not_exist())
    write.delete(stale, condition=_of(id))
    _book(write, ledger, ledger.last_version + 1, id, bytes=0, deleted=True)
    _commit(write)


def open_ledger(write: TransactWrite, user_id: UserId, *, is_guest: bool, last_version: int = 0) -> None:
    """Sign-up's part for this package."""
    ledger = Ledger(user_id, last_version=last_version, used_bytes=0, is_guest=is_guest)
    write.save(ledger, Ledger.user_id.does_not_exist())


def settle_ledger(write: TransactWrite, user_id: UserId, *, is_guest: bool = False) -> None:
    """Linking's part for this package: a guest's account becomes a full one, with a full one's quota."""
    write.update(Ledger(user_id), [Ledger.is_guest.set(is_guest)], condition=Ledger.last_version.exists())


def close_ledger(write: TransactWrite, user_id: UserId) -> None:
    """Closing's part for this package: from here on no recording of this account can change."""
    write.update(Ledger(user_id), [Ledger.closed.set(True)], condition=Ledger.last_version.exists())


def defer(id: RecordingId, user_id: UserId, *, until: str, moment: str) -> None:
    """Let the sweep come back to a row at `until`, if it is still as due as it was at `moment`. Takes no version."""
    Recording(id, user_id).update_if(Recording.due_at <= moment, Recording.due_at.set(until))


def finish_work(work: Work) -> None:
    """Take a work row out. Raises Conflict where it has been renewed, or is gone."""
    write = transaction()
    as_read: Any = Work.created_at == work.created_at
    as_read &= Work.up_to.does_not_exist() if work.up_to is None else Work.up_to == work.up_to
    write.delete(work, as_read)
    commit(write)


def order_closing(user_id: UserId) -> None:
    """Let the sweep bring a closed account to its end. Raises Conflict where it will already, or has."""
    write = transaction()
    write.condition_check(Ledger, user_id, 0, condition=Ledger.closed.exists())
    write.save(Work.of("account", user_id, due_at=now()), Work.id.does_not_exist())
    commit(write)


def drop_ledger(write: TransactWrite, user_id: UserId) -> None:
    """The end of a closing: the last that tells that there was such an account."""
    write.delete(Ledger(user_id), Ledger.closed.exists())


def erase_rows(user_id: UserId, go_on: Callable[[], bool]) -> bool:
    """Delete a closed account's recordings and changes, but for the ledger. Asks before each batch whether it shall
    `go_on`, and returns whether it came to the end.
    """
    graves, notes = Change.version < 0, Change.version >= 1  # all but the ledger
    rows = (row for part in (graves, notes) for row in Change.query(user_id, part, consistent_read=True))
    while batch := list(itertools.islice(rows, BATCH)):
        if not go_on():
            return False
        ids = {RecordingId(str(row.recording_id)) for row in batch}
        _erase_shares(user_id, ids)
        with Recording.batch_write() as recordings:
            for id in ids:
                recordings.delete(Recording(id, user_id))
        with Change.batch_write() as changes:
            for row in batch:
                changes.delete(row)
    Work.of("trash", user_id, due_at="").delete()
    return True


def _erase_shares(user_id: UserId, ids: Iterable[RecordingId]) -> None:
    """Delete the rows of these recordings' shares, which must still name them."""
    entries = [entry for row in Recording.batch(user_id, ids).values() for entry in row.shares or []]
    if entries:
        with Share.batch_write() as shares:
            for entry in entries:
                shares.delete(Share.bare(entry["id"]))
        with Excerpt.batch_write() as excerpts:
            for entry in entries:
                excerpts.delete(Excerpt(Excerpt.id_of(entry["id"]), user_id))
