"""The promise, when two operations meet: every schedule of every two, stepped from AWS call to AWS call.

From each state that a recording can be in, any two operations (also one beside itself) are run in every order in
which their AWS calls can follow each other, with no limit on how often one interrupts the other. Different orders
mostly meet the same places, and each place is visited once: see stepping.py. After each single call, what is stored
must be sound, and no operation may end in an answer of 500 and more.

`make soak` takes every two of every scene, and lets both crash for good at each place too: S3's late events, the sweep
and a retry must then bring everything to a good end. (test_crashes.py does that for one operation at a time in every
run.)
"""

from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement

import pytest
from django.conf import settings

from tests.recordings.books import Books, check_step
from tests.recordings.exploring import Explorer
from tests.recordings.scenes import OVERDUE, SCENES, hear, playing, sweep
from tests.recordings.states import starts
from tests.recordings.stepping import Machine, Operation
from tests.recordings.worlds import World

pytestmark = pytest.mark.check
MACHINE = Machine()  # its memory serves all tests of a process
PAIRS = [(scene, *pair) for scene in SCENES for pair in combinations_with_replacement(SCENES[scene].names, 2)]
# What meets most with parts. The others run in `make soak`.
OFTEN = {
    ("parts", "create", "create"),
    ("parts", "create", "complete"),
    ("parts", "create", "event"),
    ("parts", "create", "resize"),
    ("parts", "resize", "resize"),
    ("parts", "resize", "complete"),
    ("parts", "resize", "event"),
    ("parts", "resize", "sweep"),
    ("parts", "resize", "part"),
    ("parts", "create", "enlarge"),
    ("parts", "event", "enlarge"),
    ("parts", "resize", "enlarge"),
    ("parts", "sweep", "enlarge"),
    ("parts", "purge", "enlarge"),
    ("parts", "complete", "complete"),
    ("parts", "complete", "event"),
    ("parts", "complete", "purge"),
    ("parts", "complete", "part"),
    ("parts", "event", "event"),
    ("parts", "event", "trash"),
    ("parts", "event", "purge"),
    ("uppy", "begin", "finish"),
    ("uppy", "create", "finish"),
    ("uppy", "finish", "finish"),
    ("uppy", "finish", "abort"),
    ("uppy", "event", "finish"),
    ("short uppy", "small upload", "finish"),
}
USUAL = [pair for pair in PAIRS if pair[0] == "short" or pair in OFTEN]
LONG = [pair for pair in PAIRS if pair not in USUAL]


@pytest.fixture(autouse=True)
def machine(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with playing(MACHINE, monkeypatch):
        yield MACHINE


@pytest.mark.parametrize(("scene", "one", "two"), USUAL)
def test_two_operations(
    machine: Machine, scene: str, one: str, two: str, record_property: Callable[[str, object], None]
) -> None:
    record_property("schedules", explore(machine, scene, one, two, crashes=False))


@pytest.mark.soak
@pytest.mark.parametrize(("scene", "one", "two"), LONG)
def test_two_operations_that_meet_rarely(machine: Machine, scene: str, one: str, two: str) -> None:
    explore(machine, scene, one, two, crashes=False)


@pytest.mark.soak
@pytest.mark.parametrize(("scene", "one", "two"), PAIRS)
def test_two_operations_that_crash(machine: Machine, scene: str, one: str, two: str) -> None:
    explore(machine, scene, one, two, crashes=True)


def explore(machine: Machine, scene: str, *names: str, crashes: bool) -> int:
    """Every schedule of these operations, from every state; long overdue too, where that makes a difference."""
    schedules = 0
    for start, world in starts(machine, scene).items():
        for day in (0, OVERDUE) if crashes or "sweep" in names else (0,):
            operations = operations_on(scene, names, world, day)
            if len(operations) == len(names):
                checks = Checks(machine, operations, crashes=crashes)
                explorer = Explorer(machine, *operations, look=checks.look, compare=check_step)
                explorer.path.append(f"{' and '.join(names)} on {start}, day {day}:")
                schedules += explorer.explore(world)
    assert schedules
    return schedules


def operations_on(scene: str, names: tuple[str, ...], world: World, day: int) -> list[Operation]:
    """Those that make sense there."""
    found = [SCENES[scene].operation(name, f"{number} {name}", world, day) for number, name in enumerate(names, 1)]
    return [operation for operation in found if operation]


class Checks:
    """What must be true of every place that these operations come to."""

    def __init__(self, machine: Machine, operations: list[Operation], *, crashes: bool) -> None:
        self.machine, self.operations, self.crashes = machine, operations, crashes
        self.recovered: set[World] = set()
        # A small upload learns only from its own write that its row went on: until then its object may have no name.
        self.named = not any("small" in operation.name for operation in operations)

    def look(self, world: World, ended: bool) -> None:
        books = Books(world)
        books.check()
        if ended or self.named:
            books.check_objects()
        assert not (ended and books.strays), "an upload that nobody knows of"
        if self.crashes and world not in self.recovered:
            self.recovered.add(world)
            self.recover(world)

    def recover(self, world: World) -> None:
        """Everybody has crashed here. Then S3's events come, a sweep, a much later one, and somebody retries."""
        for name, act, day in (
            ("event", hear, OVERDUE),
            ("sweep", sweep, OVERDUE),
            ("second sweep", sweep, 2 * OVERDUE),  # which may put an upload together,
            ("second event", hear, 2 * OVERDUE),  # so that there is an event again
            ("last sweep", sweep, 4 * OVERDUE),
        ):
            world = self.do(world, Operation(name, act, day))
        books = Books(world)
        books.check_objects()
        assert list(books.uploads) == books.strays, "an upload that waits for ever"
        rows = world.rows(settings.RECORDINGS_TABLE)
        assert all(row["status"] in ("ready", "mismatch") for row in rows), f"The sweep left {rows}"
        assert not any("due_at" in row or "kept" in row for row in rows), f"The sweep left {rows}"
        for operation in self.operations:
            self.do(world, Operation(f"retried {operation}", operation.act, operation.day, operation.given))

    def do(self, world: World, operation: Operation) -> World:
        outcome, after = self.machine.finish(operation, world)
        assert outcome.status < 500, f"(all crash here) {operation}: {outcome}"
        Books(after).check()
        return after
