"""Three who meet: two whose AWS calls follow each other in every order, and a third with what it has seen before.

The third makes some calls first of all, up to one that changes something, and stands still there. It goes on, as a
whole, at any point between the calls of the two others: on a row that it read long ago, with a delete or a write that
it has decided on since.
"""

from collections.abc import Iterator
from typing import Any

from django.conf import settings

from aws import s3
from aws.dynamo import Conflict
from aws.s3 import Listed
from operations import events
from operations.fsck import repair
from recordings import models, uploads
from recordings.keys import RecordingId
from tests.client import sha256
from tests.recordings.books import Books, check_step
from tests.recordings.scenes import CONTENTS, OVERDUE, SCENES, USER, call, cut, hear
from tests.recordings.states import Given
from tests.recordings.stepping import START, Call, History, Machine, Operation, Outcome
from tests.recordings.worlds import World, checksum

READS = {"GetItem", "BatchGetItem", "TransactGetItems", "Query", "Scan", "GetObject", "HeadObject"}
READS |= {"ListParts", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads"}
LATE_ACTS = ("late", "move on", "mend")


class Trio:
    """Visits every place that the three can come to. A place is what is stored, and how far each of them is."""

    def __init__(self, checks: "Checks", one: Operation, two: Operation, third: Operation) -> None:
        self.machine, self.pair, self.third, self.checks = checks.machine, (one, two), third, checks
        self.visited: set[tuple[World, History, History, History | None]] = set()
        self.path: list[str] = []

    def explore(self, world: World, *, stale: bool = True) -> int:
        """Returns how many places there are. A third that is not `stale` has seen nothing before it acts. Raises
        AssertionError that tells the schedule with a fault.
        """
        try:
            for seen, history in self.beginnings(world) if stale else [(world, ())]:
                self.path = [f"{self.third} stands still after {len(history)} calls"]
                self.visit(seen, (), (), history)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.path])) from error
        return len(self.visited)

    def beginnings(self, world: World) -> Iterator[tuple[World, History]]:
        """Where the third may stand still: before anything, and before each call that changes something."""
        history: History = ()
        while isinstance(step := self.machine.next(self.third, history), Call):
            if not history or step.action not in READS:
                yield world, history
            reply, world = self.machine.step(world, step)
            history = (*history, reply)

    def visit(self, world: World, one: History, two: History, waiting: History | None) -> None:
        place = world, one, two, waiting
        if place in self.visited:
            return
        self.visited.add(place)
        moves = [self.machine.next(*each) for each in zip(self.pair, (one, two), strict=True)]
        self.checks.look(world, ended=waiting is None and all(isinstance(move, Outcome) for move in moves))
        for number, move in enumerate(moves):
            if isinstance(move, Outcome):
                assert move.status < 500, f"{self.pair[number]} ends in {move}"
                continue
            reply, after = self.machine.step(world, move)
            self.path.append(f"{'    ' * number}{self.pair[number]}: {move} {reply}")
            self.checks.compare(world, after)
            self.visit(after, *((*one, reply), two) if number == 0 else (one, (*two, reply)), waiting)
            self.path.pop()
        if waiting is not None:
            length = len(self.path)
            after = self.go_on(world, waiting)
            self.visit(after, one, two, None)
            del self.path[length:]

    def go_on(self, world: World, history: History) -> World:
        """The third does all the rest of what it is at."""
        while isinstance(step := self.machine.next(self.third, history), Call):
            reply, after = self.machine.step(world, step)
            self.path.append(f"{' ' * 8}{self.third}: {step} {reply}")
            self.checks.compare(world, after)
            history, world = (*history, reply), after
        assert step.status < 500, f"{self.third} ends in {step}"
        return world


class Checks:
    """What must be true at every place, each looked at once."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.sound: set[World] = set()
        self.steps: set[tuple[World, World]] = set()
        self.settled: set[World] = set()

    def look(self, world: World, *, ended: bool) -> None:
        if world not in self.sound:
            Books(world).check()
            self.sound.add(world)
        if ended and world not in self.settled:
            self.settle(world)
            self.settled.add(world)

    def compare(self, before: World, after: World) -> None:
        if before is not after and (before, after) not in self.steps:
            check_step(before, after)
            self.steps.add((before, after))

    def settle(self, world: World) -> None:
        """All have ended. S3's events come, twice since what they copy has events of its own, and leave no stray."""
        for time in ("once", "twice"):
            outcome, world = self.machine.finish(Operation(f"events {time}", hear), world)
            assert outcome.status < 500, outcome
            Books(world).check()
        books = Books(world)
        books.check_objects()
        assert not books.strays, "an upload that nobody knows of"


# What they do, and where they begin.


def late(key: str, content: bytes) -> tuple[int, str]:
    """The bytes of an attempt that is over come all the same, then S3's event of it; the client asks what became."""
    proof: Any = {"ChecksumSHA256": checksum(content), "ChecksumAlgorithm": "SHA256"}
    with s3.edge():
        s3.client().put_object(Bucket=settings.RECORDINGS_BUCKET, Key=key, Body=content, **proof)
    events.object_created(key)
    return call("POST", f"{key.split('/')[2]}/complete/")


def move_on(key: str, content: bytes) -> tuple[int, str]:
    """Two new attempts, so that the recording forgets the one that is under way."""
    for size in (len(content) - 1, len(content)):
        uploads.declare(USER, {"name": "x", "size": size, "sha256": sha256(content), "content_type": "audio/wav"})
    return 200, ""


def mend(key: str, content: bytes) -> tuple[int, str]:
    """What `verify_storage --repair` does about the attempt's object, which no row names as far as it has read."""
    row = models.Recording.find(RecordingId(key.split("/")[2]), USER)
    stored = s3.stat(key)
    if stored is None or (row and key in (row.key, row.stored_key)):
        return 200, "nothing to mend"
    remedy = repair.home(Listed(key, stored.size, START), USER, RecordingId(key.split("/")[2]), key.split("/")[3])
    if remedy.act:
        try:
            remedy.act()
        except Conflict:
            return 200, "not now"
    return 200, remedy.text


def operation(scene: str, name: str, as_: str, world: World, key: str) -> Operation:
    day = OVERDUE if name == "sweep" else 0
    if name in LATE_ACTS:
        act = {"late": late, "move on": move_on, "mend": mend}[name]
        return Operation(as_, act, day, (key, CONTENTS[scene]))
    found = SCENES[scene].operation(name, as_, world, day)
    assert found, name
    return found


def key_in(world: World) -> str:
    (row,) = (row for row in world.rows(settings.RECORDINGS_TABLE) if ":" not in row["id"])
    return f"recordings/{USER}/{row['id']}/{row['attempt']}"


def starts(machine: Machine, scene: str) -> tuple[str, dict[str, World]]:
    """The first attempt's key, and states by name: it is over in all but the first."""
    if scene == "short uppy":
        return short_starts(machine)
    return parts_starts(machine)


def short_starts(machine: Machine) -> tuple[str, dict[str, World]]:
    """In one PUT by a phone, in parts by a page, and small through the server."""
    given = Given(machine, "short uppy")
    pieces = cut(given.content)
    phone = given.done(given.nothing, "params")
    page = given.done(phone, "begin")
    key, forgotten = key_in(phone), given.done(page, "params")
    wrong = [b"x" * len(piece) for piece in pieces]
    return key, {
        "a phone's": phone,
        "a page's": given.sent(page, *pieces),
        "a page's wrong": given.sent(page, *wrong),
        "forgotten, a page's wrong": given.sent(given.done(forgotten, "begin"), *wrong),
        "a page's, the phone's bytes late": put_at(given, page, key),
        "forgotten": forgotten,
        "forgotten, its bytes late": put_at(given, forgotten, key),
    }


def parts_starts(machine: Machine) -> tuple[str, dict[str, World]]:
    given = Given(machine, "parts")
    first = given.done(given.nothing, "create")
    forgotten = given.done(given.done(first, "resize"), "create")
    wrong = given.sent(forgotten, *(b"x" * len(piece) for piece in cut(given.content)))
    mismatch = given.done(given.done(wrong, "complete"), "event")
    again = given.done(mismatch, "create")
    return key_in(first), {
        "first": first,
        "forgotten": given.sent(forgotten, *cut(given.content)),
        "forgotten, wrong": wrong,
        "mismatch": mismatch,
        "mismatch, sent again": given.sent(again, *cut(given.content)),
        "mismatch, wrong again": given.sent(again, *(b"x" * len(piece) for piece in cut(given.content))),
    }


def put_at(given: Given, world: World, key: str) -> World:
    def act() -> None:
        proof: Any = {"ChecksumSHA256": checksum(given.content), "ChecksumAlgorithm": "SHA256"}
        s3.client().put_object(Bucket=settings.RECORDINGS_BUCKET, Key=key, Body=given.content, **proof)

    again = sum(each.startswith("recordings/") for each in world.ids)
    return given.run(world, act, f"late at {key} {again}")
