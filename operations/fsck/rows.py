"""What verify_storage asks of rows: that each has its object and its change row, and stands on the right lists."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import NamedTuple

from aws import s3
from aws.dynamo import Conflict, find_at_once
from aws.s3 import Stored
from operations.fsck import repair
from operations.fsck.differences import Difference, Scope, Tick, batches, guarded
from operations.fsck.repair import Remedy
from operations.fsck.shares import check_shares
from recordings.keys import RecordingId, UserId, owner_of, place_of
from recordings.models import Change, Ledger, Recording, due_shard

THREADS = 16


class Look(NamedTuple):
    """A row, and what there is beside it. `stored` is of the object that a download gives."""

    row: Recording
    change: Change | None
    ledger: Ledger | None
    stored: Stored | None


def rows_in(scope: Scope) -> Iterator[Recording]:
    """The rows of the scope. Of one account, those that its changes, its shelves, its objects or its uploads lead to:
    four Queries, two listings and a BatchGetItem for each 100, and no Scan.
    """
    if not scope.account:
        yield from Recording.everything(scope.segment, scope.segments)
        return
    seen: set[RecordingId] = set()
    for ids in batches(chain(noted_ids(scope.account), unnoted_ids(scope.account))):
        new = set(ids) - seen
        seen |= new
        yield from Recording.batch(scope.account, new).values()


def noted_ids(user_id: UserId) -> Iterator[RecordingId]:
    return (RecordingId(str(change.recording_id)) for change in Change.all_of(user_id))


def unnoted_ids(user_id: UserId) -> Iterator[RecordingId]:
    """The ids of recordings that are on a shelf, or that the bucket has something of."""
    yield from Recording.shelved(user_id)
    prefix = Scope(user_id).prefix
    for page in chain(s3.list_objects(prefix), s3.list_uploads(prefix)):
        yield from (owner_of(match)[1] for item in page if (match := place_of(item.key)))


def check_rows(scope: Scope, deep: bool, tick: Tick) -> Iterator[Difference]:
    with ThreadPoolExecutor(THREADS) as pool:
        for rows in batches(rows_in(scope)):
            booked = {(c.user_id, c.version): c for c in Change.batch_get(versions(rows), consistent_read=True)}
            owners = {(row.user_id, 0) for row in rows}
            ledgers = {ledger.user_id: ledger for ledger in Ledger.batch_get(owners, consistent_read=True)}
            objects = [(row, pool.submit(stat, row, deep)) for row in rows]
            for row, stored in objects:
                change, ledger = booked.get((row.user_id, row.version)), ledgers.get(row.user_id)
                yield from guarded(row.user_id, row.id, partial(of_row, row, change, ledger, stored, deep))
            open_ones = [row for row in rows if is_open(ledgers.get(row.user_id))]
            yield from guarded("", "", partial(of_shares, open_ones))
            tick("rows", len(rows))


def of_row(
    row: Recording, change: Change | None, ledger: Ledger | None, stored: Future[Stored | None], deep: bool
) -> Iterator[Difference]:
    if faults(Look(row, change, ledger, stored.result())):
        yield from confirmed(row, deep)


def is_open(ledger: Ledger | None) -> bool:
    return ledger is not None and not ledger.closed


def of_shares(rows: list[Recording]) -> Iterator[Difference]:
    for fault in check_shares(rows):
        remedy, row = partial(Remedy, fault.remedy, fault.mend), fault.row
        yield Difference(fault.kind, row.user_id, row.id, fault.key, fault.detail, mend=remedy)


def versions(rows: list[Recording]) -> set[tuple[str, int]]:
    return {(row.user_id, row.version) for row in rows}


def stat(row: Recording, deep: bool) -> Stored | None:
    """What is stored for the row; with `deep`, the bytes themselves say their hash."""
    if row.status not in ("ready", "mismatch"):
        return None
    stored = s3.stat(row.stored_key)
    if stored and deep and row.status == "ready" and stored.size == row.size:
        return replace(stored, sha256=s3.digest(row.stored_key))
    return stored


def faults(look: Look) -> list[tuple[str, str]]:
    """(kind, detail) of what is wrong with a row."""
    row, change, ledger, stored = look
    if ledger is None:
        return [("no_account", "the account of this row has no ledger")]
    if ledger.closed:
        return []
    found = []
    if row.status in ("ready", "mismatch") and stored is None:
        found.append(("missing_object", f"status {row.status}, and no object"))
    elif row.status == "ready" and stored and stored.size != row.size:
        found.append(("wrong_size", f"{row.size} bytes declared, {stored.size} stored"))
    elif row.status == "ready" and stored and stored.sha256 not in (None, row.sha256):
        found.append(("wrong_bytes", f"the stored bytes have the SHA-256 {stored.sha256}"))
    if not repair.fits(change, row):
        found.append(("missing_change", f"version {row.version} does not stand in the changes"))
    misplaced = repair.misplaced(row)
    if "shelf" in misplaced:
        found.append(("wrong_shelf", f"stands on {row.shelf}"))
    if "due_at" in misplaced:
        found.append(("wrong_due", f"due {row.due_at} in shard {row.due_shard}, expected {due_shard(row.id)}"))
    return found


def confirmed(row: Recording, deep: bool) -> Iterator[Difference]:
    """The faults that a row still has when it and what belongs to it are read at one moment, before and after its
    object. None while a transaction about it is under way.
    """
    for _ in range(3):
        seen = Recording.find(row.id, row.user_id)
        if seen is None:
            return
        stored = stat(seen, deep)
        try:
            again, change, ledger = find_at_once(
                (Recording, row.id, row.user_id), (Change, row.user_id, seen.version), (Ledger, row.user_id, 0)
            )
        except Conflict:
            return
        if again is None:
            return
        if again.version == seen.version:
            size = 0 if change and change.recording_id == row.id else seen.used_bytes
            for kind, detail in faults(Look(seen, change, ledger, stored)):
                remedy = row_remedy(kind, seen)
                yield Difference(kind, row.user_id, row.id, seen.stored_key, detail, mend=remedy, size=size)
            return


def row_remedy(kind: str, row: Recording) -> Callable[[], Remedy]:
    if kind == "no_account":
        return lambda: Remedy("none: restore the ledger, or remove what a closed account has left", None)
    if kind in ("missing_object", "wrong_size", "wrong_bytes"):
        return lambda: repair.restore_bytes(row, gone=kind == "missing_object")
    return lambda: Remedy("written again under the next version", lambda: repair.rewrite(row.user_id, row.id))
