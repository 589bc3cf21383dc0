"""The hourly sweep: everything that is due is completed, purged or closed, whoever forgot it."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from recorder_project.problems import Problem
from recordings.completion import complete, give_up, verify
from recordings.decoding import SECONDS
from recordings.dynamo import Conflict, now
from recordings.excerpts import tend
from recordings.hearing import hear
from recordings.models import SHARDS, Recording, Work
from recordings.services import continue_emptying, finish_purge, purge
from recordings.writes import finish_work

log = logging.getLogger(__name__)

# Work that other packages have, by kind. Called with the user id and when to stop (time.monotonic), it returns
# whether it is done.
WORK: dict[str, Callable[[str, float], bool]] = {}


def sweep(
    *, seconds: float = 600, dry_run: bool = False, report: Callable[[str, str, str], None] = lambda *_: None
) -> Counter[str]:
    """Do what is due, for at most `seconds`; with `dry_run`, only say what that is. A fault in one holds up no other.

    `report` hears each outcome, with the row's id and its account's. Returns how many of each there were.
    """
    until, moment = time.monotonic() + seconds, now()
    outcomes: Counter[str] = Counter()
    for shard in SHARDS:
        for id, user_id in Recording.due(shard, moment):
            if time.monotonic() > until:
                outcomes["postponed"] += 1
                return outcomes
            try:
                outcome = foresee(id, user_id, moment) if dry_run else settle_one(id, user_id, moment, until)
            except Exception:
                log.exception("The sweep could not finish %s of %s", id, user_id)
                outcome = "failed"
            outcomes[outcome] += 1
            report(outcome, id, user_id)
    return outcomes


def foresee(id: str, user_id: str, moment: str) -> str:
    """What `settle_one` would see to. Reads one row, and S3 not at all."""
    kind, _, rest = id.partition(":")
    if rest:
        return {"trash": "would empty", "excerpt": "would cut or clear"}.get(kind, "would close")
    row = Recording.find(id, user_id)
    if row is None or not row.due_at or row.due_at > moment:
        return "changed"
    if row.status == "purging" or row.trashed_at:
        return "would purge"
    return "would complete or abandon" if row.awaits_bytes else "would verify"


def settle_one(id: str, user_id: str, moment: str, until: float) -> str:
    """Do what one due row waits for. Returns what became of it."""
    kind, _, rest = id.partition(":")
    try:
        if kind == "excerpt":
            return tend(rest, user_id, until)
        if rest:
            return do_work(kind, user_id, until)
        row = Recording.find(id, user_id)
        if row is None or not row.due_at or row.due_at > moment:
            return "changed"  # meanwhile, or the index is behind its table
        return settle_recording(row, moment, until)
    except Problem as problem:
        if problem.status_code not in (401, 404):  # its account was closed, or it was purged
            raise
        return "changed"


def settle_recording(row: Recording, moment: str, until: float) -> str:
    if row.status == "purging":
        finish_purge(row.user_id, row.id)
        return "purged"
    if row.status == "uploading" or row.trashed_at:
        if not row.trashed_at and arrived(row):
            return "completed"
        # Long past its URLs: to have this upload abandoned is no way to send bytes that nobody counts.
        abandoned = row.status == "uploading"
        done = purge(row.user_id, row.id, when=lambda row: is_due(row, moment), abandoned=abandoned)
        return "purged" if done else "changed"
    row = verify(row.user_id, row.id)
    if row.kept:
        return "completed" if arrived(row) else give_up(row.user_id, row.id, until=moment)
    if row.status == "ready" and not row.verified_at:
        log.error("The object of recording %s of %s is missing", row.id, row.user_id)
        return "missing"
    if row.unheard and row.due_at and row.due_at <= moment:
        return "heard" if hear_in_time(row, until) else "postponed"
    return "verified" if row.verified_at else "mismatched"


def hear_in_time(row: Recording, until: float) -> bool:
    """Listen to what S3's event has not brought to an end, unless this sweep is about to end itself."""
    seconds = min(SECONDS, until - time.monotonic())
    return seconds > SECONDS / 10 and hear(row, seconds=seconds, again=True).playable is not None


def is_due(row: Recording, moment: str) -> bool:
    return row.due_at is not None and row.due_at <= moment and (row.status == "uploading" or bool(row.trashed_at))


def arrived(row: Recording) -> bool:
    """Whether an overdue upload could be completed after all."""
    try:
        complete(row.user_id, row.id)
    except Problem as problem:
        if problem.status_code != 409:
            raise
        return False
    return True


def do_work(kind: str, user_id: str, until: float) -> str:
    """Emptying a trash, or another package's work. The row goes when nothing is left to do."""
    work = Work.find(f"{kind}:{user_id}", user_id)
    if work is None:
        return "changed"
    if kind != "trash":
        return "closed" if WORK[kind](user_id, until) else "waiting"
    if not continue_emptying(user_id, work.created_at, until=until):
        return "postponed"
    with suppress(Conflict):  # a newer order to empty it stays
        finish_work(work)
    return "emptied"
