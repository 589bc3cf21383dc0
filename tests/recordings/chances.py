"""Schedules by chance: four who act on one recording, call by call, while anything that can go wrong does.

A phone, a page with Uppy, what runs behind (S3's events, late, doubled and out of order; the sweep; verify_storage),
and a device that follows `changes/`. Who makes the next call, who dies before or after it took effect, when the clock
moves on and by how much: the seed decides. At the end whatever still waits comes, and all must be well.
"""

import functools
import json
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from django.conf import settings

from aws import s3
from operations import events
from recordings.uploads import id_of
from tests.client import Client, declare, sha256
from tests.recordings.books import Books, check_step
from tests.recordings.scenes import CONTENTS, LONG, USER, cut, put_part, sweep, ticket_in, uppy_acts, uppy_acts_on
from tests.recordings.stepping import Call, History, Machine, Operation, Outcome
from tests.recordings.trios import mend
from tests.recordings.worlds import World, checksum

CRASH = 0.02  # of each call: before it, and after it
TURNS = 90
OFTEN = (4, 3, 4, 1)  # phone, page, behind, device
MAKES = ("PutObject", "CompleteMultipartUpload", "CopyObject")
DESTROYS = ("trash", "purge", "abort")
WEIGHTS: dict[str, dict[str, int]] = {
    "phone": {"create": 6, "late": 5, "send": 3, "complete": 4, "resize": 2, "small": 3, "trash": 1, "purge": 1},
    "page": {"begin": 5, "send": 5, "finish": 5, "abort": 1, "restore": 1},
    "behind": {"event": 8, "sweep": 2, "mend": 2},
    "device": {"sync": 1},
}


def ask(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    answer = Client().call(method, f"recordings/{path}", body, **headers)
    shown = answer.json if isinstance(answer.json, dict) else {}
    shown = shown.get("recording", shown)
    return answer.status, "verified" if shown.get("verified_at") else str(shown.get("code") or shown.get("status"))


def put(key: str, content: bytes) -> tuple[int, str]:
    """A client's PUT to the URL of any attempt, as late as it likes."""
    proof: Any = {"ChecksumSHA256": checksum(content), "ChecksumAlgorithm": "SHA256", "IfNoneMatch": "*"}
    with s3.edge():
        try:
            s3.client().put_object(Bucket=settings.RECORDINGS_BUCKET, Key=key, Body=content, **proof)
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
    return 200, ""


def send(ticket: Any, content: bytes) -> tuple[int, str]:
    """All parts of the upload that is under way."""
    answers = [put_part(ticket, number, piece) for number, piece in enumerate(cut(content), 1)]
    return answers[-1]


def object_created(key: str) -> tuple[int, str]:
    return 200, events.object_created(key)


def sync(cursor: str) -> tuple[int, str]:
    answer = Client().get(f"recordings/changes/?cursor={cursor}&limit=2")
    return answer.status, json.dumps(answer.json)


def acts_of(content: bytes) -> Mapping[str, Callable[[], tuple[int, str]]]:
    declared, id = declare(content), id_of(USER, sha256(content))
    small = functools.partial(ask, "PUT", "upload/Talk.wav/", content, content_type="audio/wav")
    return {
        "create": lambda: ask("POST", "", declared),
        "resize": lambda: ask("POST", "", declared | {"size": LONG + 1}),
        "small": small,
        "complete": lambda: ask("POST", f"{id}/complete/"),
        "trash": lambda: ask("DELETE", f"{id}/"),
        "restore": lambda: ask("POST", f"{id}/restore/"),
        "purge": lambda: ask("DELETE", f"{id}/?permanent=true"),
        "begin": uppy_acts(content)["begin"],
        "sweep": sweep,
    }


@functools.cache
def acts_in(scene: str) -> tuple[Any, Any]:
    """The same functions each time, so that the machine knows an operation again."""
    return acts_of(CONTENTS[scene]), uppy_acts_on(CONTENTS[scene])


@dataclass
class Actor:
    """`doing` is what it is at; `key` the object that this is about."""

    name: str
    doing: str = ""
    operation: Operation | None = None
    history: History = ()
    count: int = 0
    key: str = ""
    unharmed: int = -1  # destructions so far, where none was under way when it began


class Schedule:
    """One seed's. `run` raises AssertionError for what must not be."""

    def __init__(self, machine: Machine, scene: str, world: World, seed: int) -> None:
        self.machine, self.scene, self.world, self.content = machine, scene, world, CONTENTS[scene]
        self.id = id_of(USER, sha256(self.content))
        self.dice, self.day, self.story = random.Random(seed), 0, [f"scene {scene}, seed {seed}"]
        self.actors = [Actor(name) for name in WEIGHTS]
        self.pending: list[str] = []  # keys of objects whose events have not come
        self.keys: list[str] = []  # that clients have URLs of
        self.objects: list[str] = []  # that there ever were
        self.acknowledged, self.destructions = False, 0
        self.cursor, self.mirror, self.told = "", dict[str, Any](), dict[int, Any]()

    def run(self) -> None:
        try:
            for actor in self.dice.choices(self.actors, OFTEN, k=TURNS):
                self.turn(actor)
            self.bring_to_an_end()
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.story])) from error

    def turn(self, actor: Actor) -> None:
        if actor.operation is None and not self.begin(actor):
            return
        assert actor.operation
        step = self.machine.next(actor.operation, actor.history)
        if isinstance(step, Outcome):
            self.end(actor, step)
            return
        fate = self.dice.random()
        if fate >= CRASH:
            actor.history = (*actor.history, self.make(actor, step))
        if fate < 2 * CRASH:
            self.story.append(f"{actor.operation} dies {'after' if fate >= CRASH else 'before'} {step}")
            self.drop(actor)

    def make(self, actor: Actor, step: Call) -> Any:
        reply, after = self.machine.step(self.world, step)
        self.story.append(f"{actor.operation}: {step} {reply}")
        if step.action in MAKES and not reply.fault:
            key = step.params["Key"]
            self.pending.append(key)
            self.objects.append(key)
        if after is not self.world:
            self.see(after)
        return reply

    def see(self, after: World) -> None:
        """What must be true after each call."""
        check_step(self.world, after)
        books = Books(after)
        books.check()
        self.world = after
        row = self.row(books)
        if row and row["status"] == "uploading" and "any_parts" not in row and row["size"] == len(self.content):
            key = f"recordings/{USER}/{self.id}/{row['attempt']}"
            if "upload_id" not in row and key not in self.keys:
                self.keys.append(key)
        if self.acknowledged:
            safe = row and row["status"] == "ready" and row.get("verified_at") and "trashed_at" not in row
            assert safe, f"what was acknowledged is {row}"

    def row(self, books: Books) -> dict[str, Any] | None:
        return next((row for row in books.rows if row["id"] == self.id), None)

    # What each begins, and how it ends.

    def begin(self, actor: Actor) -> bool:
        weights = WEIGHTS[actor.name]
        (name,) = self.dice.choices(list(weights), list(weights.values()))
        if name == "sweep":
            self.day += self.dice.choice((0, 1, 8, 31))
        given = self.given(name)
        if given is None:
            return False
        acts, acts_on = acts_in(self.scene)
        others = {"late": put, "send": send, "event": object_created, "mend": mend, "sync": sync}
        act: Any = others.get(name) or acts.get(name) or acts_on[name]
        actor.count += 1
        actor.doing, actor.key = name, given[0] if name == "event" else ""
        actor.operation, actor.history = Operation(f"{actor.name} {actor.count} {name}", act, self.day, given), ()
        if name in DESTROYS:
            self.acknowledged, self.destructions = False, self.destructions + 1
        destroying = any(each.doing in DESTROYS for each in self.actors)
        actor.unharmed = -1 if destroying else self.destructions
        return True

    def given(self, name: str) -> tuple[Any, ...] | None:
        """None where it makes no sense."""
        if name == "late":
            return (self.dice.choice(self.keys), self.content) if self.keys else None
        if name == "event":
            if not self.pending:
                return None
            key = self.dice.choice(self.pending)
            if self.dice.random() < 0.7:  # else it comes again
                self.pending.remove(key)
            return (key,)
        if name == "mend":
            return (self.dice.choice(self.objects), self.content) if self.objects else None
        if name == "sync":
            return (self.cursor,)
        if name == "small" and len(self.content) >= LONG:
            return None
        if name in ("send", "finish", "abort"):
            ticket = ticket_in(self.world)
            if ticket is None or (name == "send" and ticket.upload_id == "over"):
                return None
            return (ticket, self.content) if name == "send" else (ticket,)
        return ()

    def end(self, actor: Actor, outcome: Outcome) -> None:
        self.story.append(f"{actor.operation} ends: {outcome.status} {outcome.what[:60]}")
        assert outcome.status < 500, f"{actor.operation} ends in {outcome}"
        if actor.doing == "sync":
            self.take_in(outcome)
        row = self.row(Books(self.world))
        if outcome.what == "verified" and actor.unharmed == self.destructions and row and "trashed_at" not in row:
            self.acknowledged = True
        self.rest(actor)

    def drop(self, actor: Actor) -> None:
        """It died; S3 sends an event again that nobody has answered."""
        if actor.key:
            self.pending.append(actor.key)
        self.rest(actor)

    def rest(self, actor: Actor) -> None:
        actor.operation, actor.doing, actor.key = None, "", ""

    def take_in(self, outcome: Outcome) -> bool:
        """A page of changes. Returns whether there is more."""
        page = json.loads(outcome.what)
        if outcome.status == 410:  # three months have gone by
            self.cursor, self.mirror = "", {}
            return True
        for entry in page["changes"]:
            if entry.get("deleted"):
                self.mirror.pop(entry["id"], None)
                continue
            known = self.told.setdefault(entry["version"], entry)
            assert known == entry, f"version {entry['version']} is {known} and {entry}"
            self.mirror[entry["id"]] = entry
        self.cursor = page["cursor"]
        return bool(page["has_more"])

    # Whatever still waits, comes.

    def do(self, name: str, act: Any, *given: Any) -> Outcome:
        actor = Actor("at last")
        actor.operation = Operation(f"at last {name}", act, self.day, given)
        while isinstance(step := self.machine.next(actor.operation, actor.history), Call):
            actor.history = (*actor.history, self.make(actor, step))
        self.story.append(f"{actor.operation} ends: {step.status} {step.what[:60]}")
        assert step.status < 500, f"{actor.operation} ends in {step}"
        return step

    def bring_to_an_end(self) -> None:
        for number in range(8):
            while self.pending:
                key = self.pending.pop(self.dice.randrange(len(self.pending)))
                self.do(f"event {number} {len(self.objects)} {key[-6:]}", object_created, key)
            if self.do(f"sweep {number}", sweep).what == "{}" and number > 4:
                break
            self.day += 31
            for key in sorted(Books(self.world).strange_objects):
                self.do(f"mend {number} {key[-6:]}", mend, key, self.content)
        books = Books(self.world)
        books.check_objects()
        assert list(books.uploads) == books.strays, "an upload that waits for ever"
        for row in books.rows:
            assert row["status"] in ("ready", "mismatch"), f"The sweep left {row}"
            assert "kept" not in row, f"The sweep left {row}"
        number = 0
        while self.take_in(self.do(f"sync {number}", sync, self.cursor)):
            number += 1
        shown = {id: entry["version"] for id, entry in self.mirror.items()}
        assert shown == {row["id"]: row["version"] for row in books.rows}, "the device has something else"


def blocks(size: int, number: int) -> list[range]:
    """The seeds of a soak: so many blocks of this size, or the one that the environment names, `SEEDS=4000:5000`."""
    if asked := os.environ.get("SEEDS"):
        first, _, end = asked.partition(":")
        return [range(int(first), int(end))]
    return [range(block * size, (block + 1) * size) for block in range(number)]
