"""The way out: trash, restore, purge, empty the trash."""

import time
from contextlib import ExitStack
from functools import partial
from types import SimpleNamespace

import pytest

from lib.clock import days_from_now, now
from operations.sweep import sweep
from recordings.models import Change, Recording
from recordings.trash import finish_purge
from tests.client import Client, send
from tests.state import (
    calls,
    changes,
    check_books,
    failing,
    kept,
    ledger,
    meanwhile,
    objects,
    row,
    snapshot,
    work,
)

AUDIO = b"RIFF, more or less"


def trash(client: Client, id: str) -> None:
    assert client.delete(f"recordings/{id}/").status == 204


def purge(client: Client, id: str) -> None:
    assert client.delete(f"recordings/{id}/?permanent=true").status == 204


def test_trash_keeps_everything_for_thirty_days(alice: Client) -> None:
    recording = alice.record(AUDIO)
    answer = alice.delete(f"recordings/{recording['id']}/")
    stored = kept(alice.user_id, recording["id"])
    assert (answer.status, answer.content) == (204, b"")
    assert (stored.status, stored.shelf) == ("ready", f"{alice.user_id}#trash")
    assert stored.trashed_at is not None
    assert stored.due_at is not None
    assert days_from_now(29.9) < stored.due_at < days_from_now(30.1)
    assert changes(alice.user_id) == {stored.id: (3, False)}
    assert objects() == {stored.key: AUDIO}
    assert ledger(alice.user_id).used_bytes == len(AUDIO)
    assert alice.get(f"recordings/{stored.id}/").json == recording | {
        "markers": [],
        "trashed_at": stored.trashed_at,
        "updated_at": stored.updated_at,
        "version": 3,
    }
    check_books(alice.user_id)


def test_trash_again_changes_nothing(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    trash(alice, id)
    before = snapshot()
    trash(alice, id)
    assert snapshot() == before


def test_restore_puts_it_back(alice: Client) -> None:
    recording = alice.record(AUDIO)
    trash(alice, recording["id"])
    answer = alice.post(f"recordings/{recording['id']}/restore/")
    stored = kept(alice.user_id, recording["id"])
    assert answer.status == 200
    assert answer.json == recording | {"updated_at": stored.updated_at, "version": 4}
    assert stored.trashed_at is None
    assert stored.due_at is not None
    assert stored.due_at < days_from_now(1)  # to be heard, and not purged
    assert stored.shelf == f"{alice.user_id}#library"
    assert objects() == {stored.key: AUDIO}
    check_books(alice.user_id)


@pytest.mark.parametrize("shelf", ["library", "uploading"])
def test_restore_of_what_is_not_in_the_trash_changes_nothing(alice: Client, shelf: str) -> None:
    recording = alice.record(AUDIO) if shelf == "library" else alice.create(AUDIO).json["recording"]
    before = snapshot()
    answer = alice.post(f"recordings/{recording['id']}/restore/")
    assert (answer.status, answer.json) == (200, recording)
    assert snapshot() == before


@pytest.mark.parametrize("shelf", ["library", "trash"])
def test_purge_leaves_a_tombstone_and_nothing_else(alice: Client, shelf: str) -> None:
    id = alice.record(AUDIO)["id"]
    if shelf == "trash":
        trash(alice, id)
    version = ledger(alice.user_id).last_version + 1
    purge(alice, id)
    assert row(alice.user_id, id) is None
    assert objects() == {}
    assert ledger(alice.user_id).used_bytes == 0
    assert changes(alice.user_id) == {id: (version, True)}
    tombstone = Change.get(alice.user_id, version)
    assert tombstone.expires_at is not None
    assert 99.9 * 86400 < tombstone.expires_at - time.time() < 100.1 * 86400
    for path in ("", "download/"):
        assert alice.get(f"recordings/{id}/{path}").status == 404
    assert alice.delete(f"recordings/{id}/?permanent=true").status == 404
    check_books(alice.user_id)


def test_an_upload_is_purged_at_once(alice: Client) -> None:
    created = alice.create(AUDIO).json
    send(created["upload"], AUDIO)
    trash(alice, created["recording"]["id"])
    assert row(alice.user_id, created["recording"]["id"]) is None
    assert objects() == {}
    assert ledger(alice.user_id).used_bytes == 0
    check_books(alice.user_id)


def test_purge_takes_the_objects_of_earlier_attempts_along(alice: Client) -> None:
    first = alice.create(AUDIO, size=5).json
    assert send(first["upload"] | {"headers": {}}, b"12345").status_code == 200
    with failing("DeleteObject"):
        second = alice.create(AUDIO).json
    send(second["upload"], AUDIO)
    assert len(objects()) == 2
    purge(alice, second["recording"]["id"])
    assert objects() == {}


def test_the_same_content_can_come_again_after_a_purge(alice: Client) -> None:
    old = alice.record(AUDIO)
    stored = kept(alice.user_id, old["id"])
    purge(alice, old["id"])
    new = alice.record(AUDIO)
    assert new["id"] == old["id"]
    assert kept(alice.user_id, new["id"]).attempt != stored.attempt
    assert changes(alice.user_id) == {new["id"]: (new["version"], False)}
    check_books(alice.user_id)


def test_an_object_goes_only_after_the_row_has_let_go_of_it(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    key = kept(alice.user_id, id).key
    with failing("TransactWriteItems"):
        assert alice.delete(f"recordings/{id}/?permanent=true").status == 503
    assert objects() == {key: AUDIO}
    assert kept(alice.user_id, id).status == "ready"
    with calls() as sent:
        purge(alice, id)
    assert sent == [
        *["GetItem"] * 3,  # the key, the recording, the ledger
        "TransactWriteItems",
        "GetItem",
        "DeleteObject",
        "TransactWriteItems",
    ]


@pytest.mark.parametrize("operation", ["DeleteObject", "TransactWriteItems"])
def test_what_fails_half_way_is_gone_for_everybody_and_left_to_the_sweep(alice: Client, operation: str) -> None:
    id = alice.record(AUDIO)["id"]
    with ExitStack() as stack:
        if operation == "DeleteObject":
            stack.enter_context(failing(operation))
        else:  # the second transaction, after the object
            fail = partial(stack.enter_context, failing(operation))
            stack.enter_context(meanwhile("DeleteObject", fail))
        purge(alice, id)
    stored = kept(alice.user_id, id)
    assert (stored.status, stored.shelf) == ("purging", None)
    assert stored.due_at is not None
    assert stored.due_at <= now()
    assert alice.get(f"recordings/{id}/").status == 404
    assert alice.shelf() == []
    assert ledger(alice.user_id).used_bytes == len(AUDIO)  # they are not back before the object is gone
    check_books(alice.user_id)


def test_restored_meanwhile_the_object_stays(alice: Client) -> None:
    """Purge and restore at once: whichever comes first, a `ready` row has its object."""
    id = alice.record(AUDIO)["id"]
    trash(alice, id)
    with meanwhile("TransactWriteItems", lambda: alice.post(f"recordings/{id}/restore/")):
        purge(alice, id)  # the last word
    assert row(alice.user_id, id) is None
    id = alice.record(AUDIO)["id"]
    trash(alice, id)
    with meanwhile("TransactWriteItems", lambda: purge(alice, id)):
        assert alice.post(f"recordings/{id}/restore/").status == 404
    assert row(alice.user_id, id) is None
    assert objects() == {}
    check_books(alice.user_id)


def test_two_purges_at_once_give_the_bytes_back_once(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    other = alice.record(b"stays")["id"]
    with meanwhile("DeleteObject", lambda: finish_purge(alice.user_id, id)):
        purge(alice, id)
    assert ledger(alice.user_id).used_bytes == len(b"stays")
    assert alice.shelf() == [other]
    check_books(alice.user_id)


def test_empty_trash_takes_the_trash_and_nothing_else(alice: Client, charlie: Client) -> None:
    stays, uploading = alice.record(b"stays")["id"], alice.create(b"uploading").json["recording"]["id"]
    gone = [alice.record(b"%d" % number)["id"] for number in range(3)]
    his = charlie.record(AUDIO)["id"]
    for id in gone:
        trash(alice, id)
    trash(charlie, his)
    answer = alice.delete("recordings/?shelf=trash")
    assert (answer.status, answer.content) == (202, b"")
    assert [row(alice.user_id, id) for id in gone] == [None] * 3
    assert alice.shelf("trash") == []
    assert (alice.shelf(), alice.shelf("uploading")) == ([stays], [uploading])
    assert charlie.shelf("trash") == [his]
    assert sorted(objects().values()) == sorted([b"stays", AUDIO])
    check_books(alice.user_id)


def test_an_empty_trash_can_be_emptied(alice: Client) -> None:
    assert alice.delete("recordings/?shelf=trash").status == 202


def test_emptying_spares_what_was_trashed_after_the_order(alice: Client) -> None:
    early, late = alice.record(b"early")["id"], alice.record(b"late")["id"]
    trash(alice, early)
    with meanwhile("Query", lambda: trash(alice, late)):
        alice.delete("recordings/?shelf=trash")
    assert alice.shelf("trash") == [late]
    assert row(alice.user_id, early) is None
    assert sweep()["emptied"] == 1
    assert alice.shelf("trash") == [late]


def trash_by(monkeypatch: pytest.MonkeyPatch, client: Client, id: str, *, hours: float) -> None:
    """On a server whose clock is so many hours ahead."""
    with monkeypatch.context() as patch:
        patch.setattr("recordings.trash.now", lambda: days_from_now(hours / 24))
        trash(client, id)


def test_emptying_asks_no_servers_clock(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one that is ahead has trashed before goes, what one that is behind has trashed afterwards stays."""
    early, late = alice.record(b"early")["id"], alice.record(b"late")["id"]
    trash_by(monkeypatch, alice, early, hours=1)
    with meanwhile("Query", lambda: trash_by(monkeypatch, alice, late, hours=-1)):
        assert alice.delete("recordings/?shelf=trash").status == 202
    assert sweep()["emptied"] == 1
    assert row(alice.user_id, early) is None
    assert kept(alice.user_id, late).status == "ready"
    assert alice.shelf("trash") == [late]


def test_the_end_of_one_order_is_not_the_end_of_another(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers, by whose clocks two orders to empty the trash were given in the same millisecond."""
    moment = now()
    monkeypatch.setattr("recordings.models.due.now", lambda: moment)
    trash(alice, alice.record(b"early")["id"])
    alice.delete("recordings/?shelf=trash")
    late = alice.record(b"late")["id"]

    def order_again() -> None:
        trash(alice, late)
        with failing("Query"):
            assert alice.delete("recordings/?shelf=trash").status == 202

    with meanwhile("TransactWriteItems", order_again):
        assert sweep()["emptied"] == 1
    assert alice.shelf("trash") == [late]
    assert sweep()["emptied"] == 1
    assert alice.shelf("trash") == []


def test_what_an_earlier_version_has_trashed_goes_by_the_time(alice: Client) -> None:
    early = alice.record(b"early")["id"]
    trash(alice, early)
    Recording(early, alice.user_id).update([Recording.trashed_as.remove()])
    assert alice.delete("recordings/?shelf=trash").status == 202
    assert row(alice.user_id, early) is None


def test_what_is_restored_while_the_trash_is_emptied_stays(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    trash(alice, id)
    with meanwhile("TransactWriteItems", lambda: alice.post(f"recordings/{id}/restore/")):
        assert alice.delete("recordings/?shelf=trash").status == 202
    stored = kept(alice.user_id, id)
    assert (stored.status, stored.trashed_at) == ("ready", None)
    assert objects() == {stored.key: AUDIO}


def test_a_request_leaves_the_rest_of_a_large_trash_to_the_sweep(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        trash(alice, alice.record(b"%d" % number)["id"])
    late = SimpleNamespace(monotonic=lambda: 100.0 if len(objects()) < 3 else 0.0)  # time flies after the first
    with monkeypatch.context() as patch:
        patch.setattr("recordings.trash.time", late)
        assert alice.delete("recordings/?shelf=trash").status == 202
    assert len(alice.shelf("trash")) == 2
    order = work("trash", alice.user_id)
    assert order is not None
    assert order.due_at <= now()
