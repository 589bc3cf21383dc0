"""An account's changes in order, for whoever follows them: a device by changes/, an owner by the export.

Beside a transaction that is being applied, a Query and a BatchGetItem are read-committed only: a page may show one of
its items as it is afterwards and another as it was before, or a later transaction before an earlier one. A
TransactGetItems is serializable beside it: it finds all of it, nothing of it, or says that they met.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-isolation

So a page ends before whatever may be under way: a change that its recording does not show yet, and a version that is
not there while a later one is. Most versions that are not there have been superseded, which only a TransactGetItems
can tell as long as they are young.
"""

import datetime
import logging
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aws.dynamo import Conflict, Table, find_at_once
from aws.retry import retry_on_conflict
from lib.logs import count
from lib.problems import Problem
from recordings.keys import RecordingId, UserId
from recordings.models import Change, Ledger, Recording
from recordings.transactions import TOMBSTONE_DAYS

log = logging.getLogger(__name__)

SETTLED = 600.0  # seconds; far longer than any transaction is under way. DynamoDB forgets a request's token after that
GAP = 1000  # versions; each has to wait for the one before, so that many take far longer than one is under way
ASKED = 100  # TransactGetItems' most
PATIENCE = 1.0  # seconds for what is under way at the very beginning of a page

Place = tuple[type[Table], str, str | int]


class Told(NamedTuple):
    """A change, and what there is to tell of it: the recording as it is now, the id of one that is gone, or nothing
    where the rows contradict each other.
    """

    version: int
    what: Recording | str | None


class Look(NamedTuple):
    """Change rows after `after`, and those of their recordings that are there."""

    after: int
    rows: list[Change]
    living: Mapping[RecordingId, Recording]

    def recording(self, row: Change) -> Recording | None:
        return self.living.get(RecordingId(str(row.recording_id)))


def page(user_id: UserId, after: int, *, limit: int) -> tuple[list[Told], bool]:
    """At most `limit` changes after the version `after`, in order, and whether there are more.

    None is left out that was committed before one that is told. A Query and a BatchGetItem, both strongly consistent;
    and a TransactGetItems where something young may be under way, another for each 99 versions of one gap. Nothing,
    where the very first change is under way for a second; rows that contradict each other are waited for until the
    change is `SETTLED` seconds old.
    """
    try:
        return page_once(user_id, after, limit=limit, last=False)
    except Problem as problem:
        if problem.code != "busy":
            raise
        return [], False


def page_once(user_id: UserId, after: int, *, limit: int, last: bool = True) -> tuple[list[Told], bool]:
    """The same, for who does not ask again for what comes, and has to know at the end, where this is the `last` page,
    that nothing is under way: a change may have gone whose successor is still to come. Two more TransactGetItems then.
    Raises 503 `busy` in place of nothing.
    """
    return retry_on_conflict(try_page, seconds=PATIENCE)(user_id, after, limit=limit, last=last)


def try_page(user_id: UserId, after: int, *, limit: int, last: bool) -> tuple[list[Told], bool]:
    """Raises Conflict where nothing can be told for sure at this moment."""
    rows = Change.since(user_id, after, limit=limit + 1)
    ids = [RecordingId(str(row.recording_id)) for row in rows[:limit] if not row.deleted]
    look = Look(after, rows[:limit], Recording.batch(user_id, ids))
    doubts = doubts_of(look)
    sure = min(doubts, default=len(look.rows))
    end = enough(doubts, len(look.rows))
    more, look = len(rows) > end, look._replace(rows=look.rows[:end])
    asked = [place for at in doubts if at < end for place in doubts[at]]
    try:
        if last and not more:
            asked += behind(user_id, look)
        found = ask(asked, look.rows)
    except Conflict:
        if sure:
            return [tell(row, look, {}) for row in look.rows[:sure]], True
        raise
    held = held_at(look, found) if same(look, asked, found) else 0
    if held == 0:
        raise Conflict
    if held:
        return [tell(row, look, found) for row in look.rows[:held]], True
    return [tell(row, look, found) for row in look.rows], more


def doubts_of(look: Look) -> dict[int, list[Place]]:
    """By the number of the row: what must be looked at before that row may be told."""
    doubts: dict[int, list[Place]] = {}
    young, last = young_from(look), look.after
    for at, row in enumerate(look.rows):
        places: list[Place] = []
        if at >= young:
            missing = range(max(last + 1, row.version - GAP), row.version)
            places += [(Change, row.user_id, version) for version in missing]
        if in_doubt(row, look.recording(row)):
            places += [(Change, row.user_id, row.version), (Recording, str(row.recording_id), row.user_id)]
        if places:
            doubts[at] = places
        last = row.version
    return doubts


def young_from(look: Look) -> int:
    """The number of the first row after all that are older than anything under way: later versions came later."""
    for at in reversed(range(len(look.rows))):
        moment = latest_moment(look.rows[at], look.recording(look.rows[at]))
        if moment is not None and time.time() - moment > SETTLED:
            return at + 1
    return 0


def latest_moment(row: Change, recording: Recording | None) -> float | None:
    """When the change was made, or later, in seconds since 1970; None where nothing says it."""
    if row.deleted:
        return row.expires_at - TOMBSTONE_DAYS * 86400 if row.expires_at else None
    if recording is None or in_doubt(row, recording):
        return None
    return datetime.datetime.fromisoformat(recording.updated_at).timestamp()


def in_doubt(row: Change, recording: Recording | None) -> bool:
    """Whether the recording is not as far as its change: that is under way, or they are of different moments."""
    return not row.deleted and (recording is None or recording.version < row.version)


def enough(doubts: Mapping[int, Sequence[Place]], rows: int) -> int:
    """How many of the rows one TransactGetItems can speak for, at least one."""
    asked = 0
    for at, places in doubts.items():
        asked += len(places)
        if at and asked >= ASKED:
            return at
    return rows


def behind(user_id: UserId, look: Look) -> list[Place]:
    """Where changes after the last of the page are, by what the ledger says. One TransactGetItems."""
    (ledger,) = find_at_once((Ledger, user_id, 0))
    last = look.rows[-1].version if look.rows else look.after
    newest = ledger.last_version if ledger else last
    return [(Change, user_id, version) for version in range(max(last, newest - GAP) + 1, newest + 1)]


def ask(places: Sequence[Place], rows: Sequence[Change]) -> dict[Place, Table | None]:
    """What is at these places, at one moment after the last of the rows was committed. Raises Conflict where anything
    that changes one of them is under way.
    """
    found: dict[Place, Table | None] = {}
    left = list(dict.fromkeys(places))
    while left:
        last: list[Place] = [(Change, row.user_id, row.version) for row in rows[-1:]]
        chunk = list(dict.fromkeys([*left[: ASKED - 1], *last]))
        found |= dict(zip(chunk, find_at_once(*chunk), strict=True))
        left = left[ASKED - 1 :]
    return found


def same(look: Look, asked: Sequence[Place], found: Mapping[Place, Table | None]) -> bool:
    """Whether what was looked at is as the page has it: nothing in the gaps, and no recording that has moved on."""
    told = {row.version for row in look.rows}
    for place in asked:
        row = found[place]
        if isinstance(row, Change) and row.version not in told:
            return False
        if place[0] is Recording:
            seen = look.living.get(RecordingId(str(place[1])))
            if (seen and seen.version) != (row.version if isinstance(row, Recording) else None):
                return False
    return True


def held_at(look: Look, found: Mapping[Place, Table | None]) -> int | None:
    """The number of the first row whose recording is not as far, though nothing about it is under way any more, and
    that is too young to be given up: a store may show a transaction's items late. None for none.
    """
    for at, row in enumerate(look.rows):
        if in_doubt(row, look.recording(row)) and found[Change, row.user_id, row.version] and is_young(row):
            return at
    return None


def is_young(row: Change) -> bool:
    return row.made_at is not None and time.time() - row.made_at < SETTLED


def tell(row: Change, look: Look, found: Mapping[Place, Table | None]) -> Told:
    id, recording = str(row.recording_id), look.recording(row)
    if in_doubt(row, recording) and found[Change, row.user_id, row.version]:
        count("TornRows")
        log.error("Change %d of account %s is not in recording %s", row.version, row.user_id, id)
        return Told(row.version, recording)
    # One that was in doubt and is not there any more was purged since, with its recording.
    if row.deleted or recording is None or recording.status == "purging":
        return Told(row.version, id)
    return Told(row.version, recording)
