"""What verify_storage asks of ledgers: what an account uses and has counted is what its rows say, and its changes
speak of rows that are there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from aws.dynamo import Conflict, find_at_once
from operations.fsck import repair
from operations.fsck.differences import Difference, Scope, Tick, batches, guarded
from operations.fsck.repair import Remedy
from operations.fsck.rows import unnoted_ids
from recordings.keys import RecordingId, UserId
from recordings.models import Change, Ledger, Recording, Work
from recordings.transactions import order_closing

LATEST = 20  # versions; those before have been waited for by all of these


Unbooked = dict[str, dict[str, int]]  # by account and id: bytes of rows that no change row leads to


def check_ledgers(scope: Scope, unbooked: Unbooked, tick: Tick) -> Iterator[Difference]:
    """`unbooked` are those that this run has met. Others are looked for on the shelves and in
    the bucket, unless it has met all.
    """
    for ledger in ledgers_in(scope):
        if not ledger.closed:
            known = unbooked.get(ledger.user_id, {})
            yield from guarded(ledger.user_id, "", partial(audit, ledger.user_id, known, scope.whole))
        else:
            yield from guarded(ledger.user_id, "", partial(unattended, ledger.user_id))
        tick("accounts", 1)


def ledgers_in(scope: Scope) -> Iterator[Ledger]:
    if not scope.account:
        yield from Ledger.everything(scope.segment, scope.segments)
    elif ledger := Ledger.find(scope.account, 0):
        yield ledger


def unattended(user_id: UserId) -> Iterator[Difference]:
    """A closed account whose end no work row brings about."""
    try:
        ledger, work = find_at_once((Ledger, user_id, 0), (Work, f"account:{user_id}", user_id))
    except Conflict:  # the sweep is at it
        return
    if ledger and ledger.closed and work is None:
        remedy = Remedy("the sweep finishes it", lambda: order_closing(user_id))
        yield Difference("missing_work", user_id, "", "", "a closed account, left over", mend=lambda: remedy)


@dataclass
class Sums:
    """What an account's changes and their rows add up to: `noted` are ids of the rows that they lead to, `going` of
    those whose purge is under way.
    """

    used: int
    last: int = 0
    noted: set[str] = field(default_factory=set)
    going: set[str] = field(default_factory=set)

    def add(self, change: Change, row: Recording | None) -> None:
        self.last = max(self.last, change.version)
        if row:
            self.noted.add(row.id)
        if row and row.status == "purging":
            self.going.add(row.id)
        if row and row.version == change.version:
            self.used += row.used_bytes


def audit(user_id: UserId, unbooked: Mapping[str, int], whole: bool) -> Iterator[Difference]:
    """One account's changes and sums. Sums that move meanwhile are read again, and left alone if they do not rest."""
    reported: set[int] = set()
    for _ in range(3):
        before = Ledger.find(user_id, 0)
        if before is None or before.closed:
            return
        sums = Sums(sum(unbooked.values()))
        for changes in batches(Change.all_of(user_id)):
            rows = Recording.batch(user_id, {RecordingId(str(change.recording_id)) for change in changes})
            for change in changes:
                row = rows.get(RecordingId(str(change.recording_id)))
                sums.add(change, row)
                if stale(change, row) and change.version not in reported:
                    for difference in left_behind(change):
                        reported.add(change.version)
                        yield difference
        after = Ledger.find(user_id, 0)
        if (
            after
            and not after.closed
            and (after.last_version, after.used_bytes) == (before.last_version, before.used_bytes)
        ):
            if sums.used != after.used_bytes and not whole:
                sums.used += elsewhere(user_id, sums.noted | unbooked.keys())
            found = list(drift(after, sums.used, max(sums.last, after.last_version)))
            if not found or not is_moving(after, sums.going):
                yield from found
            return


def elsewhere(user_id: UserId, known: set[str]) -> int:
    """Bytes of rows that no change leads to, and that this run has not met."""
    rows = (Recording.batch(user_id, set(ids) - known) for ids in batches(unnoted_ids(user_id)))
    return sum({id: row.used_bytes for each in rows for id, row in each.items()}.values())


def is_moving(ledger: Ledger, going: set[str]) -> bool:
    """Whether one of the account's last changes is under way, or the end of one of its purges, whose recordings are
    `going`: the ledger may be ahead of its rows then, or behind them.
    """
    first = max(1, ledger.last_version - LATEST + 1)
    places = [(Change, ledger.user_id, version) for version in range(first, ledger.last_version + 2)]
    try:
        notes = find_at_once((Ledger, ledger.user_id, 0), *places)[1:]
        ids = {str(note.recording_id) for note in notes if note} | going
        for batch in batches(sorted(ids)):
            find_at_once(*[(Recording, id, ledger.user_id) for id in batch])
    except Conflict:
        return True
    return False


def stale(change: Change, row: Recording | None) -> bool:
    """Tombstones may stand beside a row that came after them; any other change row leads to its recording."""
    if change.deleted:
        return row is not None and row.version < change.version
    return row is None or row.version != change.version


def left_behind(change: Change) -> Iterator[Difference]:
    """The change row, if it and its recording still say so at one moment."""
    id = str(change.recording_id)
    try:
        again, row = find_at_once((Change, change.user_id, change.version), (Recording, id, change.user_id))
    except Conflict:
        return
    if again is None or not stale(again, row):
        return
    kind = "stale_change" if row else "missing_row"
    detail = f"version {change.version} of a recording at {row.version}" if row else "a change, and no recording"
    yield Difference(kind, change.user_id, id, "", detail, mend=lambda: repair.take_out(again, row))


def drift(ledger: Ledger, used: int, last: int) -> Iterator[Difference]:
    remedy = Remedy("set to the sum", lambda: repair.set_books(ledger, used, last))
    if ledger.used_bytes != used:
        detail = f"{ledger.used_bytes} bytes in the ledger, {used} in rows"
        yield Difference("wrong_usage", ledger.user_id, "", "", detail, mend=lambda: remedy)
    if ledger.last_version != last:
        detail = f"last version {ledger.last_version}, changes up to {last}"
        yield Difference("wrong_version", ledger.user_id, "", "", detail, mend=lambda: remedy)
