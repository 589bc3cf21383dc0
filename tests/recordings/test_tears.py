"""Tables that came back from different moments, or with a part of a transaction: every call answers, nothing more is
lost, and `verify_storage --repair` brings all of it together.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from operations.fsck import check as verifying
from operations.sweep import sweep
from recordings.keys import RecordingId, UserId
from recordings.models import Change, Ledger, Recording
from recordings.uploads import id_of
from tests.client import Client, sha256
from tests.mirror import Mirror, stored
from tests.recordings.test_events import tell
from tests.recordings.test_following import BINNED, NEW, OLD, OPERATIONS, PENDING, path_of, soon
from tests.recordings.test_following import lives as lives
from tests.recordings.test_verifying import verify
from tests.state import check_books, kept, ledger, objects
from tests.torn import Item, Place, key_in, parts, torn

CHANGES = "test-changes"
TABLES = ("test-users", "test-recordings", CHANGES)


@pytest.fixture(autouse=True)
def _an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "GRACE", -60.0)


class Past:
    """The last three transactions of `act` that wrote to a table, and all rows as they are afterwards."""

    def __init__(self, act: Callable[[], object], table: str = CHANGES) -> None:
        with torn() as self.double:
            act()
        changes = [each for each in self.double.transactions if any(place.table == table for place in each)]
        self.transactions = changes[-3:]
        self.now = {table: self.rows(table) for table in TABLES}

    def rows(self, table: str) -> list[Item]:
        found: list[Item] = self.double.real(self.double.client, "Scan", {"TableName": table})["Items"]
        return found

    def come_back(self, places: list[Place]) -> None:
        """Let these items be as they were before."""
        for place in reversed(places):
            self.double.write(place, place.before)

    def undo(self) -> None:
        """Let all rows be as they were before anything came back."""
        for table, rows in self.now.items():
            for item in self.rows(table):
                key = key_in(table, item)
                self.double.real(self.double.client, "DeleteItem", {"TableName": table, "Key": key})
            for item in rows:
                self.double.real(self.double.client, "PutItem", {"TableName": table, "Item": item})

    def tears(self) -> Iterator[list[Place]]:
        """Which items come back: a part of the last transaction or of the one before; or a table, one to three
        transactions behind the others.
        """
        last = self.transactions[-1]
        yield from parts(last)
        for lag in range(1, len(self.transactions) + 1):
            late = [place for each in self.transactions[-lag:] for place in each]
            yield from (found for table in TABLES if (found := [place for place in late if place.table == table]))
        for part in parts(self.transactions[-2] if len(self.transactions) > 1 else []):
            if not {place.name for place in part} & {place.name for place in last}:
                yield part


def past_of(client: Client, name: str) -> Past:
    """Of an account's operation and of what came after it."""

    def act() -> None:
        OPERATIONS[name](client)
        client.patch(path_of(client, OLD), {"notes": "again"})
        client.patch(path_of(client, BINNED), {"notes": "again"})
        client.create(b"one more")

    return Past(act)


CALLS: list[tuple[str, str, Any]] = [
    ("GET", "recordings/", None),
    ("GET", "recordings/?shelf=trash", None),
    ("GET", "recordings/changes/", None),
    ("GET", "accounts/me/", None),
    ("GET", "accounts/me/export/", None),
    ("POST", "recordings/check/", {"sha256": [sha256(OLD)]}),
    ("GET", "{}", None),
    ("GET", "{}download/", None),
    ("GET", "{}shares/", None),
    ("POST", "{}parts/", {"numbers": [1]}),
    ("POST", "{}shares/", {"expires_at": soon()}),
    ("POST", "{}complete/", None),
    ("PATCH", "{}", {"name": "Another"}),
    ("POST", "{}restore/", None),
    ("DELETE", "{}", None),
    ("DELETE", "{}?permanent=true", None),
]


def answers(client: Client) -> None:
    for method, path, body in CALLS:
        for content in (OLD, BINNED, PENDING, NEW) if "{}" in path else (OLD,):
            answer = client.call(method, path.format(path_of(client, content)), body)
            assert answer.status < 500 or (answer.status == 503 and "Retry-After" in answer.headers), (path, answer)
    for content in (OLD, NEW):
        answer = client.upload(content)
        assert answer.status in (200, 201, 503), answer


def behind_the_scenes(client: Client) -> None:
    """S3's events about all that is stored, and the sweep."""
    for key in objects():
        tell(key)
    assert not sweep(seconds=5.0)["failed"]


def mend(client: Client) -> None:
    """One run mends, and a second one finds nothing."""
    verify("--account", client.user_id, "--repair")
    left = verify("--account", client.user_id, "--repair")
    assert left == []
    check_books(client.user_id, whole=False)
    mirror = Mirror()
    while mirror.follow(client, 100)[1]:
        pass
    assert mirror.rows == stored(client)


@pytest.mark.soak
@pytest.mark.parametrize("name", OPERATIONS)
def test_whatever_a_restore_tears_can_be_mended(lives: Client, name: str) -> None:
    past = past_of(lives, name)
    for late in past.tears():
        past.come_back(late)
        mend(lives)
        past.undo()


@pytest.mark.soak
@pytest.mark.parametrize("name", OPERATIONS)
def test_whatever_a_restore_tears_every_call_answers(lives: Client, name: str) -> None:
    past = past_of(lives, name)
    for late in past.tears():
        past.come_back(late)
        answers(lives)
        behind_the_scenes(lives)
        mend(lives)
        past.undo()


@pytest.mark.check
@pytest.mark.parametrize("name", ["edit", "purge"])
def test_each_table_a_transaction_behind_the_others(lives: Client, name: str) -> None:
    past = past_of(lives, name)
    for table in (CHANGES, "test-recordings"):
        past.come_back([place for each in past.transactions[-2:] for place in each if place.table == table])
        answers(lives)
        behind_the_scenes(lives)
        mend(lives)
        past.undo()


def lag_behind(client: Client) -> None:
    """The changes are as they were before two edits, the recording is not."""
    book, notes = ledger(client.user_id), list(Change.all_of(client.user_id))
    for name in ("1", "2"):
        client.patch(path_of(client, OLD), {"name": name})
    for note in Change.all_of(client.user_id):
        note.delete()
    for note in notes:
        note.save()
    book.save()


def test_a_row_ahead_of_its_ledger_can_be_changed_at_once(lives: Client) -> None:
    lag_behind(lives)
    for name in ("one", "two"):
        answer = lives.patch(path_of(lives, OLD), {"name": name})
        assert (answer.status, answer.json["name"]) == (200, name)
    row = kept(lives.user_id, id_of(lives.user_id, sha256(OLD)))
    assert row.version == ledger(lives.user_id).last_version
    mend(lives)


def test_a_row_ahead_of_its_ledger_takes_no_other_change_out(lives: Client) -> None:
    lag_behind(lives)
    first, second = lives.create(b"first").json["recording"], lives.create(b"second").json["recording"]
    assert second["version"] == kept(lives.user_id, id_of(lives.user_id, sha256(OLD))).version
    assert lives.patch(path_of(lives, OLD), {"name": "again"}).status == 200
    told = {entry["id"] for entry in lives.get("recordings/changes/").json["changes"]}
    assert {first["id"], second["id"]} <= told
    mend(lives)


def test_a_ledger_behind_its_changes_gives_no_version_twice(lives: Client) -> None:
    book = ledger(lives.user_id)
    lives.patch(path_of(lives, OLD), {"name": "again"})
    book.save()
    created = lives.create(b"first").json["recording"]
    assert created["version"] == book.last_version + 2
    assert lives.delete(path_of(lives, OLD)).status == 204
    mend(lives)


def test_a_repair_goes_on_after_what_it_cannot_do(
    alice: Client, charlie: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for client in (alice, charlie):
        client.record(OLD)
        Ledger(client.user_id, 0).update([Ledger.used_bytes.set(1)])
        Change(client.user_id, 2).delete()
    real = Recording.find

    def find(id: RecordingId, user_id: UserId) -> Recording | None:
        if user_id == alice.user_id:
            raise ZeroDivisionError
        return real(id, user_id)

    monkeypatch.setattr(Recording, "find", find)
    found = {(each["account"], each["kind"], each["mended"]) for each in verify("--repair")}
    assert (alice.user_id, "unreadable", False) in found
    assert {(charlie.user_id, "missing_change", True), (charlie.user_id, "wrong_usage", True)} <= found
    monkeypatch.undo()
    verify("--repair")
    assert verify() == []
