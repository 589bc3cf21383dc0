"""The promise, when two operations meet: every schedule of every two, stepped from AWS call to AWS call.

From each state that a recording can be in, any two operations (also one beside itself) are run in every order in
which their AWS calls can follow each other, with no limit on how often one interrupts the other. Different orders
mostly meet the same places, and each place is visited once: see stepping.py. After each single call, what is stored
must be sound, and no operation may end in an answer of 500 and more.

`make soak` lets both crash for good at each place too: S3's late events, the sweep and a retry must then bring
everything to a good end. (test_crashes.py does that for one operation at a time in every run.)
"""

import itertools
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings

from accounts.authentication import AuthKeyAuthentication
from recordings import dynamo, events, models, storage, sweeping, uploads, writes
from tests.client import Client, declare, sha256
from tests.recordings.stepping import History, Machine, Operation, Outcome, World, checksum

USER = "a" * 32
CONTENT, WRONG = b"what was said", b"other bytes.."
DECLARED = declare(CONTENT)
ANOTHER = declare(b"another")
ID, ANOTHERS = (uploads.id_of(USER, declared["sha256"]) for declared in (DECLARED, ANOTHER))
OVERDUE = 100  # days
MACHINE = Machine()  # its memory serves all tests of a process


@pytest.fixture(autouse=True)
def machine(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(sweeping, "SHARDS", sorted({models.due_shard(id) for id in (ID, ANOTHERS, f"trash:{USER}")}))
    user: Any = SimpleNamespace(id=USER, is_authenticated=True)
    monkeypatch.setattr(AuthKeyAuthentication, "authenticate", lambda *_: (user, user))
    logging.disable()
    with MACHINE.running():
        yield MACHINE
    logging.disable(logging.NOTSET)


def call(method: str, path: str = "", body: Any = None, **headers: str) -> tuple[int, str]:
    answer = Client().call(method, f"recordings/{path}", body, **headers)
    shown = answer.json or {}
    shown = shown.get("recording", shown)
    assert answer.status != 503 or "Retry-After" in answer.headers
    return answer.status, str(shown.get("code") or shown.get("status"))


def sweep() -> tuple[int, str]:
    outcomes = sweeping.sweep()
    return 500 if outcomes["failed"] else 200, str(dict(outcomes))


def hear() -> tuple[int, str]:
    """S3's events for all objects that are there. Each is its own invocation, and may come at any time."""
    with storage.edge():
        listed = storage.client().list_objects_v2(Bucket=settings.RECORDINGS_BUCKET)
    return 200, ", ".join(events.object_created(item["Key"]) for item in listed.get("Contents", []))


ACTS: dict[str, Callable[[], tuple[int, str]]] = {
    "create": lambda: call("POST", "", DECLARED),
    "create another": lambda: call("POST", "", ANOTHER),
    "resize": lambda: call("POST", "", DECLARED | {"size": len(CONTENT) + 1}),
    "small upload": lambda: call("PUT", "upload/Talk.wav/", CONTENT, content_type="audio/wav"),
    "complete": lambda: call("POST", f"{ID}/complete/"),
    "edit": lambda: call("PATCH", f"{ID}/", {"name": "Other.wav"}),
    "trash": lambda: call("DELETE", f"{ID}/"),
    "restore": lambda: call("POST", f"{ID}/restore/"),
    "purge": lambda: call("DELETE", f"{ID}/?permanent=true"),
    "empty trash": lambda: call("DELETE", "?shelf=trash"),
    "event": hear,
    "sweep": sweep,
}


def open_account() -> None:
    write = dynamo.transaction()
    writes.open_ledger(write, USER, is_guest=False)
    dynamo.commit(write)


def put(content: bytes, **params: Any) -> Callable[[], None]:
    """The app sends bytes to the URL that create gave."""

    def act() -> None:
        row = models.Recording.find(ID, USER)
        assert row
        storage.client().put_object(Bucket=settings.RECORDINGS_BUCKET, Key=row.key, Body=content, **params)

    return act


def starts(machine: Machine) -> dict[str, World]:
    """The states in which operations find a recording."""

    def done(world: World, name: str, act: Callable[[], Any] | None = None) -> World:
        return machine.run(world, f"given {name}", act or ACTS[name])

    def crashed(world: World, name: str, after: str) -> World:
        """What an operation leaves that ends right after its first call of this kind."""
        operation = Operation(f"given {name}", ACTS[name])
        history: History = ()
        while not isinstance(call := machine.next(operation, history), Outcome):
            reply, world = machine.step(world, call)
            history = (*history, reply)
            if call.action == after:
                return world
        raise AssertionError(f"{name} makes no {after}")

    proof = {"ChecksumSHA256": checksum(CONTENT), "ChecksumAlgorithm": "SHA256"}
    nothing = done(machine.empty, "account", open_account)
    uploading = done(nothing, "create")
    wrong = done(uploading, "wrong", put(WRONG))
    right = done(uploading, "right", put(CONTENT, **proof))
    ready = done(right, "complete")
    trashed = done(ready, "trash")
    return {
        "nothing": nothing,
        "uploading": uploading,
        "right bytes": right,
        "right bytes without a checksum": done(uploading, "unproven", put(CONTENT)),
        "wrong bytes": wrong,
        "wrong bytes given up": crashed(wrong, "complete", "TransactWriteItems"),
        "another size over wrong bytes": done(wrong, "resize"),
        "ready": ready,
        "trashed": trashed,
        "trash being emptied": crashed(trashed, "empty trash", "PutItem"),
        "purging": crashed(ready, "purge", "TransactWriteItems"),
        "purged but for the row": crashed(ready, "purge", "DeleteObject"),
    }


class Books:
    """What must be true of everything that is stored, at any time."""

    def __init__(self, world: World) -> None:
        self.rows = [row for row in world.rows(settings.RECORDINGS_TABLE) if ":" not in row["id"]]
        self.objects = world.objects
        (self.ledger,) = (row for row in world.rows(settings.CHANGES_TABLE) if row["version"] == 0)
        self.changes = [row for row in world.rows(settings.CHANGES_TABLE) if row["version"] > 0]

    def check(self) -> None:
        for row in self.rows:
            if row["status"] == "ready":
                content = self.objects.get(key_of(row, row["attempt"]))
                assert content is not None, "a ready recording without its object"
                assert (len(content), sha256(content)) == (row["size"], row["sha256"]), "a ready one with other bytes"
        used = sum(row["size"] for row in self.rows)
        assert self.ledger["used_bytes"] == used, "the ledger counts other bytes than the recordings"
        newest = max((row["version"] for row in self.changes), default=0)
        assert self.ledger["last_version"] == newest, "a version was taken that no change tells of"
        noted = [(row["recording_id"], row["version"]) for row in self.changes if not row.get("deleted")]
        shown = [(row["id"], row["version"]) for row in self.rows if row["status"] != "purging"]
        assert sorted(noted) == sorted(shown), "the changes are not the recordings' versions"
        tombs = [(row["recording_id"], row["version"]) for row in self.changes if row.get("deleted")]
        purging = [(row["id"], row["version"]) for row in self.rows if row["status"] == "purging"]
        assert set(purging) <= set(tombs), "a purge has no tombstone"

    def check_objects(self) -> None:
        named = {key_of(row, attempt) for row in self.rows for attempt in (row["attempt"], *row.get("discarded", []))}
        assert set(self.objects) <= named, "an object that no row names"


def key_of(row: dict[str, Any], attempt: str) -> str:
    return f"recordings/{row['user_id']}/{row['id']}/{attempt}"


class Explorer:
    """Visits every place that some operations can come to from one world."""

    def __init__(self, machine: Machine, *operations: Operation, crashes: bool) -> None:
        self.machine, self.operations, self.crashes = machine, operations, crashes
        self.schedules: dict[tuple[World, tuple[History, ...]], int] = {}
        self.recovered: set[World] = set()
        self.path: list[str] = []
        # A small upload learns only from its own write that its row went on: until then its object may have no name.
        self.named = not any("small" in operation.name for operation in operations)

    def explore(self, world: World) -> int:
        """Returns how many schedules there are. Raises AssertionError that tells the one with a fault."""
        try:
            return self.visit(world, tuple(() for _ in self.operations))
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.path])) from error

    def visit(self, world: World, histories: tuple[History, ...]) -> int:
        place = world, histories
        if place in self.schedules:
            return self.schedules[place]
        books = Books(world)
        books.check()
        calls = [self.machine.next(*each) for each in zip(self.operations, histories, strict=True)]
        ended = all(isinstance(call, Outcome) for call in calls)
        if ended or self.named:
            books.check_objects()
        if self.crashes and world not in self.recovered:
            self.recovered.add(world)
            self.recover(world)
        total = int(ended)
        for number, call in enumerate(calls):
            if isinstance(call, Outcome):
                assert call.status < 500, f"{self.operations[number]} ends in {call}"
                continue
            reply, after = self.machine.step(world, call)
            taken = Books(after).ledger["last_version"] - books.ledger["last_version"]
            self.path.append(f"{'    ' * number}{self.operations[number]}: {call} {reply}")
            assert taken in (0, 1), "a version was left out"
            total += self.visit(after, (*histories[:number], (*histories[number], reply), *histories[number + 1 :]))
            self.path.pop()
        self.schedules[place] = total
        return total

    def recover(self, world: World) -> None:
        """Everybody has crashed here. Then S3's events come, a sweep, a much later one, and somebody retries."""
        for name, act, day in (
            ("event", hear, OVERDUE),
            ("sweep", sweep, OVERDUE),
            ("last sweep", sweep, 4 * OVERDUE),
        ):
            world = self.do(world, Operation(name, act, day))
        Books(world).check_objects()
        rows = world.rows(settings.RECORDINGS_TABLE)
        assert all(row["status"] == "ready" and not row.get("due_at") for row in rows), f"The sweep left {rows}"
        for operation in self.operations:
            self.do(world, Operation(f"retried {operation}", operation.act, operation.day))

    def do(self, world: World, operation: Operation) -> World:
        self.path.append(f"(all crash here) {operation}")
        outcome, after = self.machine.finish(operation, world)
        assert outcome.status < 500, outcome
        Books(after).check()
        self.path.pop()
        return after


PAIRS = list(itertools.combinations_with_replacement(ACTS, 2))


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_two_operations(machine: Machine, one: str, two: str, record_property: Callable[[str, object], None]) -> None:
    record_property("schedules", explore(machine, one, two, crashes=False))


@pytest.mark.soak
@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_two_operations_that_crash(machine: Machine, one: str, two: str) -> None:
    explore(machine, one, two, crashes=True)


def explore(machine: Machine, *names: str, crashes: bool) -> int:
    """Every schedule of these operations, from every state; long overdue too, where that makes a difference."""
    schedules = 0
    for start, world in starts(machine).items():
        for day in (0, OVERDUE) if crashes or "sweep" in names else (0,):
            operations = [Operation(f"{number} {name}", ACTS[name], day) for number, name in enumerate(names, 1)]
            explorer = Explorer(machine, *operations, crashes=crashes)
            explorer.path.append(f"{' and '.join(names)} on {start}, day {day}:")
            schedules += explorer.explore(world)
    return schedules
