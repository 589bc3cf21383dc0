"""Operations of the app, taken one AWS call at a time, so that a test can try every way in which two of them meet.

Between two calls an operation is a pure function of the answers it has got: with the clock standing still and the
random names counted, the same answers always lead to the same next call. So an operation needs no thread: its
*history* (the answers so far) is its whole state, and `Machine.next` finds its next call by running it from the start,
fed with that history. The calls themselves are real botocore calls to moto; `Machine.step` sets moto to a world, makes
one call, and reads the world that comes out. Both are remembered, since different schedules mostly meet the same
places.
"""

import copy
import datetime
import functools
import hashlib
import json
import random
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody
from django.conf import settings

from lib.problems import Problem
from tests.recordings import worlds
from tests.recordings.worlds import Ids, World

START = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
MODULES = ("recordings.", "accounts.", "operations.", "aws.", "lib.clock", "lib.secrets")
# Of an object: nobody looks, or worlds don't say it; and answers that are equal lead to fewer places.
UNREAD, SAID = ("VersionId",), {"ContentType": "audio/wav"}


@dataclass(frozen=True)
class Operation:
    """Something that a client or the sweep does with what it is `given`, `day` days after the start.

    `name` sets its random names apart.
    """

    name: str
    act: Callable[..., Any]
    day: int = 0
    given: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Outcome:
    """How an operation ended: an HTTP status, and what else of the answer a test wants to see."""

    status: int
    what: str


@dataclass(frozen=True, eq=False)
class Call:
    """A call to AWS that an operation is about to make."""

    client: BaseClient
    action: str
    params: dict[str, Any]

    @functools.cached_property
    def key(self) -> str:
        return f"{self.action} {json.dumps(self.params, default=repr, sort_keys=True)}"

    def __repr__(self) -> str:
        if self.action == "TransactWriteItems":
            return f"{self.action}({', '.join(next(iter(item)) for item in self.params['TransactItems'])})"
        key = self.params.get("Key", self.params.get("TableName", ""))
        return f"{self.action}({key if isinstance(key, str) else ' '.join(str(v) for v in key.values())})"


class NextCall(BaseException):
    """Ends the run of an operation where its history does. Nothing in the app may catch it, like a crash."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.call = call


@dataclass(frozen=True, eq=False)
class Reply:
    """What AWS answered, one object for equal answers."""

    value: Any
    fault: ClientError | BotoCoreError | None = None

    def __repr__(self) -> str:
        return f"-> {self.fault!r}" if self.fault else ""

    def give(self) -> Any:
        if self.fault:
            raise copy.copy(self.fault)
        value = copy.deepcopy(self.value)
        if "Body" in value:
            body: Any = BytesIO(value["Body"]) if isinstance(value["Body"], bytes) else value["Body"]
            length: Any = None  # not checked
            value["Body"] = StreamingBody(body, length)
        return value


History = tuple[Reply, ...]
Give = Callable[[int, Call, Callable[[], Reply]], Reply]


def _stop(call: Call) -> Reply:
    raise NextCall(call)


class Clock:
    """Stands still, but for the pauses that the operation makes itself."""

    def __init__(self) -> None:
        self.day, self.slept = 0, 0.0

    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(days=self.day)

    def time(self) -> float:
        return self.now().timestamp()

    def monotonic(self) -> float:
        return self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


class Names:
    """Random names that differ between operations, and are the same each time one is run again."""

    def __init__(self) -> None:
        self.name, self.count = "", 0

    def token_hex(self, length: int) -> str:
        self.count += 1
        return hashlib.sha256(f"{self.name} {self.count}".encode()).hexdigest()[: 2 * length]

    def token_urlsafe(self, length: int) -> str:
        return self.token_hex(length)[: length * 4 // 3 + 1]


class Machine:
    """Steps operations through worlds. Use it within `running()`."""

    def __init__(self) -> None:
        self.clock, self.names = Clock(), Names()
        self.history: History = ()
        self.given = 0
        self.answer: Callable[[Call], Reply] = _stop
        self.ids = Ids()
        self.raw: Any = None
        self.current: World | None = None
        self.empty: World  # as it is before anything is done
        self.worlds: dict[str, World] = {}
        self.starts: dict[str, dict[str, World]] = {}  # by scene
        self.replies: dict[str, Reply] = {}
        self.nexts: dict[tuple[Operation, History], Call | Outcome] = {}
        self.ends: dict[tuple[Operation, World], tuple[Outcome, World]] = {}
        self.steps: dict[tuple[World, str], tuple[Reply, World]] = {}

    @contextmanager
    def running(self) -> Iterator["Machine"]:
        """The app under control: its AWS calls, its clock, its pauses and its random names."""
        machine = self
        import_module(settings.ROOT_URLCONF)  # with all modules behind it

        def take(client: BaseClient, action: str, params: dict[str, Any]) -> Any:
            return machine._answer(client, action, params)

        with pytest.MonkeyPatch.context() as patch, worlds.steady_moto(self.ids):
            self.raw, self.current = BaseClient._make_api_call, None  # type: ignore[attr-defined]
            patch.setattr(BaseClient, "_make_api_call", take)
            for module in [module for name, module in sys.modules.items() if name.startswith(MODULES)]:
                for name, real, fake in (
                    ("time", time, self.clock),
                    ("secrets", secrets, self.names),
                    ("random", random, _Middle),
                    ("datetime", datetime, _datetime_at(self.clock)),
                ):
                    if getattr(module, name, None) is real:
                        patch.setattr(module, name, fake)
            self.ids.counts = {}
            self.empty = self.read()
            yield self

    def next(self, operation: Operation, history: History) -> Call | Outcome:
        """What the operation does after these answers: its next call, or its end."""
        found = self.nexts.get((operation, history))
        if found is None:
            try:
                found = self._run(operation, history, _stop)
            except NextCall as stopped:
                found = stopped.call
            self.nexts[operation, history] = found
        return found

    def finish(self, operation: Operation, world: World) -> tuple[Outcome, World]:
        """Run an operation to its end, with nobody beside it."""
        found = self.ends.get((operation, world))
        if found is None:
            found = self.ends[operation, world] = self.meddle(operation, world, lambda at, call, step: step())
        return found

    def meddle(self, operation: Operation, world: World, give: Give) -> tuple[Outcome, World]:
        """Run an operation to its end, answered with what `give` makes of each call, by taking the `step` or not."""
        at = -1

        def answer(call: Call) -> Reply:
            nonlocal at

            def step() -> Reply:
                nonlocal world
                reply, world = self.step(world, call)
                return reply

            at += 1
            return give(at, call, step)

        outcome = self._run(operation, (), answer)
        return outcome, world

    def _run(self, operation: Operation, history: History, answer: Callable[[Call], Reply]) -> Outcome:
        """Run an operation from its start: the answers of `history` first, then those that `answer` gives."""
        self.history, self.given, self.answer = history, 0, answer
        self.clock.day, self.clock.slept = operation.day, 0.0
        self.names.name, self.names.count = operation.name, 0
        try:
            status, what = operation.act(*operation.given)
        except Problem as problem:
            return Outcome(problem.status_code, problem.code)
        except Exception as error:  # noqa: BLE001 - becomes what a client would see
            return Outcome(500, repr(error))
        assert self.given == len(history), f"{operation} is not a function of its answers"
        return Outcome(status, what)

    def _answer(self, client: BaseClient, action: str, params: dict[str, Any]) -> Any:
        if self.given < len(self.history):
            self.given += 1
            return self.history[self.given - 1].give()
        if hasattr(params.get("Body"), "read"):
            params = {**params, "Body": params["Body"].read()}
        return self.answer(Call(client, action, copy.deepcopy(params))).give()

    def step(self, world: World, call: Call) -> tuple[Reply, World]:
        """Make one call in a world: what is answered, and the world afterwards."""
        found = self.steps.get((world, call.key))
        if found is None:
            found = self.steps[world, call.key] = self._step(world, call)
        return found

    def _step(self, world: World, call: Call) -> tuple[Reply, World]:
        if self.current is not world:
            worlds.put_back(world)
        self.ids.counts = dict(world.ids)
        self.ids.key = str(call.params.get("Key", ""))
        reply = self.reply_to(call)
        self.current = self.read()
        return reply, self.current

    def reply_to(self, call: Call) -> Reply:
        """Make a call, as things are."""
        params = copy.deepcopy(call.params)
        fault, value = None, None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BaseClient, "_make_api_call", self.raw)
            try:
                value = self.raw(call.client, call.action, params)
            except ClientError as error:
                fault = error
        if value is not None:
            value = {name: SAID.get(name, part) for name, part in _timeless(value).items() if name not in UNREAD}
            if "Body" in value:
                value["Body"] = value["Body"].read()
        key = json.dumps([value, _timeless(fault.response) if fault else None], default=repr, sort_keys=True)
        return self.replies.setdefault(key, Reply(value, fault))

    def run(self, world: World, name: str, act: Callable[[], Any], day: int = 0) -> World:
        """The world after `act`, which must not fail. `name` must be another one each time."""
        outcome, after = self.finish(Operation(name, lambda: act() or (200, ""), day), world)
        assert outcome.status < 400, outcome
        return after

    def forget(self) -> None:
        """What was remembered of places. Worlds that somebody still holds go on to be of use."""
        for memory in (self.worlds, self.replies, self.nexts, self.ends, self.steps):
            memory.clear()

    def read(self) -> World:
        """moto's contents as a world."""
        world = worlds.read(self.ids.counts)
        key = (
            f"{sorted(world.ids.items())} {json.dumps(world.tables, sort_keys=True)} {world.versions} {world.uploads}"
        )
        return self.worlds.setdefault(key, world)


class _Middle:
    """Stands for `random`."""

    @staticmethod
    def uniform(low: float, high: float) -> float:
        return (low + high) / 2


def _datetime_at(clock: Clock) -> Any:
    class Datetime(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Datetime":
            return cls.fromtimestamp(clock.time(), tz)

    class Module:
        """Stands for the module `datetime`."""

        UTC, timedelta = datetime.UTC, datetime.timedelta
        datetime = Datetime

    return Module


def _timeless(value: Any) -> Any:
    """An answer without what differs each time that the same call is made in the same world."""
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in ("ResponseMetadata", "LastModified", "HostId")}
    return [_timeless(item) for item in value] if isinstance(value, list) else value
