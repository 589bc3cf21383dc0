"""The sweep: everything that is due is completed, purged or closed, whoever forgot it, every account in its turn."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from math import inf
from threading import Condition
from typing import Any

from accounts.services import finish_closing, finish_revoking
from aws.dynamo import Conflict
from lib.clock import days_from_now, now
from lib.problems import Problem
from operations.turns import QUICK, Key, Page, Row, Turns
from recordings.analysis.analyse import hear
from recordings.analysis.decoding import SECONDS
from recordings.completion import complete, give_up, verify
from recordings.keys import RecordingId, UserId
from recordings.library import Unclear
from recordings.models import SHARDS, Ledger, Recording, Work, is_for_all
from recordings.shares.excerpts import tend
from recordings.transactions import defer, finish_work
from recordings.trash import continue_emptying, finish_purge, purge

log = logging.getLogger(__name__)

Report = Callable[[str, RecordingId, UserId], None]
Kinds = Callable[[str], bool]  # of a row's id: whether this run does it

PAGE = 1000  # rows that are listed at once
SLICE = 20.0  # seconds of a long work, until others have their turn
WORKS, MEDIA = "works", "media"  # what goes in slices, and what reads or decodes whole files
# Each lane's, one alone for what a process decodes beside this one; with none, one does all, which tests step through.
THREADS = {QUICK: 12, WORKS: 2, MEDIA: 1}
LANES = (QUICK, WORKS, MEDIA)
GOING_ON, TO_MEDIA = "going on", "to media"
TRIED_AGAIN = ("unclear", "missing", "retrying")  # with a fault, in RETRY_DAYS, so that it does not come in every run
RETRY_DAYS = 1 / 24


def sweep(
    *,
    seconds: float = 600,
    spare: float = 0,
    part: int = 0,
    of: int = 1,
    dry_run: bool = False,
    kinds: Kinds = is_for_all,
    report: Report = lambda *_: None,
) -> Counter[str]:
    """Do what is due, beginning nothing after `seconds`; what is under way then has `spare` seconds more. With
    `dry_run`, only say what that is. A fault in one holds up no other, and no account another.

    Sweeps may run beside each other; each of the parts 0 to `of` - 1 has shards of its own, and `kinds`
    of work. `report` hears each outcome, with the row's id and its account's. Returns how many of each there were.
    """
    run = begin(seconds=seconds, spare=spare, shards=SHARDS[part::of], dry_run=dry_run, kinds=kinds, report=report)
    run.work() if dry_run or not THREADS else run.work_together()
    if not run.turns.is_over:
        run.outcomes["postponed"] += 1
    return run.outcomes


def begin(
    *, seconds: float, spare: float, shards: Sequence[str], dry_run: bool, report: Report, kinds: Kinds = is_for_all
) -> "Sweep":
    """A run that nobody works on yet."""
    until, moment = time.monotonic() + seconds, now()

    def settle(row: Row) -> str:
        if dry_run:
            return foresee(row.id, row.user_id, moment)
        return settle_one(row.id, row.user_id, moment, until + spare, quick=row.lane == QUICK)

    # In a dry run nothing goes away, and each pass would have to list it all again.
    most = {"per_account": inf, "window": inf} if dry_run else {}
    return Sweep(Turns(shards, LANES, lane_of, **most), settle, moment, until, report, kinds)


def lane_of(id: str) -> str:
    """Where a row waits. What of the quick ones reads or decodes whole files, is found out by who reads the row."""
    kind, _, rest = id.partition(":")
    return (MEDIA if kind == "excerpt" else WORKS) if rest else QUICK


@dataclass
class Sweep:
    """One run over what was due at `moment`. Its workers end `until` (time.monotonic), or when nothing is left."""

    turns: Turns
    settle: Callable[[Row], str]
    moment: str
    until: float
    report: Report = lambda *_: None
    kinds: Kinds = is_for_all
    outcomes: Counter[str] = field(default_factory=Counter)
    moved: Condition = field(default_factory=Condition)

    def work_together(self) -> None:
        """Let as many threads as each lane has work. The clients are made before there are many."""
        self.work(1)
        with ThreadPoolExecutor(sum(THREADS.values())) as pool:
            lanes = [lane for lane, number in THREADS.items() for _ in range(number)]
            workers = [pool.submit(copy_context().run, self.work, inf, (lane,)) for lane in lanes]
            try:
                for worker in workers:
                    worker.result()
            except BaseException:
                self.until = -inf
                raise

    def work(self, most: float = inf, lanes: Sequence[str] = LANES) -> None:
        """Do what comes next in these lanes, at most so much of it."""
        while most > 0 and (job := self.wait(lanes)):
            self.conclude(job, self.perform(job))
            most -= 1

    def wait(self, lanes: Sequence[str]) -> Page | Row | None:
        """What comes next, None when the run is over. Others may be at what leads to more."""
        with self.moved:
            while not (job := self.take(lanes)) and not self.is_late and not self.turns.is_over:
                self.moved.wait(1)
            return job

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self.until

    def take(self, lanes: Sequence[str]) -> Page | Row | None:
        return None if self.is_late else self.turns.take(lanes)

    def perform(self, job: Page | Row) -> Any:
        """Do it, whatever comes of it."""
        return self.read(job) if isinstance(job, Page) else self.see_to(job)

    def read(self, page: Page) -> tuple[list[Key], Any] | None:
        try:
            keys, after = Recording.due(page.shard, self.moment, after=page.after, limit=PAGE)
        except Exception:
            log.exception("The sweep could not list shard %s", page.shard)
            return None
        return [key for key in keys if self.kinds(key[0])], after

    def see_to(self, row: Row) -> str:
        """Settle it, and say what became of it. What has a fault of its own comes again later."""
        try:
            outcome = self.settle(row)
        except Unclear as unclear:
            log.error("The rows of %s of %s are left alone: %s", row.id, row.user_id, unclear)  # noqa: TRY400
            outcome = "unclear"
        except Problem:
            log.exception("The sweep could not finish %s of %s", row.id, row.user_id)
            return "failed"
        except Exception:
            log.exception("The sweep could not finish %s of %s", row.id, row.user_id)
            return put_off(row, self.moment, "failed")
        return put_off(row, self.moment, outcome) if outcome in TRIED_AGAIN else outcome

    def conclude(self, job: Page | Row, result: Any) -> None:
        """Say what came of it."""
        with self.moved:
            if isinstance(job, Page):
                self.turns.has_read(job, *(result or ((), None)))
                if result is None:
                    self.outcomes["failed"] += 1
            else:
                again = {GOING_ON: job.lane, TO_MEDIA: MEDIA}.get(result, "")
                self.turns.is_done(job, but_for=again)
                if not again:
                    self.outcomes[result] += 1
                    self.report(result, job.id, job.user_id)
            self.moved.notify_all()


def put_off(row: Row, moment: str, outcome: str) -> str:
    """Let a row that will not be settled soon come again later, unless it has changed. Returns the outcome."""
    try:
        defer(row.id, row.user_id, until=days_from_now(RETRY_DAYS), moment=moment)
    except Exception:
        log.exception("The sweep could not put %s of %s off", row.id, row.user_id)
    return outcome


def foresee(id: RecordingId, user_id: UserId, moment: str) -> str:
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


def settle_one(id: RecordingId, user_id: UserId, moment: str, until: float, *, quick: bool = False) -> str:
    """Do what one due row waits for. Returns what became of it; where only what is `quick` may be done, TO_MEDIA for
    all else. Raises Unclear for rows that nobody can make sense of.
    """
    kind, _, rest = id.partition(":")
    try:
        if kind == "excerpt":
            return tend(rest, user_id, until)
        if rest:
            return do_work(kind, user_id, until)
        row = Recording.find(id, user_id)
        if row is None or not row.due_at or row.due_at > moment:
            return "changed"  # meanwhile, or the index is behind its table
        if not row.is_whole or not (row.waits or row.trashed_at or row.status in ("uploading", "purging")):
            raise Unclear(f"status {row.status}, attempt {row.attempt}, version {row.version}, due {row.due_at}")
        if quick and takes_long(row):
            return TO_MEDIA
        return settle_recording(row, moment, until)
    except Problem as problem:
        if problem.status_code not in (401, 404):  # its account was closed, or it was purged
            raise
        if problem.status_code == 401 and Ledger.find(user_id, 0) is None and Recording.find(id, user_id):
            raise Unclear("its account has no ledger") from problem
        return "changed"


def takes_long(row: Recording) -> bool:
    """Whether settling it may read or decode the whole file."""
    return row.status in ("ready", "mismatch") and not row.trashed_at


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


def do_work(kind: str, user_id: UserId, until: float) -> str:
    """Empty a trash, close an account or revoke a login, until `until`. The row goes when nothing is left to do."""
    work = Work.find(f"{kind}:{user_id}", user_id)
    if work is None:
        return "changed"
    until = min(until, time.monotonic() + SLICE)
    match kind:
        case "account":
            return finish_closing(user_id, until)
        case "revoke":
            return finish_revoking(user_id, until)
        case "trash":
            return finish_emptying(work, until)
    raise Unclear(f"nobody knows work of the kind {kind}")


def finish_emptying(work: Work, until: float) -> str:
    if not continue_emptying(work.user_id, work, until=until):
        return GOING_ON
    with suppress(Conflict):  # a newer order to empty it stays
        finish_work(work)
    return "emptied"
