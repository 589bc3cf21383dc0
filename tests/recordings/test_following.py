"""Whoever follows an account's changes, or takes it along, ends with exactly what is there: whichever items of a
transaction a reader meets, and in whichever order they come.
"""

import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from recordings.changes import follow as following
from recordings.keys import RecordingId
from recordings.models import Change, Recording
from recordings.uploads import id_of
from tests.client import Client, send, sha256
from tests.mirror import Entry, Mirror, stored
from tests.recordings.test_verifying import verify
from tests.state import calls, kept
from tests.torn import Place, Torn, orders, parts, torn

OLD, PENDING, BINNED, NEW = b"old" * 9, b"pending" * 9, b"binned" * 9, b"new" * 9
Operation = Callable[[Client], object]


def path_of(client: Client, content: bytes) -> str:
    return f"recordings/{id_of(client.user_id, sha256(content))}/"


def complete(client: Client) -> object:
    return client.post(f"{path_of(client, PENDING)}complete/")


def purge(client: Client) -> object:
    return client.delete(f"{path_of(client, OLD)}?permanent=true")


def again(client: Client) -> object:
    """Purged, and then sent once more."""
    purge(client)
    return client.upload(OLD)


OPERATIONS: dict[str, Operation] = {
    "create": lambda client: client.create(NEW),
    "upload": lambda client: client.upload(NEW),
    "complete": complete,
    "edit": lambda client: client.patch(path_of(client, OLD), {"name": "New"}),
    "trash": lambda client: client.delete(path_of(client, OLD)),
    "restore": lambda client: client.post(f"{path_of(client, BINNED)}restore/"),
    "purge": purge,
    "purge and upload": again,
    "share": lambda client: client.post(f"{path_of(client, OLD)}shares/", {"expires_at": soon()}),
}


def soon() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))


@pytest.fixture
def lives(alice: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Alice, with something for each operation, and nobody who waits long for what is under way."""
    monkeypatch.setattr(following, "PATIENCE", 0.0)
    monkeypatch.setattr("lib.deadline.SECONDS", float("inf"))  # of a writer, with many readers within
    alice.record(OLD)
    alice.record(BINNED)
    alice.delete(path_of(alice, BINNED))
    send(alice.create(PENDING).json["upload"], PENDING)
    return alice


class Device:
    """A device that asks for pages of `limit` changes, as often as it is told to."""

    def __init__(self, client: Client, mirror: Mirror, limit: int) -> None:
        self.client, self.mirror, self.limit = client, mirror, limit

    def page(self) -> bool:
        """Take one page in. Returns whether there is more."""
        return self.mirror.follow(self.client, self.limit)[1]

    def finish(self) -> dict[str, Entry]:
        """Follow to the end. Returns what the device has."""
        while self.mirror.follow(self.client, self.limit)[1]:
            pass
        return self.mirror.rows


def mirrors(client: Client) -> Iterator[Mirror]:
    """Of one who begins, one who is half way, and one who has all."""
    yield Mirror()
    mirror = Mirror()
    mirror.follow(client, 2)
    yield mirror.copy()
    while mirror.follow(client, 100)[1]:
        pass
    yield mirror


def each_transaction(client: Client, operation: Operation, act: Callable[[Torn, list[Place]], None]) -> None:
    """Do `act` within each transaction of the operation, before its writer hears of it."""
    with torn() as double:

        def within(places: list[Place]) -> None:
            if any(place.table == "test-changes" for place in places) and not double.to_come:
                act(double, places)

        double.after_each = within
        operation(client)
        assert double.transactions


def check_all(devices: list[Device], there: dict[str, Entry]) -> None:
    for device in devices:
        assert device.finish() == there


def meet_parts(client: Client, name: str, before: list[Mirror], limits: Sequence[int]) -> None:
    def act(double: Torn, places: list[Place]) -> None:
        there = stored(client)
        for part in parts(places):
            devices = [Device(client, mirror.copy(), limit) for mirror in before for limit in limits]
            double.hide(part)
            for device in devices:
                while device.page():
                    pass
            double.come(part)
            check_all(devices, there)

    each_transaction(client, OPERATIONS[name], act)


@pytest.mark.parametrize("name", ["create", "edit", "complete", "purge"])
def test_a_device_that_meets_a_part_of_a_transaction_misses_nothing(lives: Client, name: str) -> None:
    meet_parts(lives, name, list(mirrors(lives))[-1:], [100])


@pytest.mark.check
@pytest.mark.parametrize("name", OPERATIONS)
def test_devices_that_meet_a_part_of_a_transaction_miss_nothing(lives: Client, name: str) -> None:
    meet_parts(lives, name, list(mirrors(lives)), [2, 100])


@pytest.mark.check
@pytest.mark.parametrize("limit", [1, 100])
@pytest.mark.parametrize("name", OPERATIONS)
def test_whatever_the_order_in_which_its_items_come(lives: Client, name: str, limit: int) -> None:
    """A page between any two of them: more than one page is what the test above asks for."""
    before = list(mirrors(lives))[1:]

    def act(double: Torn, places: list[Place]) -> None:
        there = stored(lives)
        for order in orders(places):
            devices = [Device(lives, mirror.copy(), limit) for mirror in before]
            double.hide(order)
            for place in order:
                for device in devices:
                    device.page()
                double.come([place])
            check_all(devices, there)

    each_transaction(lives, OPERATIONS[name], act)


@pytest.mark.check
@pytest.mark.parametrize("first", ["create", "edit", "trash", "purge"])
def test_a_later_change_is_not_told_before_an_earlier_one(lives: Client, first: str) -> None:
    """The ledger is there, all else of the first transaction is not, and the next one has begun and ended."""
    before = list(mirrors(lives))[-1:]
    with torn() as double:

        def within(places: list[Place]) -> None:
            if not double.to_come and any(place.table == "test-changes" for place in places):
                late = [place for place in places if "version" not in place.key or place.key["version"]["N"] != "0"]
                double.hide(late)
                assert lives.patch(path_of(lives, BINNED), {"name": "Later"}).status in (200, 404)
                assert lives.create(b"later" + str(len(double.transactions)).encode()).status == 201
                for part in parts(late):
                    devices = [Device(lives, mirror.copy(), limit) for mirror in before for limit in (1, 100)]
                    double.come([place for place in late if place not in part])
                    for device in devices:
                        while device.page():
                            pass
                    double.come(part)
                    check_all(devices, stored(lives))
                    double.hide(late)
                double.come(late)

        double.after_each = within
        OPERATIONS[first](lives)


@pytest.mark.parametrize("name", ["create", "edit", "purge"])
def test_an_export_beside_it_leaves_nothing_out(lives: Client, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was acknowledged before is all in it; what is under way may be."""
    monkeypatch.setattr("recordings.changes.export.PAGE", 1)
    acknowledged = stored(lives).keys()

    def act(double: Torn, places: list[Place]) -> None:
        after = stored(lives).keys()
        for part in parts(places):
            double.hide(part)
            rows, cursor = set(), ""
            while cursor is not None:
                answer = lives.get(f"accounts/me/export/?cursor={cursor}")
                if answer.status == 503:
                    double.come(part)
                    continue
                rows |= {row["id"] for row in answer.json["recordings"]}
                cursor = answer.json["next_cursor"]
            double.come(part)
            assert acknowledged & after <= rows <= acknowledged | after

    each_transaction(lives, OPERATIONS[name], act)


def test_what_is_under_way_is_waited_for(lives: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment is all that it takes: nobody needs to hear of it."""
    device = Device(lives, list(mirrors(lives))[-1], 100)
    with torn() as double:
        lives.create(NEW)
        (places,) = double.transactions
        monkeypatch.setattr(following, "PATIENCE", 60.0)
        double.hide([place for place in places if place.table == "test-recordings"])
        monkeypatch.setattr("aws.retry.time.sleep", lambda seconds: double.come(places))
        assert device.finish() == stored(lives)


def test_an_old_change_costs_no_look_at_what_is_under_way(lives: Client) -> None:
    """Of what is older than anything under way, a page tells at once, gaps and all."""
    long_ago = "2020-01-01T00:00:00.000Z"
    for id in stored(lives):
        Recording(RecordingId(id), lives.user_id).update([Recording.updated_at.set(long_ago)])
    with calls() as sent:
        assert lives.get("recordings/changes/").status == 200
    assert sent == ["GetItem", "Query", "BatchGetItem"]
    lives.patch(path_of(lives, OLD), {"name": "New"})
    lives.patch(path_of(lives, OLD), {"name": "Newer"})
    with calls() as sent:
        assert lives.get("recordings/changes/").status == 200
    assert sent == ["GetItem", "Query", "BatchGetItem", "TransactGetItems"]


def test_a_page_is_as_long_as_one_look_reaches(lives: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "ASKED", 4)
    for number in range(6):
        lives.record(b"%d" % number)
    device = Device(lives, Mirror(), 100)
    more, pages = True, 0
    while more:
        with calls() as sent:
            more = device.page()
        pages += 1
        assert sent.count("TransactGetItems") <= 1
    assert pages > 2
    assert device.finish() == stored(lives)


def test_one_wide_gap_is_looked_at_in_one_page(lives: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "ASKED", 4)
    for number in range(12):
        lives.patch(path_of(lives, OLD), {"name": f"{number}"})
    device = Device(lives, list(mirrors(lives))[-1], 1)
    for number in range(12):
        lives.patch(path_of(lives, OLD), {"name": f"{number} again"})
    with calls() as sent:
        device.finish()
    assert sent.count("TransactGetItems") == 4  # of 11 gaps, 3 at a time


def test_rows_of_different_moments_end_no_device(lives: Client) -> None:
    """They are waited for as long as they are young. A change that came back without its recording is never told as
    deleted: a device may have the only copy.
    """
    there = stored(lives)
    old, binned = kept(lives.user_id, path_of(lives, OLD).split("/")[1]), path_of(lives, BINNED).split("/")[1]
    kept(lives.user_id, binned).delete()
    Recording(old.id, lives.user_id).update([Recording.version.set(0)])
    waiting = lives.get("recordings/changes/").json
    assert (waiting["changes"], waiting["has_more"]) == ([], False)
    for note in Change.all_of(lives.user_id):
        note.update([Change.made_at.set(note.made_at - int(following.SETTLED))])
    mirror = Mirror()
    mirror.follow(lives, 100)
    assert mirror.rows.keys() == there.keys() - {binned}
    assert mirror.rows[old.id]["version"] == 0
    assert {row.recording_id for row in Change.all_of(lives.user_id)} == set(there)


@pytest.mark.check
@pytest.mark.parametrize("name", ["create", "edit", "trash", "purge"])
def test_verify_storage_leaves_alone_what_is_under_way(lives: Client, name: str) -> None:
    def act(double: Torn, places: list[Place]) -> None:
        for part in parts(places):
            double.hide(part)
            assert verify("--repair") == []
            double.come(part)

    each_transaction(lives, OPERATIONS[name], act)
