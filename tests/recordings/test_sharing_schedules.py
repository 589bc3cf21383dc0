"""Shares, when two operations meet, and when AWS fails or the process dies at any call: stepped as in
test_schedules.py and test_crashes.py.

At any time every share's row is named by its recording and the other way round, and what can be listened to is there.
In the end nothing is left of what is not shared any more.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any, BinaryIO

import pytest
from django.conf import settings

from operations import sweep as sweeping
from recordings import models, uploads
from recordings.analysis import decoding
from tests.client import Client, sha256
from tests.recordings import test_crashes as crashes
from tests.recordings.books import Books
from tests.recordings.exploring import Explorer
from tests.recordings.scenes import SHORT, USER, Act, acts_of, call, hear, playing, some, sweep
from tests.recordings.states import starts
from tests.recordings.stepping import History, Machine, Operation, Outcome
from tests.recordings.worlds import World

pytestmark = pytest.mark.check
MACHINE = Machine()  # its memory serves all tests of a process
ID = uploads.id_of(USER, sha256(SHORT))
PART = b"what was cut"
EXPIRED = 8  # days
SHARES = f"{ID}/shares/"


@dataclass
class Links:
    """The share that a state has, which some operations are about."""

    token: str = ""
    id: str = ""

    def make(self, wanted: dict[str, Any]) -> Act:
        def act() -> tuple[int, str]:
            answer = Client().post(f"recordings/{SHARES}", wanted)
            if answer.status == 201:
                self.token, self.id = answer.json["url"].rpartition("/")[2], answer.json["id"]
            return answer.status, str(answer.code)

        return act


def follow(links: Links) -> tuple[int, str]:
    """Somebody listens: what is there, is there."""
    answer = Client().get(f"/s/{links.token}/audio")
    assert answer.status in (302, 404, 503), answer
    return (200 if answer.status == 503 else answer.status), "Retry-After" if answer.status == 503 else ""


ACTS: dict[str, Act] = {
    "share": Links().make({}),
    "share a part": Links().make({"start": 0, "end": 1}),
    **some(acts_of(SHORT, resized=1), "edit", "trash", "restore", "purge", "create"),
    "event": hear,
    "sweep": sweep,
}
ACTS_ON: dict[str, Callable[[Links], tuple[int, str]]] = {
    "revoke": lambda links: call("DELETE", f"{SHARES}{links.id}/"),
    "listen": follow,
}
NAMES = [*ACTS, *ACTS_ON]


def fake_cut(file: object, output: BinaryIO, start: float, end: float, *, seconds: float) -> float:
    output.write(PART)
    return end - start


@pytest.fixture(autouse=True)
def machine(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for module in ("models.due", "transactions", "uploads"):
        monkeypatch.setattr(f"recordings.{module}.due_shard", lambda _: "0")
    monkeypatch.setattr(decoding, "cut", fake_cut)
    with playing(MACHINE, monkeypatch):
        monkeypatch.setattr(sweeping, "SHARDS", ["0"])
        yield MACHINE


@dataclass(frozen=True)
class Start:
    world: World
    links: Links = field(hash=False)


def states(machine: Machine) -> dict[str, Start]:
    """What a recording and its share can be like."""

    def done(world: World, name: str, act: Act, day: int = 0) -> World:
        outcome, after = machine.finish(Operation(f"given {name}", act, day), world)
        assert outcome.status < 400, outcome
        return after

    def cut_short(world: World, name: str, act: Act, after: str) -> World:
        """What an operation leaves that ends right after its first call of this kind."""
        operation = Operation(f"given {name}", act)
        history: History = ()
        while not isinstance(call := machine.next(operation, history), Outcome):
            reply, world = machine.step(world, call)
            history = (*history, reply)
            if call.action == after:
                return world
        raise AssertionError(f"{name} makes no {after}")

    ready = starts(machine, "short")["ready"]
    whole, part = Links(), Links()
    shared = done(ready, "share", whole.make({}))
    ordered = done(ready, "part", part.make({"start": 0, "end": 1}))
    lost = cut_short(ready, "part", part.make({"start": 0, "end": 1}), "TransactWriteItems")
    made = done(ordered, "event", hear)
    purge = ACTS["purge"]
    return {
        "ready": Start(ready, whole),
        "shared": Start(shared, whole),
        "ordered": Start(ordered, part),
        "the order is lost": Start(lost, part),
        "half cut": Start(cut_short(ordered, "half", hear, "PutObject"), part),
        "cut": Start(made, part),
        "trashed": Start(done(made, "trash", ACTS["trash"]), part),
        "half revoked": Start(cut_short(made, "revoke", lambda: ACTS_ON["revoke"](part), "TransactWriteItems"), part),
        "purging": Start(cut_short(made, "purge", purge, "TransactWriteItems"), part),
        "purged but for the row": Start(cut_short(made, "nearly purge", purge, "DeleteObject"), part),
    }


OPERATIONS: dict[tuple[str, str, str, int], Operation] = {}


def operation(start: str, links: Links, name: str, as_: str, day: int = 0) -> Operation:
    """The same object each time, which the machine remembers by."""
    key = start, name, as_, day
    if key not in OPERATIONS:
        act = ACTS[name] if name in ACTS else lambda: ACTS_ON[name](links)
        OPERATIONS[key] = Operation(as_, act, day)
    return OPERATIONS[key]


@dataclass(frozen=True)
class Sharing:
    """What is stored about shares."""

    world: World

    @property
    def named(self) -> dict[str, dict[str, Any]]:
        return {entry["id"]: entry for row in Books(self.world).rows for entry in entries(row)}

    @property
    def shares(self) -> dict[str, dict[str, Any]]:
        rows = self.world.rows(settings.USERS_TABLE)
        return {row["id"].partition(":")[2]: row for row in rows if row["auth_key"] == "share"}

    @property
    def work(self) -> list[str]:
        rows = self.world.rows(settings.RECORDINGS_TABLE)
        return [row["id"].partition(":")[2] for row in rows if row["id"].startswith("excerpt:")]

    def keys(self, kind: str = "m4a") -> set[str]:
        return {key for key in self.world.objects if key.endswith(f".{kind}")}

    def check(self) -> None:
        """What holds at any time."""
        Books(self.world).check()
        assert self.named.keys() == self.shares.keys(), "a share that its recording does not name, or the reverse"
        for row in Books(self.world).rows:
            for entry in entries(row):
                share = self.shares[entry["id"]]
                assert not entry["excerpt"] or entry["id"] in self.work, "a part that nobody will clear away"
                ready = entry["excerpt"] and share["status"] == "ready" and row["status"] != "purging"
                key = f"recordings/{USER}/{row['id']}/{entry['id']}.m4a"
                assert not ready or self.world.objects.get(key) == PART, "a part that is ready and not there"

    def check_end(self) -> None:
        """What holds when nothing is left to do."""
        wanted = {f"recordings/{USER}/{ID}/{id}.m4a" for id, entry in self.named.items() if entry["excerpt"]}
        assert (self.keys(), self.keys("order")) == (wanted, set()), "objects of a share that is gone"
        assert set(self.work) == {id for id, entry in self.named.items() if entry["excerpt"]}
        assert all(share["status"] == "ready" for share in self.shares.values()), "a part that nobody has cut"
        rows = {
            f"recordings/{USER}/{row['id']}/{row['attempt']}"
            for row in Books(self.world).rows
            if row["status"] == "ready"
        }
        assert set(self.world.objects) == rows | wanted

    def shape(self) -> dict[str, Any]:
        """Without what may differ between one try and two."""
        self.check()
        self.check_end()
        rows = Books(self.world).rows
        return {
            "rows": [(row["status"], row["name"], row.get("trashed_at")) for row in rows],
            "shares": sorted((share["status"], "start" in share) for share in self.shares.values()),
            "objects": sorted(self.world.objects.values()),
        }


def entries(row: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(row["shares"]) if "shares" in row else []
    return found


def settle(machine: Machine, world: World, day: int, name: str = "3") -> World:
    """S3's events come, then the sweep, and once more what that led to."""
    for number, act in enumerate((hear, sweep, hear)):
        outcome, world = machine.finish(Operation(f"{name} {number}", act, day), world)
        assert outcome.status == 200, outcome
    return world


# Two at once

PAIRS = list(combinations_with_replacement(NAMES, 2))
# What meets most. The others run in `make soak`.
USUAL = {("ordered", 0), ("cut", EXPIRED)}
OFTEN = [
    ("share a part", "share a part"),
    ("share a part", "purge"),
    ("share a part", "revoke"),
    ("purge", "event"),
    ("purge", "sweep"),
    ("purge", "revoke"),
    ("event", "event"),
    ("event", "sweep"),
    ("event", "revoke"),
    ("event", "listen"),
    ("trash", "event"),
    ("sweep", "sweep"),
    ("sweep", "revoke"),
]


def explore(machine: Machine, one: str, two: str, *, usual: bool) -> int:
    schedules = 0
    for start, at in states(machine).items():
        for day in (0, EXPIRED):
            if usual != ((start, day) in USUAL):
                continue
            operations = [operation(start, at.links, name, f"{n} {name}", day) for n, name in enumerate((one, two), 1)]

            def look(world: World, ended: bool, day: int = day) -> None:
                Sharing(world).check()
                if ended:
                    Sharing(settle(machine, world, day + 1)).check_end()

            explorer = Explorer(machine, *operations, look=look)
            explorer.path.append(f"{one} and {two} on {start}, day {day}:")
            schedules += explorer.explore(at.world)
    return schedules


@pytest.mark.parametrize(("one", "two"), OFTEN)
def test_two_operations(machine: Machine, one: str, two: str, record_property: Callable[[str, object], None]) -> None:
    schedules = explore(machine, one, two, usual=True)
    assert schedules
    record_property("schedules", schedules)


@pytest.mark.soak
@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_two_operations_from_wherever(machine: Machine, one: str, two: str) -> None:
    assert explore(machine, one, two, usual=False)
    explore(machine, one, two, usual=True)


# One, and AWS fails

TROUBLED = ("share", "share a part", "revoke", "purge", "event", "sweep")


@pytest.mark.parametrize("name", TROUBLED)
def test_every_call_fails_once(machine: Machine, name: str) -> None:
    for start, at in states(machine).items():
        day = EXPIRED if name == "sweep" else 0
        first, again = (operation(start, at.links, name, f"{number} {name}", day) for number in (1, 2))
        expected = Sharing(settle(machine, machine.finish(first, at.world)[1], day + 1)).shape()
        for what, outcome, world in ways(machine, first, at.world):
            told = f"{name} on {start}, {what}: {outcome}"
            Sharing(world).check()
            failed = outcome and name == "sweep" and "failed" in outcome.what  # it says so, and goes on
            assert outcome is None or outcome.status < 500 or outcome == Outcome(503, "unavailable") or failed, told
            retried, end = machine.finish(again, world)
            assert retried.status < 500, f"{told}, retried: {retried}"
            shape = Sharing(settle(machine, end, day + 1)).shape()
            if name.startswith("share"):  # a try whose answer was lost has made one more, which its owner can see
                once_more = {**expected, "shares": shape["shares"], "objects": shape["objects"]}
                assert len(shape["shares"]) - len(expected["shares"]) in (0, 1), told
                assert shape == once_more, told
            else:
                assert shape == expected, told


def ways(machine: Machine, first: Operation, world: World) -> Iterator[tuple[str, Outcome | None, World]]:
    """What fails, how the operation ends then, and what is stored."""
    for at, made in enumerate(crashes.calls_of(machine, first, world)):
        for fault in crashes.FAULTS:
            yield f"call {at} {made} {fault}", *crashes.disturbed(machine, first, world, at, fault)
        yield f"call {at} {made} sent twice", *crashes.resent(machine, first, world, at)
        yield f"died after call {at} {made}", None, crashes.died(machine, first, world, at)


def test_the_states_are_what_they_say(machine: Machine) -> None:
    """The tests above have something to do."""
    found = {name: Sharing(start.world) for name, start in states(machine).items()}
    assert {name: (len(each.named), len(each.keys()), len(each.keys("order"))) for name, each in found.items()} == {
        "ready": (0, 0, 0),
        "shared": (1, 0, 0),
        "ordered": (1, 0, 1),
        "the order is lost": (1, 0, 0),
        "half cut": (1, 1, 1),
        "cut": (1, 1, 0),
        "trashed": (1, 1, 0),
        "half revoked": (0, 1, 0),
        "purging": (1, 1, 0),
        "purged but for the row": (1, 1, 0),
    }
    assert "0" in models.SHARDS
