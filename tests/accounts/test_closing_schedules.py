"""Closing an account, while its owner's other calls and the sweep are under way: in every order, nothing is left.

Stepped from AWS call to AWS call like tests/recordings/test_schedules.py; `make soak` begins in more states, and lets
both crash at each place.
"""

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings

from aws import s3
from operations import events
from operations import sweep as sweeping
from recordings import models, uploads
from recordings.keys import RecordingId
from tests.client import Client, declare, sha256
from tests.recordings.exploring import Explorer
from tests.recordings.scenes import Ticket, cut, make_parts_small, put_part
from tests.recordings.stepping import History, Machine, Operation, Outcome
from tests.recordings.worlds import World, checksum

pytestmark = pytest.mark.check
CONTENT, LARGE = b"what was said", b"what was said at length, and is sent in parts"
EXPIRED = 31  # days after which a guest who was not seen again goes
MACHINE = Machine()  # its memory serves all tests of a process
ALICE = Client()  # signed up by the fixture, with the same key in every test


@pytest.fixture(autouse=True)
def machine(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    logging.disable()
    make_parts_small(monkeypatch)
    with MACHINE.running():
        sign_up(MACHINE)
        monkeypatch.setattr(sweeping, "SHARDS", ["0"])
        for module in ("models.due", "transactions", "uploads"):
            monkeypatch.setattr(f"recordings.{module}.due_shard", lambda _: "0")
        yield MACHINE
    logging.disable(logging.NOTSET)


def recording_id(content: bytes = CONTENT) -> RecordingId:
    return uploads.id_of(ALICE.user_id, sha256(content))


def call(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    answer = ALICE.call(method, path, body, **headers)
    return answer.status, str(answer.code)


def sweep() -> tuple[int, str]:
    outcomes = sweeping.sweep()
    return 500 if outcomes["failed"] else 200, str(dict(outcomes))


def share() -> tuple[int, str]:
    answer = ALICE.call("POST", f"recordings/{recording_id()}/shares/", {"start": 0, "end": 1})
    return answer.status, str(answer.code or answer.json["id"])


def hear() -> tuple[int, str]:
    """S3's events for all objects that are there."""
    with s3.edge():
        listed = s3.client().list_objects_v2(Bucket=settings.RECORDINGS_BUCKET)
    return 200, ", ".join(events.object_created(item["Key"]) for item in listed.get("Contents", []))


SHARED: list[str] = []  # the id of the share in the world of that name
ACTS: dict[str, Callable[[], tuple[int, str]]] = {
    "close": lambda: call("DELETE", "accounts/me/"),
    "sweep": sweep,
    "rename": lambda: call("PATCH", "accounts/me/", {"name": "Alice"}),
    "create": lambda: call("POST", "recordings/", declare(CONTENT)),
    "complete": lambda: call("POST", f"recordings/{recording_id()}/complete/"),
    "create in parts": lambda: call("POST", "recordings/", declare(LARGE)),
    "complete in parts": lambda: call("POST", f"recordings/{recording_id(LARGE)}/complete/"),
    "small upload": lambda: call("PUT", "recordings/upload/Talk.wav/", CONTENT, content_type="audio/wav"),
    "purge": lambda: call("DELETE", f"recordings/{recording_id()}/?permanent=true"),
    "empty trash": lambda: call("DELETE", "recordings/?shelf=trash"),
    "share a part": share,
    "revoke": lambda: call("DELETE", f"recordings/{recording_id()}/shares/{SHARED[0]}/"),
    "event": hear,
    "make a feed": lambda: call("POST", "accounts/feeds/", {}),
    "log out": lambda: call("POST", "accounts/logout/"),
}


def sign_up(machine: Machine) -> World:
    def act() -> tuple[int, str]:
        answer = Client().post("accounts/login/", {"provider": "guest"})
        assert answer.status == 201, answer
        ALICE.auth_key, ALICE.user_id = answer.json["auth_key"], answer.json["user_id"]
        return answer.status, ""

    return machine.meddle(Operation("given sign-up", act), machine.empty, lambda at, call, step: step())[1]


def put() -> None:
    row = models.Recording.find(recording_id(), ALICE.user_id)
    assert row
    s3.client().put_object(
        Bucket=settings.RECORDINGS_BUCKET,
        Key=row.key,
        Body=CONTENT,
        ChecksumSHA256=checksum(CONTENT),
        ChecksumAlgorithm="SHA256",
    )


def put_parts() -> None:
    row = models.Recording.find(recording_id(LARGE), ALICE.user_id)
    assert row
    for number, piece in enumerate(cut(LARGE), 1):
        put_part(Ticket(row.key, str(row.upload_id)), number, piece)


def worlds(machine: Machine) -> dict[str, World]:
    new = sign_up(machine)
    uploading = machine.run(new, "given create", ACTS["create"])
    arrived = machine.run(uploading, "given bytes", put)
    ready = machine.run(arrived, "given complete", ACTS["complete"])
    outcome, shared = machine.finish(Operation("given share", share), ready)
    SHARED[:] = [outcome.what]
    in_parts = machine.run(new, "given create in parts", ACTS["create in parts"])
    trashed = machine.run(ready, "given trash", lambda: call("DELETE", f"recordings/{recording_id()}/"))
    return {
        "new": new,
        "arrived": arrived,
        "ready": ready,
        "trashed": trashed,
        "shared": shared,
        "in parts": machine.run(in_parts, "given parts", put_parts),
        "read by podcast apps": machine.run(ready, "given feed", ACTS["make a feed"]),
        "seen later": machine.run(ready, "given visit", lambda: call("GET", "accounts/me/"), day=20),
        "closed just now": crashed(machine, ready),
    }


def crashed(machine: Machine, world: World) -> World:
    """What a closing leaves that ends right after its first transaction."""
    operation = Operation("given close", ACTS["close"])
    history: History = ()
    while not isinstance(call := machine.next(operation, history), Outcome):
        reply, world = machine.step(world, call)
        history = (*history, reply)
        if call.action == "TransactWriteItems":
            return world
    raise AssertionError


def check_end(machine: Machine, world: World, day: int, *, heard: bool, ended: bool) -> None:
    """The last look leaves nothing of a closed account, and a sweep all of another. Where no event is missing and
    nobody died, the first sweep after a closing leaves only what says that it is closed, and old versions of what
    came after it. The order of a share, and what an event has made of it meanwhile, have events of their own, which
    come before.
    """
    if heard:
        world = machine.finish(Operation("last event", hear, day), world)[1]
    outcome, swept = machine.finish(Operation("last sweep", sweep, day), world)
    assert outcome.status == 200, outcome
    if is_closed(world) or is_closed(swept):
        ends = (MARKS, []) if day else (MARKS,)  # by then the last look may have been
        assert left_in(swept) in ends, "a closed account left something"
        assert swept.objects == {}, "a closed account left an object"
        assert not (ended and swept.uploads), "a closed account left a multipart upload"
        if left_in(swept):
            check_last_look(machine, swept, day)
    else:
        work = [row["id"] for row in swept.rows(settings.RECORDINGS_TABLE)]
        assert f"account:{ALICE.user_id}" in work, "an abandoned guest would stay for ever"


MARKS = ["account:", "closed"]  # what says until the last look that an account is closed


def left_in(world: World) -> list[str]:
    """What the tables hold of Alice: the kind of her work, a ledger's state, or all that there is of any other row."""
    rows = [row for name in world.tables for row in world.rows(name) if ALICE.user_id in str(row)]
    return sorted(mark_of(row) for row in rows)


def mark_of(row: dict[str, Any]) -> str:
    if row.get("version") == 0:
        return "closed" if row.get("closed") else "open"
    return str(row["id"]).removesuffix(ALICE.user_id) if str(row.get("id")).startswith("account:") else str(row)


def check_last_look(machine: Machine, world: World, day: int) -> None:
    """A day later, when every URL has ended, nothing is left, whatever has come meanwhile."""
    looked = machine.finish(
        Operation("last look", sweep, day + 1), machine.run(world, "given bytes after it", late, day)
    )
    assert looked[0].status == 200, looked[0]
    assert (left_in(looked[1]), list(looked[1].versions), looked[1].uploads) == ([], [], ())


def late() -> None:
    """Bytes whose URL was signed before the account was closed, and whose event is lost; and an upload in parts."""
    where: Any = {"Bucket": settings.RECORDINGS_BUCKET, "Key": f"recordings/{ALICE.user_id}/{recording_id()}/late"}
    s3.client().put_object(**where, Body=CONTENT)
    s3.client().create_multipart_upload(**where)


def is_closed(world: World) -> bool:
    accounts = [row for row in world.rows(settings.USERS_TABLE) if row["auth_key"] == "account"]
    return not accounts or "closed_at" in accounts[0]


@pytest.mark.parametrize("other", ACTS)
def test_closing_beside(machine: Machine, other: str) -> None:
    elsewhere = {"event": "shared", "revoke": "shared", "create in parts": "new", "complete in parts": "in parts"}
    starts = (elsewhere[other],) if other in elsewhere else ("ready", "closed just now")
    explore(machine, "close", other, starts=starts, days=(0,))


@pytest.mark.parametrize("other", [name for name in ACTS if name != "sweep"])
def test_a_guest_expires_beside(machine: Machine, other: str) -> None:
    explore(machine, "sweep", other, starts=("ready", "seen later"), days=(EXPIRED,))


@pytest.mark.parametrize("other", ["sweep", "empty trash", "event", "close"])
def test_the_last_look_beside(machine: Machine, other: str) -> None:
    """Two last looks, and what a client or an event still tries: in every order, nothing is left."""
    closed = machine.finish(Operation("given closing", ACTS["close"]), worlds(machine)["ready"])[1]
    start = machine.run(closed, "given bytes after it", late)
    assert (left_in(start), len(start.versions), len(start.uploads)) == (MARKS, 1, 1)

    def look(world: World, ended: bool) -> None:
        if ended:
            swept = machine.finish(Operation("another sweep", sweep, 2), world)[1]
            assert (left_in(swept), list(swept.versions), swept.uploads) == ([], [], ())

    operations = [Operation("1 last look", sweep, 1), Operation(f"2 {other}", ACTS[other], 1)]
    Explorer(machine, *operations, look=look).explore(start)


@pytest.mark.soak
@pytest.mark.parametrize(("one", "two"), list(itertools.product(["close", "sweep"], ACTS)))
def test_closing_that_crashes(machine: Machine, one: str, two: str) -> None:
    crashes = "small upload" not in (one, two)  # only the event of its object would take that away
    explore(machine, one, two, starts=tuple(worlds(machine)), days=(0, EXPIRED), crashes=crashes)


def explore(
    machine: Machine, *names: str, starts: tuple[str, ...], days: tuple[int, ...], crashes: bool = False
) -> None:
    found = worlds(machine)
    for start, day in itertools.product(starts, days):

        def look(world: World, ended: bool, day: int = day) -> None:
            if ended or crashes:
                check_end(machine, world, day, heard=bool({"event", "share a part"} & {*names}), ended=ended)

        operations = [Operation(f"{number} {name}", ACTS[name], day) for number, name in enumerate(names, 1)]
        explorer = Explorer(machine, *operations, look=look)
        explorer.path.append(f"{' and '.join(names)} on {start}, day {day}:")
        explorer.explore(found[start])
