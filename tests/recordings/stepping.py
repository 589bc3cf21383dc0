"""Operations of the app, taken one AWS call at a time, so that a test can try every way in which two of them meet.

Between two calls an operation is a pure function of the answers it has got: with the clock standing still and the
random names counted, the same answers always lead to the same next call. So an operation needs no thread: its
*history* (the answers so far) is its whole state, and `Machine.next` finds its next call by running it from the start,
fed with that history. The calls themselves are real botocore calls to moto; `Machine.step` sets moto to a world, makes
one call, and reads the world that comes out. Both are remembered, since different schedules mostly meet the same
places.
"""

import base64
import copy
import datetime
import functools
import hashlib
import json
import random
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
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
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import FakeDeleteMarker, FakeKey, s3_backends

from recorder_project.problems import Problem

START = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
MODULES = ("recordings.", "accounts.")


@dataclass(frozen=True)
class Operation:
    """Something that a client or the sweep does, `day` days after the start. `name` sets its random names apart."""

    name: str
    act: Callable[[], Any]
    day: int = 0

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


@dataclass(frozen=True)
class Version:
    """One version of an object; a delete marker has no content."""

    id: str
    content: bytes | None
    checksum: str | None = None


@dataclass(frozen=True, eq=False)
class World:
    """Everything that is stored, one object for equal contents."""

    tables: Mapping[str, list[dict[str, Any]]]
    versions: Mapping[str, list[Version]]
    ids: Mapping[str, int]  # how many versions each key has ever had

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self._rows[table]

    @functools.cached_property
    def _rows(self) -> dict[str, list[dict[str, Any]]]:
        return {table: [_plain(row) for row in rows] for table, rows in self.tables.items()}

    @functools.cached_property
    def objects(self) -> dict[str, bytes]:
        """What a GET finds."""
        newest = {key: versions[-1].content for key, versions in self.versions.items() if versions}
        return {key: content for key, content in newest.items() if content is not None}


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(*next(iter(typed.items()))) for name, typed in value.items()}


def _value(kind: str, value: Any) -> Any:
    if kind == "L":
        return [_value(*next(iter(item.items()))) for item in value]
    return int(float(value)) if kind == "N" else value


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
        self.ids: dict[str, int] = {}
        self.key = ""  # that the call at hand names
        self.calls = 0  # really made
        self.raw: Any = None
        self.current: World | None = None
        self.empty: World  # as it is before anything is done
        self.worlds: dict[str, World] = {}
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

        with pytest.MonkeyPatch.context() as patch:
            self.raw, self.current = BaseClient._make_api_call, None  # type: ignore[attr-defined]
            patch.setattr(BaseClient, "_make_api_call", take)
            patch.setattr("moto.s3.models.random", _Ids(self))
            for module in [module for name, module in sys.modules.items() if name.startswith(MODULES)]:
                for name, real, fake in (
                    ("time", time, self.clock),
                    ("secrets", secrets, self.names),
                    ("random", random, _Middle),
                    ("datetime", datetime, _datetime_at(self.clock)),
                ):
                    if getattr(module, name, None) is real:
                        patch.setattr(module, name, fake)
            self.ids = {}
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
            status, what = operation.act()
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
            self._set(world)
        self.ids = dict(world.ids)
        self.calls += 1
        params = copy.deepcopy(call.params)
        self.key = str(params.get("Key", ""))
        fault, value = None, None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BaseClient, "_make_api_call", self.raw)
            try:
                value = self.raw(call.client, call.action, params)
            except ClientError as error:
                fault = error
        if value is not None:
            value = _timeless(value)
            if "Body" in value:
                value["Body"] = value["Body"].read()
        key = json.dumps([value, _timeless(fault.response) if fault else None], default=repr, sort_keys=True)
        reply = self.replies.setdefault(key, Reply(value, fault))
        self.current = self.read()
        return reply, self.current

    def run(self, world: World, name: str, act: Callable[[], Any], day: int = 0) -> World:
        """The world after `act`, which must not fail. `name` must be another one each time."""
        outcome, after = self.finish(Operation(name, lambda: act() or (200, ""), day), world)
        assert outcome.status < 400, outcome
        return after

    def read(self) -> World:
        """moto's contents as a world."""
        tables = {
            name: sorted((item.to_json()["Attributes"] for item in table.all_items()), key=repr)
            for name, table in sorted(_dynamodb().tables.items())
        }
        versions = {key: [_version(item) for item in items] for key, items in sorted(_bucket().keys._iterlists())}
        versions = {key: items for key, items in versions.items() if items}
        key = f"{sorted(self.ids.items())} {json.dumps(tables, sort_keys=True)} {versions}"
        return self.worlds.setdefault(key, World(tables, versions, dict(self.ids)))

    def _set(self, world: World) -> None:
        for name, table in _dynamodb().tables.items():
            table.items.clear()
            for row in world.tables[name]:
                table.put_item(copy.deepcopy(row))
        keys = _bucket().keys
        for key in keys:
            keys.setlist(key, [])  # closes what is there; pop() can't with delete markers
        dict.clear(keys)
        for key, versions in world.versions.items():
            keys.setlist(key, [_stored(key, version) for version in versions])


class _Ids:
    """Stands for the `random` of moto's S3: counts the versions of each key."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def uuid4(self) -> str:
        key = self.machine.key
        self.machine.ids[key] = self.machine.ids.get(key, 0) + 1
        return f"v{self.machine.ids[key]}"


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


def _dynamodb() -> Any:
    return dynamodb_backends[DEFAULT_ACCOUNT_ID][settings.AWS_REGION]


def _bucket() -> Any:
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[settings.RECORDINGS_BUCKET]


def _version(item: Any) -> Version:
    if isinstance(item, FakeDeleteMarker):
        return Version(item.version_id, None)
    return Version(item.version_id, item.value, item.checksum_value)


def _stored(key: str, version: Version) -> Any:
    item = FakeKey(
        name=key,
        value=version.content or b"",
        account_id=DEFAULT_ACCOUNT_ID,
        region_name=settings.AWS_REGION,
        is_versioned=True,
        version_id=version.id,
        bucket_name=settings.RECORDINGS_BUCKET,
        checksum_value=version.checksum,
    )
    if version.checksum:
        item.checksum_algorithm = "SHA256"
    if version.content is not None:
        return item
    marker = FakeDeleteMarker(item)
    marker._version_id = version.id
    return marker


def _timeless(value: Any) -> Any:
    """An answer without what differs each time that the same call is made in the same world."""
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in ("ResponseMetadata", "LastModified", "HostId")}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def checksum(content: bytes) -> str:
    """As S3 writes it."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()
