"""AWS fails, loses an answer, or the process dies, at each call of each operation; then somebody tries again.

Each operation is stepped as in test_schedules.py, from each state in which it has something to do. A failure must come
out as a 503 with Retry-After, or not at all; a retry must end where an undisturbed call ends; after a crash the sweep
must find the way too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from django.conf import settings
from urllib3.exceptions import ProtocolError

from tests.recordings.books import Books
from tests.recordings.scenes import OVERDUE, SCENES, hear, playing, sweep
from tests.recordings.states import starts
from tests.recordings.stepping import Call, History, Machine, Operation, Outcome, Reply
from tests.recordings.worlds import World

pytestmark = pytest.mark.check
MACHINE = Machine()  # its memory serves all tests of a process
URL = {"endpoint_url": "https://aws.test"}


@dataclass(frozen=True)
class Fault:
    """What an operation gets instead of an answer. `done`: AWS has done what it was asked."""

    name: str
    replies: Callable[[Call], Reply | None]  # None where such a call can't fail like this
    done: bool

    def __repr__(self) -> str:
        return self.name


def refused(call: Call, code: str, status: int, **more: Any) -> Reply:
    response: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return Reply(None, ClientError(response, call.action))


def of_dynamo(call: Call) -> bool:
    return call.client.meta.service_model.service_name == "dynamodb"


def overloaded(call: Call) -> Reply:
    return refused(call, *(("ThrottlingException", 400) if of_dynamo(call) else ("SlowDown", 503)))


def broken(call: Call) -> Reply:
    return refused(call, *(("InternalServerError", 500) if of_dynamo(call) else ("InternalError", 500)))


def contended(call: Call) -> Reply | None:
    """As DynamoDB says it of a transaction that met another, and S3 of one write that met another."""
    if call.action == "TransactWriteItems":
        reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}]
        return refused(call, "TransactionCanceledException", 400, CancellationReasons=reasons)
    return None if of_dynamo(call) else refused(call, "OperationAborted", 409)


class CutOff:
    """A body that ends in the middle."""

    def read(self, *_: Any) -> bytes:
        raise ProtocolError("Connection broken")


def cut_off(call: Call) -> Reply | None:
    return Reply({"Body": CutOff()}) if call.action == "GetObject" else None


FAULTS = [
    Fault("unreachable", lambda call: Reply(None, ConnectTimeoutError(**URL)), done=False),
    Fault("answer lost", lambda call: Reply(None, ReadTimeoutError(**URL)), done=True),
    Fault("overloaded", overloaded, done=False),
    Fault("broken", broken, done=False),
    Fault("broken afterwards", broken, done=True),
    Fault("contended", contended, done=False),
    Fault("cut off", cut_off, done=False),
]
SOME = [fault for fault in FAULTS if fault.name in ("answer lost", "overloaded", "contended", "cut off")]


def calls_of(machine: Machine, operation: Operation, world: World) -> list[Call]:
    calls: list[Call] = []

    def give(at: int, call: Call, step: Callable[[], Reply]) -> Reply:
        calls.append(call)
        return step()

    machine.meddle(operation, world, give)
    return calls


def disturbed(
    machine: Machine, operation: Operation, world: World, number: int, fault: Fault
) -> tuple[Outcome, World]:
    """Run an operation to its end, with this fault at one call."""

    def give(at: int, call: Call, step: Callable[[], Reply]) -> Reply:
        failure = fault.replies(call) if at == number else None
        if not failure or fault.done:
            reply = step()
        return failure or reply

    return machine.meddle(operation, world, give)


def resent(machine: Machine, operation: Operation, world: World, number: int) -> tuple[Outcome, World]:
    """The answer of one call is lost, and botocore sends it again by itself."""

    def give(at: int, call: Call, step: Callable[[], Reply]) -> Reply:
        if at == number:
            step()
        return step()

    return machine.meddle(operation, world, give)


def died(machine: Machine, operation: Operation, world: World, number: int) -> World:
    """The process ends after one call."""
    history: History = ()
    for _ in range(number + 1):
        call = machine.next(operation, history)
        assert isinstance(call, Call)
        reply, world = machine.step(world, call)
        history = (*history, reply)
    return world


@pytest.fixture(autouse=True)
def machine(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with playing(MACHINE, monkeypatch):
        yield MACHINE


def shape(world: World) -> dict[str, Any]:
    """What is stored, without what may differ between one try and two: keys, versions, tombstones."""
    books = Books(world)
    books.check()
    books.check_objects()
    own = ("status", "size", "name", "trashed_at", "verified_at", "shelf", "due_at", "any_parts")
    return {
        "rows": [{name: row.get(name) for name in own} for row in books.rows],
        "used": books.ledger["used_bytes"],
        "objects": sorted(books.objects.values()),
        "parts": sorted(upload.parts for upload in books.uploads_wanted if upload.parts),
        "work": [row["id"] for row in world.rows(settings.RECORDINGS_TABLE) if ":" in row["id"]],
    }


def may_stray(call: Call, fault: Fault | None) -> bool:
    """Whether a multipart upload may be left that nobody knows of. The bucket's lifecycle ends those."""
    return call.action == "CreateMultipartUpload" and (fault is None or fault.done)


ALL = [(scene, name) for scene in SCENES for name in SCENES[scene].names]


@pytest.mark.parametrize(("scene", "name"), ALL)
def test_every_call_fails_once(machine: Machine, scene: str, name: str) -> None:
    """All faults in the short scene; in the others one of each kind, since they come out at the same edge."""
    check_scene(machine, scene, name, FAULTS if scene == "short" else SOME)


@pytest.mark.soak
@pytest.mark.parametrize(("scene", "name"), [each for each in ALL if each[0] != "short"])
def test_every_call_fails_in_every_way(machine: Machine, scene: str, name: str) -> None:
    check_scene(machine, scene, name, FAULTS)


def check_scene(machine: Machine, scene: str, name: str, faults: list[Fault]) -> None:
    tried = 0
    for start, world in starts(machine, scene).items():
        day = OVERDUE if name == "sweep" else 0
        operation, again = (SCENES[scene].operation(name, f"{number} {name}", world, day) for number in (1, 2))
        if operation and again:
            whole = (scene, name) in (("parts", "create"), ("uppy", "begin"))
            last = Operation("4 bring in", SCENES[scene].bring_in, day) if whole else None
            tried += every_call(machine, operation, again, world, faults, f"{name} on {start}", last)
    assert tried


def every_call(
    machine: Machine,
    operation: Operation,
    again: Operation,
    world: World,
    faults: list[Fault],
    what: str,
    last: Operation | None = None,
) -> int:
    """Returns how many calls there are. `last` is an upload that must be possible after all."""
    undisturbed = machine.finish(operation, world)[1]
    calls = calls_of(machine, operation, world)
    for at, call in enumerate(calls):
        for fault in faults:
            outcome, after = disturbed(machine, operation, world, at, fault)
            told = f"{what}, call {at} {call} {fault}: {outcome}"
            Books(after).check()
            failed = again.day == OVERDUE and "failed" in outcome.what  # the sweep says so, and goes on
            assert outcome.status < 500 or outcome == Outcome(503, "unavailable") or failed, told
            assert may_stray(call, fault) or not Books(after).strays, told
            check_end(machine, again, after, undisturbed, told, last)
        outcome, after = resent(machine, operation, world, at)
        assert outcome.status < 500, f"{what}, call {at} {call} sent twice: {outcome}"
        check_end(machine, again, after, undisturbed, f"{what}, call {at} {call} sent twice", last)
        crash = died(machine, operation, world, at)
        assert may_stray(call, None) or not Books(crash).strays, f"{what} died after call {at}"
        check_end(machine, again, crash, undisturbed, f"{what} died after call {at} {call}", last)
    return len(calls)


def check_end(
    machine: Machine, again: Operation, after: World, undisturbed: World, what: str, last: Operation | None = None
) -> None:
    """The retry ends well, where the first try would have ended, or the sweep and the events bring it there."""
    retried, end = machine.finish(again, after)
    assert retried.status < 500, f"{what}, retried: {retried}"
    if last:
        assert machine.finish(last, end)[0] == Outcome(200, "verified"), f"{what}, then {last}"
    for name, act in (("event", hear), ("sweep", sweep)):
        tomorrow = Operation(f"3 {name}", act, again.day + 1)
        end, undisturbed = finish(machine, tomorrow, end), finish(machine, tomorrow, undisturbed)
    assert shape(end) == shape(undisturbed), what


def finish(machine: Machine, operation: Operation, world: World) -> World:
    outcome, world = machine.finish(operation, world)
    assert outcome.status < 400, outcome
    return world
