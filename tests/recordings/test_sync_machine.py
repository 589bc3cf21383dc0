"""Whatever several devices do, and whenever one of them syncs, its copy ends up as what the server has.

Hypothesis drives an account and a model of it side by side. The model knows what each call has to answer and which
version it takes, so that it can say what every page of changes/ holds, from any cursor that was ever given out; also
when something happens between the two reads of one page. tests/integration/test_sync_machine.py does it with threads.
"""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from operations.sweep import sweep
from recordings.keys import RecordingId
from recordings.models import Change
from recordings.uploads import id_of
from tests import fresh, state
from tests.client import Answer, send, sha256, sign_up
from tests.mirror import Entry, Mirror, stored

CONTENTS = [f"spoken in lecture {number}; ".encode() * (number + 1) for number in range(5)]
MOMENTS = [f"2026-01-0{5 - number}T09:00:00.000Z" for number in range(5)]  # number 0 is the newest
WRONG = b"something else"
MORE = 7  # bytes that a resized declaration is too long
EDITS: list[dict[str, Any]] = [
    {"name": "Physik I"},
    {"name": "물리학"},
    {"tags": ["exam"]},
    {"tags": []},
    {"favorite": True},
    {"notes": "again", "favorite": False},
]
SHOWN = ("name", "status", "size", "tags", "notes", "favorite", "version")


@dataclass
class Row:
    """What the model knows of a recording. `sent`: what lies under the attempt's key."""

    size: int
    name: str = "Talk.wav"
    status: str = "uploading"
    tags: list[str] = field(default_factory=list)
    notes: str = ""
    favorite: bool = False
    version: int = 0
    trashed: bool = False
    sent: bytes = b""
    heard: bool = False


class Account:
    """The model, and the calls that keep it and the server in step. Recordings are numbers into CONTENTS."""

    def __init__(self) -> None:
        self.client = sign_up()
        self.ids = [id_of(self.client.user_id, sha256(content)) for content in CONTENTS]
        self.rows: dict[int, Row] = {}
        self.purging: dict[int, int] = {}  # bytes of recordings that are gone for everybody, but not from S3
        self.log: list[tuple[int, bool]] = []  # of version 1, 2, …: the recording, and whether it was purged
        self.witnessed: dict[int, Entry] = {}  # what anybody was ever shown of each version

    def take(self, number: int, *, deleted: bool = False) -> None:
        """One change of a recording: it has the next version."""
        self.log.append((number, deleted))
        if deleted:
            del self.rows[number]
        else:
            self.rows[number].version = len(self.log)

    def table(self) -> dict[int, tuple[int, bool]]:
        """The change rows that there must be, in order."""
        newest = {number: version for version, (number, _) in enumerate(self.log, 1)}
        rows = enumerate(self.log, 1)
        return {version: row for version, row in rows if row[1] or newest[row[0]] == version}

    def used_bytes(self) -> int:
        return sum(row.size for row in self.rows.values()) + sum(self.purging.values())

    def path(self, number: int) -> str:
        return f"recordings/{self.ids[number]}/"

    def witness(self, entry: Entry) -> None:
        """No version is ever two things, whoever sees it and in whichever answer."""
        known = self.witnessed.setdefault(entry["version"], entry)
        shared = known.keys() & entry.keys()  # a detail says more than a list does
        assert {name: known[name] for name in shared} == {name: entry[name] for name in shared}

    def agree(self, number: int, entry: Entry) -> None:
        """An answer shows what the model has."""
        row = self.rows[number]
        assert {name: entry[name] for name in SHOWN} == {name: getattr(row, name) for name in SHOWN}
        assert (entry["id"], entry["trashed_at"] is not None) == (self.ids[number], row.trashed)
        self.witness(entry)

    def expect(self, answer: Answer, number: int, status: int = 200, code: str | None = None) -> None:
        assert (answer.status, answer.code) == (status, code), answer
        if status in (200, 201):
            self.agree(number, answer.json.get("recording", answer.json))

    # What a client can do; `edit` is one of EDITS, for those that need it.

    def create(self, number: int, edit: dict[str, Any] | None = None, *, more: int = 0) -> Answer:
        size = len(CONTENTS[number]) + more
        row = self.rows.get(number)
        answer = self.client.create(CONTENTS[number], size=size, recorded_at=MOMENTS[number])
        if row and row.status == "ready" and row.size != size:
            self.expect(answer, number, 409, "size_conflict")
            return answer
        self.declare(number, size)
        self.expect(answer, number, 200 if row else 201)
        assert (answer.json["upload"] is None) == (self.rows[number].status == "ready")
        return answer

    def declare(self, number: int, size: int) -> None:
        row = self.rows.get(number)
        self.purging.pop(number, None)
        if row is None:
            self.rows[number] = Row(size)
        elif row.status == "uploading" and row.size != size:
            row.size, row.sent = size, b""
        elif row.trashed:
            row.trashed = False
        else:
            return
        self.take(number)

    def resize(self, number: int, edit: dict[str, Any]) -> None:
        self.create(number, more=MORE)

    def upload(self, number: int, edit: dict[str, Any]) -> None:
        row, size = self.rows.get(number), len(CONTENTS[number])
        answer = self.client.upload(CONTENTS[number], query=f"?recorded_at={MOMENTS[number]}")
        self.declare(number, size)
        if self.rows[number].status == "uploading":
            self.rows[number].status = "ready"
            self.take(number)
        self.expect(answer, number, 200 if row else 201)

    def put(self, number: int, edit: dict[str, Any]) -> None:
        """Bytes to the URL that create gives."""
        if number not in self.rows or self.rows[number].status == "uploading":
            upload = self.create(number).json["upload"]
            row = self.rows[number]
            assert send(upload, CONTENTS[number]).status_code == (412 if row.sent else 200)
            row.sent = row.sent or CONTENTS[number]

    def put_wrong(self, number: int, edit: dict[str, Any]) -> None:
        row = self.rows.get(number)
        if row and row.status == "uploading":
            state.put(state.kept(self.client.user_id, self.ids[number]).key, WRONG)
            row.sent = WRONG

    def complete(self, number: int, edit: dict[str, Any]) -> None:
        answer = self.client.post(f"{self.path(number)}complete/")
        self.expect(answer, number, *self.arrive(number))

    def arrive(self, number: int) -> tuple[int, str | None]:
        """Status and code of a completion."""
        row = self.rows.get(number)
        if row is None:
            return 404, "not_found"
        if row.status == "ready":
            return 200, None
        if not row.sent:
            return 409, "upload_incomplete"
        if row.sent == CONTENTS[number] and row.size == len(row.sent):
            row.status = "ready"
            self.take(number)
            return 200, None
        row.sent = b""  # thrown away, and a new attempt
        self.take(number)
        return 409, "checksum_mismatch"

    def record(self, number: int, edit: dict[str, Any]) -> None:
        """The whole way of a recording."""
        self.put(number, edit)
        self.complete(number, edit)

    def edit(self, number: int, edit: dict[str, Any]) -> None:
        answer = self.client.patch(self.path(number), edit)
        row = self.rows.get(number)
        if row is None:
            self.expect(answer, number, 404, "not_found")
            return
        if any(getattr(row, name) != value for name, value in edit.items()):
            for name, value in edit.items():
                setattr(row, name, value)
            self.take(number)
        self.expect(answer, number)

    def edit_late(self, number: int, edit: dict[str, Any]) -> None:
        """Of a version that is no longer: another was faster."""
        row = self.rows.get(number)
        if row:
            answer = self.client.patch(self.path(number), edit, if_match=f'"{row.version - 1}"')
            self.expect(answer, number, 412, "precondition_failed")

    def trash(self, number: int, edit: dict[str, Any]) -> None:
        answer = self.client.delete(self.path(number))
        row = self.rows.get(number)
        self.expect(answer, number, *((204, None) if row else (404, "not_found")))
        if row and row.status == "uploading":
            self.take(number, deleted=True)
        elif row and not row.trashed:
            row.trashed = True
            self.take(number)

    def restore(self, number: int, edit: dict[str, Any]) -> None:
        answer = self.client.post(f"{self.path(number)}restore/")
        row = self.rows.get(number)
        if row and row.trashed:
            row.trashed = False
            self.take(number)
        self.expect(answer, number, *((200, None) if row else (404, "not_found")))

    def purge(self, number: int, edit: dict[str, Any]) -> None:
        answer = self.client.delete(f"{self.path(number)}?permanent=true")
        known = number in self.rows
        self.expect(answer, number, *((204, None) if known else (404, "not_found")))
        if known:
            self.take(number, deleted=True)

    def purge_half(self, number: int, edit: dict[str, Any]) -> None:
        """S3 is away just then: the recording is gone for everybody, its bytes count on until the sweep."""
        if number in self.rows:
            size = self.rows[number].size
            with state.failing("DeleteObject"):
                self.purge(number, edit)
            self.purging[number] = size

    def empty_trash(self, number: int, edit: dict[str, Any]) -> None:
        assert self.client.delete("recordings/?shelf=trash").status == 202
        for each in sorted(number for number, row in self.rows.items() if row.trashed):  # the newest first
            self.take(each, deleted=True)

    def sweep(self, number: int, edit: dict[str, Any]) -> None:
        """For one recording the time is over that it was given."""
        row = self.rows.get(number)
        due = bool(row and (row.status == "uploading" or row.trashed or not row.heard))
        if due:
            state.make_due(self.client.user_id, self.ids[number])
        assert sweep()["failed"] == 0
        self.purging.clear()
        if row and row.status == "ready" and due and not row.trashed:
            row.heard = True
            self.take(number)
        elif row and due:
            _, code = (0, "purged") if row.trashed else self.arrive(number)
            if code in ("purged", "upload_incomplete"):
                self.take(number, deleted=True)


Act = tuple[Callable[[Account, int, dict[str, Any]], Any], int, dict[str, Any]]
NUMBERS, LIMITS, DEVICES = st.integers(0, len(CONTENTS) - 1), st.integers(1, 6), st.integers(0, 2)


def any_of(*acts: Callable[[Account, int, dict[str, Any]], Any]) -> st.SearchStrategy[Act]:
    return st.tuples(st.sampled_from(acts), NUMBERS, st.sampled_from(EDITS))


BRING = any_of(Account.upload, Account.record, Account.create)
SEND = any_of(Account.create, Account.resize, Account.put, Account.put_wrong, Account.complete)
CHANGE = any_of(Account.edit, Account.edit_late, Account.trash, Account.restore)
PART = any_of(Account.trash, Account.purge, Account.purge_half, Account.empty_trash, Account.sweep)


class Device(Mirror):
    """A mirror of which the model knows how far it is."""

    position = 0

    def copy(self) -> "Device":
        copied = Device(self.cursor, self.rows)
        copied.position = self.position
        return copied


class Devices(RuleBasedStateMachine):
    """Three devices of one account, and every cursor that they were ever given."""

    finished = 0

    def __init__(self) -> None:
        super().__init__()
        fresh.put()
        self.account = Account()
        self.devices = [Device() for _ in range(3)]
        self.kept: list[Device] = [Device()]

    def act(self, act: Act) -> None:
        make, number, edit = act
        make(self.account, number, edit)

    @initialize(acts=st.lists(BRING, min_size=2, max_size=5, unique_by=lambda act: act[1]))
    def begin(self, acts: list[Act]) -> None:
        for act in acts:
            self.act(act)

    @rule(act=BRING)
    def bring(self, act: Act) -> None:
        self.act(act)

    @rule(act=SEND)
    def send(self, act: Act) -> None:
        self.act(act)

    @rule(act=CHANGE)
    def change(self, act: Act) -> None:
        self.act(act)

    @rule(act=PART)
    def part_with(self, act: Act) -> None:
        self.act(act)

    @rule(device=DEVICES, limit=LIMITS, meanwhile=st.none() | BRING | CHANGE | PART)
    def sync_a_page(self, device: int, limit: int, meanwhile: Act | None) -> None:
        self.follow(self.devices[device], limit, meanwhile)

    @rule(device=DEVICES, limit=LIMITS)
    def sync(self, device: int, limit: int) -> None:
        self.catch_up(self.devices[device], limit)

    @rule(device=DEVICES, back=st.integers(0, 100), limit=LIMITS)
    def begin_again_from_a_backup(self, device: int, back: int, limit: int) -> None:
        self.devices[device] = self.kept[-1 - back % len(self.kept)].copy()
        self.follow(self.devices[device], limit)

    @rule(device=DEVICES, back=st.integers(0, 100))
    def lose_the_cursor(self, device: int, back: int) -> None:
        """And go on with an older one, while the rows are newer."""
        older = self.kept[-1 - back % len(self.kept)]
        if older.position <= self.devices[device].position:
            self.devices[device].cursor, self.devices[device].position = older.cursor, older.position

    @rule(limit=LIMITS)
    def look(self, limit: int) -> None:
        """The lists and check/ say what the model says."""
        account = self.account
        for shelf in ("library", "trash", "uploading"):
            numbers = [number for number, row in sorted(account.rows.items()) if shelf_of(row) == shelf]
            found: list[Entry] = []
            cursor = ""
            while cursor is not None:
                page = account.client.get(f"recordings/?shelf={shelf}&limit={limit}&cursor={cursor}").json
                found, cursor = found + page["results"], page["next_cursor"]
            assert [entry["id"] for entry in found] == [account.ids[number] for number in numbers]
            for number, entry in zip(numbers, found, strict=True):
                account.agree(number, entry)
        asked = [sha256(content) for content in CONTENTS]
        results = account.client.post("recordings/check/", {"sha256": asked}).json["results"]
        for number, result in enumerate(results):
            row = account.rows.get(number)
            status = "missing" if row is None else "trashed" if row.trashed else row.status
            assert result == {"sha256": asked[number], "id": account.ids[number] if row else None, "status": status}

    @invariant()
    def books(self) -> None:
        """No version is left out or taken twice, each is explained by one change row, and the bytes are exact."""
        account = self.account
        book = state.ledger(account.client.user_id)
        assert (book.last_version, book.used_bytes) == (len(account.log), account.used_bytes())
        rows = Change.all_of(account.client.user_id)
        table = {
            int(row.version): (account.ids.index(RecordingId(str(row.recording_id))), bool(row.deleted))
            for row in rows
        }
        assert table == account.table()

    def follow(self, device: Device, limit: int, meanwhile: Act | None = None) -> bool:
        """One page, which must be what the model says. Returns whether there is more.

        `meanwhile` happens between its two reads, to a recording that the first of them has found.
        """
        account = self.account
        table = [row for row in account.table().items() if row[0] > device.position]
        page = table[:limit]
        living = [number for _, (number, deleted) in page if not deleted]
        between: Any = nullcontext()
        if meanwhile and living:
            make, number, edit = meanwhile
            number = living[number % len(living)]
            between = state.meanwhile("BatchGetItem", lambda: make(account, number, edit))
        with between:
            entries, more = device.follow(account.client, limit)
        assert len(entries) == len(page)
        for (_, (number, deleted)), entry in zip(page, entries, strict=True):
            if deleted or number not in account.rows:
                assert entry == {"id": account.ids[number], "deleted": True}
            else:
                account.agree(number, entry)
        assert more == (len(table) > limit)
        device.position = page[-1][0] if page else device.position
        self.kept.append(device.copy())
        return more

    def catch_up(self, device: Device, limit: int) -> None:
        """To the end of the changes, where the mirror has what the server has, and missed nothing on the way."""
        start, named = device.position, set[str]()
        more = True
        while more:
            before = device.cursor
            more = self.follow(device, limit)
            entries, _ = Mirror(before).follow(self.account.client, limit)  # the same cursor, the same page
            named |= {entry["id"] for entry in entries}
        assert named == {self.account.ids[number] for number, _ in self.account.log[start:]}
        assert device.rows.keys() == {self.account.ids[number] for number in self.account.rows}
        for number in self.account.rows:
            self.account.agree(number, device.rows[self.account.ids[number]])

    def teardown(self) -> None:
        if sys.exc_info()[0]:
            return  # a step has failed: that is the fault to tell of
        self.look(3)
        assert self.account.client.used_bytes() == self.account.used_bytes()
        there = stored(self.account.client)
        for number, device in enumerate([*self.devices, *self.kept[:: max(1, len(self.kept) // 8)]]):
            self.catch_up(device, 1 + number % 4)
            assert device.rows == there
        Devices.finished += 1


def shelf_of(row: Row) -> str:
    return "uploading" if row.status == "uploading" else "trash" if row.trashed else "library"


def run(examples: int, steps: int) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    Devices.finished = 0
    run_state_machine_as_test(
        Devices,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks
        ),
    )
    assert Devices.finished >= examples


def test_devices_that_sync_a_few_times() -> None:
    run(examples=3, steps=10)


@pytest.mark.check
def test_devices_that_sync_at_any_moment() -> None:
    run(examples=20, steps=30)


@pytest.mark.soak
def test_devices_that_sync_at_any_moment_for_long() -> None:
    run(examples=500, steps=50)
