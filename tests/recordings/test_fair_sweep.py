"""The sweep serves everybody: one account with very much to do, or with what takes long, holds up no other."""

import heapq
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from pynamodb.expressions.update import Action

from operations import lambda_handler
from operations import sweep as sweeping
from operations.sweep import SLICE, THREADS, Sweep
from operations.turns import QUICK, Page, Row, Turns
from recordings.keys import UserId
from recordings.models import SHARDS, Ledger, Recording, Work, due_shard
from recordings.trash import continue_emptying
from tests.client import Client, sign_up
from tests.state import LONG_AGO, calls, kept, make_due, work

# What docs/performance.md states of a purge: seconds that a processor works, and that AWS takes, six calls to DynamoDB
# at 5 ms and one to S3 at 20 ms. Then the same of a page of a thousand rows.
PURGE, PAGE = (0.0144, 6 * 0.005 + 0.020), (0.015, 0.010)
PARTS, EVERY = 4, 300.0  # of template.yaml
VCPU = (
    1024 / 1769
)  # of a function with 1,024 MB: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
HOURS = 3600.0
BIG = "f" * 32


@dataclass
class Function:
    """One invocation: a run, threads that have nothing to do, and when its processor is free again."""

    run: Sweep
    idle: int
    free_at: float

    def takes(self, at: float, cost: tuple[float, float]) -> float:
        """When something that begins at `at` ends. The threads share one processor, and wait beside each other."""
        processor, waiting = cost
        self.free_at = max(at, self.free_at) + processor / VCPU
        return self.free_at + waiting


@dataclass
class World:
    """Rows that are due, and a schedule of functions that settles them, by a clock of its own."""

    shards: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # the longest overdue first
    left: set[tuple[str, str]] = field(default_factory=set)
    clock: float = 0.0
    rows: Counter[str] = field(default_factory=Counter)  # by account
    served: Counter[str] = field(default_factory=Counter)

    def add(self, number: int, user_id: str) -> None:
        key = (f"{number:032x}", user_id)
        self.shards.setdefault(due_shard(key[0]), []).append(key)
        self.left.add(key)
        self.rows[user_id] += 1

    def due(self, shard: str, until: str, *, after: int | None = None, limit: int) -> tuple[list[Any], int | None]:
        rows, end = self.shards.get(shard, []), (after or 0) + limit
        found = [key for key in rows[after or 0 : end] if key in self.left]
        return found, end if end < len(rows) else None

    def settle(self, id: str, user_id: str, *_: Any, **how: bool) -> str:
        self.left.remove((id, user_id))
        self.served[user_id] += 1
        return "purged"

    def begin(self, part: int) -> Function:
        how: dict[str, Any] = {"spare": 0, "dry_run": False, "report": lambda *_: None}
        run = sweeping.begin(seconds=lambda_handler.SWEEP_SECONDS, shards=SHARDS[part::PARTS], **how)
        return Function(run, THREADS[QUICK], self.clock)

    def go(self) -> None:
        """Until only the big account has rows left. The real threads do the same: take, perform, conclude."""
        ends: list[tuple[float, int, Function, Page | Row, Any]] = []
        number, tick = 0, 0.0
        while len(self.left) > self.rows[BIG] - self.served[BIG]:
            if not ends or tick <= ends[0][0]:
                self.clock = tick
                functions = [self.begin(part) for part in range(PARTS)]
                tick += EVERY
            else:
                self.clock, _, function, job, result = heapq.heappop(ends)
                function.run.conclude(job, result)
                function.idle += 1
                functions = [function]
            for function in functions:
                while function.idle and (next := function.run.take((QUICK,))):
                    function.idle, number = function.idle - 1, number + 1
                    ended = function.takes(self.clock, PAGE if isinstance(next, Page) else PURGE)
                    heapq.heappush(ends, (ended, number, function, next, function.run.perform(next)))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(sweeping, "time", SimpleNamespace(monotonic=lambda: world.clock))
    monkeypatch.setattr(sweeping, "settle_one", world.settle)
    monkeypatch.setattr(Recording, "due", world.due)
    return world


@pytest.mark.parametrize(
    "share",
    [pytest.param(100, marks=pytest.mark.check), pytest.param(1, marks=pytest.mark.soak)],
    ids=["a hundredth", "whole"],
)
def test_a_million_rows_of_which_half_are_one_accounts(world: World, share: int) -> None:
    """Those of the one have been due for longer than all others."""
    rows, accounts = 1_000_000 // share, 10_000 // share
    others = [f"{number:032x}" for number in range(accounts - 1)]
    for number in range(rows // 2):
        world.add(number, BIG)
    for number in range(rows // 2, rows):
        world.add(number, others[number % len(others)])
    world.go()
    print(
        f"{rows} rows of {accounts} accounts: all but one's after {world.clock:.0f} s, and {world.served[BIG]} of its"
    )
    assert world.clock <= 2 * HOURS / share
    assert world.served[BIG] <= 10 * world.rows[others[0]]


def test_one_function_lists_no_more_than_it_can_hold(world: World) -> None:
    """However much is due, and whoever's it is."""
    turns = Turns(["00"], [QUICK], lambda _: QUICK, per_account=10, window=50)
    for number in range(1000):
        world.add(number, f"{number % 9:032x}")
    world.shards = {"00": [key for keys in world.shards.values() for key in keys]}
    most = 0
    while not turns.is_over:
        job = turns.take([QUICK])
        assert job
        if isinstance(job, Page):
            turns.has_read(job, *world.due(job.shard, "", after=job.after, limit=20))
        else:
            world.settle(job.id, job.user_id)
            turns.is_done(job)
        most = max(most, turns.lanes[QUICK].size)
    assert not world.left
    assert most <= 50 + 20


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """For the sweep alone. It stands still until somebody moves it."""
    clock = Clock()
    monkeypatch.setattr(sweeping, "time", clock)
    return clock


def trashed(client: Client, number: int) -> list[str]:
    ids = [client.record(b"%d of %s" % (each, client.user_id.encode()))["id"] for each in range(number)]
    for id in ids:
        assert client.delete(f"recordings/{id}/").status == 204
    return ids


def test_an_emptied_trash_and_slow_files_hold_up_nobody_else(
    alice: Client, charlie: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alice's trash would take hours, and each of her files ten minutes."""
    bob = sign_up()
    for client in (alice, bob):
        trashed(client, 2)
        Work.of("trash", client.user_id, due_at=LONG_AGO).save()
    files = [alice.upload(b"%d" % number).json["id"] for number in range(4)]
    late = charlie.create(b"late").json["recording"]["id"]
    for user_id, id in [*((alice.user_id, id) for id in files), (charlie.user_id, late)]:
        make_due(user_id, id)
    served: list[tuple[float, str]] = []

    def empty(user_id: UserId, order: Work, *, until: float) -> bool:
        served.append((clock.at, user_id))
        if user_id == alice.user_id:
            clock.at = max(clock.at, until) + 0.01
            return False
        return continue_emptying(user_id, order, until=time.monotonic() + 60)

    def hear(row: Recording, until: float) -> bool:
        served.append((clock.at, row.id))
        clock.at += 600
        return False

    monkeypatch.setattr(sweeping, "continue_emptying", empty)
    monkeypatch.setattr(sweeping, "hear_in_time", hear)
    outcomes = sweeping.sweep(seconds=285)
    assert outcomes["purged"] == 1  # Charlie's upload, which never came
    assert outcomes["emptied"] == 1  # Bob's
    assert outcomes["postponed"] == 1
    assert Recording.find(late, charlie.user_id) is None
    assert next(at for at, user_id in served if user_id == bob.user_id) <= SLICE + 1
    assert work("trash", alice.user_id)


@pytest.mark.parametrize("shards", [SHARDS], ids=["all"])
def test_rows_wait_in_256_shards_and_those_in_the_old_16_are_found(alice: Client, shards: list[str]) -> None:
    new, old, never = (alice.create(b"%d" % number).json["recording"]["id"] for number in range(3))
    for id in (new, old, never):
        make_due(alice.user_id, id)
    row = kept(alice.user_id, old)
    assert len(row.due_shard) == 2
    row.update([Recording.due_shard.set(row.due_shard[0])])
    kept(alice.user_id, never).update([Recording.due_shard.set("zz")])
    with calls() as sent:
        assert dict(sweeping.sweep()) == {"purged": 2}
    assert sent.count("Query") == 256 + 16
    assert alice.shelf("uploading") == [never]


@pytest.mark.parametrize("shards", [SHARDS], ids=["all"])
def test_an_idle_sweep_reads_each_shard_once_and_its_parts_share_them(alice: Client, shards: list[str]) -> None:
    with calls() as sent:
        for part in range(PARTS):
            lambda_handler.handler({"source": "aws.events", "part": part, "of": PARTS})
    assert Counter(sent) == {"Query": 256 + 16}


@pytest.mark.parametrize("nonsense", [{"part": 4, "of": 4}, {"part": -1}, {"part": "0"}, {"of": 0}, {"of": None}])
def test_a_part_that_is_none_is_an_error(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="parts"):
        lambda_handler.handler({"source": "aws.events", **nonsense})


def test_what_fails_is_tried_once_in_a_run_and_again_an_hour_later(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = trashed(alice, 1)[0]
    make_due(alice.user_id, id)
    tried: list[str] = []

    def fail(id: str, *_: Any, **how: bool) -> str:
        tried.append(id)
        raise RuntimeError("made up")

    with monkeypatch.context() as patch:
        patch.setattr(sweeping, "settle_one", fail)
        assert dict(sweeping.sweep()) == {"failed": 1}
        assert dict(sweeping.sweep()) == {}
    assert tried == [id]
    assert sweeping.sweep() == {}
    make_due(alice.user_id, id)
    assert dict(sweeping.sweep()) == {"purged": 1}


TORN: dict[str, list[Action]] = {
    "no status": [Recording.status.remove()],
    "a status that nobody knows": [Recording.status.set("archived")],
    "no attempt": [Recording.attempt.remove()],
    "no version": [Recording.version.remove()],
    "waits for nothing": [Recording.trashed_at.remove()],
}


@pytest.mark.parametrize("how", TORN)
def test_torn_rows_are_told_counted_and_left_alone(
    alice: Client, charlie: Client, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    id, other = trashed(alice, 1)[0], trashed(charlie, 1)[0]
    row = kept(alice.user_id, id)
    row.update([Recording.playable.set(False), *TORN[how]])
    for user_id, each in ((alice.user_id, id), (charlie.user_id, other)):
        make_due(user_id, each)
    before = kept(alice.user_id, id).attribute_values
    with caplog.at_level(logging.ERROR):
        outcomes = lambda_handler.handler({"source": "aws.events"})
    assert outcomes == {"unclear": 1, "purged": 1}
    assert f"{id} of {alice.user_id}" in caplog.text
    after = kept(alice.user_id, id).attribute_values
    assert {**after, "due_at": ""} == {**before, "due_at": ""}
    assert sweeping.sweep() == {}


def test_work_that_nobody_knows_and_accounts_without_a_ledger_are_left_alone(alice: Client, charlie: Client) -> None:
    Work.of("polish", alice.user_id, due_at=LONG_AGO).save()
    id = trashed(charlie, 1)[0]
    make_due(charlie.user_id, id)
    Ledger(charlie.user_id).delete()
    assert dict(sweeping.sweep()) == {"unclear": 2}
    assert work("polish", alice.user_id)
    assert kept(charlie.user_id, id).status == "ready"
