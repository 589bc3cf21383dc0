"""PATCH recordings/{id}/: name, tags, notes, favorite."""

from typing import Any

import pytest

from tests.client import Client
from tests.state import changes, check_books, kept, ledger, meanwhile, objects, snapshot

AUDIO = b"RIFF, more or less"


@pytest.mark.parametrize(
    "values",
    [
        {"name": "새 이름 🎧"},
        {"name": "../../etc/passwd"},
        {"name": "x" * 255},
        {"tags": ["b", "a"]},
        {"tags": []},
        {"tags": [f"{number}" for number in range(20)]},
        {"notes": "one\n  two \x07 "},
        {"notes": "x" * 4000},
        {"notes": ""},
        {"favorite": True},
        {"name": "n", "tags": ["t"], "notes": "n", "favorite": True},
    ],
)
def test_sets_what_is_given_and_nothing_else(alice: Client, values: dict[str, Any]) -> None:
    recording = alice.record(AUDIO, tags=["old"], notes="old")
    answer = alice.patch(f"recordings/{recording['id']}/", values)
    stored = kept(alice.user_id, recording["id"])
    assert answer.status == 200
    assert answer.json == recording | values | {"updated_at": stored.updated_at, "version": 3}
    assert answer.json == {name: getattr(stored, name) for name in recording}
    assert stored.updated_at >= recording["updated_at"]
    assert changes(alice.user_id) == {stored.id: (3, False)}
    assert objects() == {stored.key: AUDIO}
    check_books(alice.user_id)


def test_keeps_tags_in_order_without_repeats(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    assert alice.patch(f"recordings/{id}/", {"tags": ["b", "a", " b ", "a"]}).json["tags"] == ["b", "a"]


@pytest.mark.parametrize("values", [{}, {"name": "Talk.wav", "tags": [], "favorite": False}])
def test_what_is_so_already_changes_nothing(alice: Client, values: dict[str, Any]) -> None:
    recording = alice.record(AUDIO)
    before = snapshot()
    answer = alice.patch(f"recordings/{recording['id']}/", values)
    assert (answer.status, answer.json) == (200, recording)
    assert snapshot() == before


def test_works_on_every_shelf(alice: Client) -> None:
    trashed, uploading = alice.record(AUDIO)["id"], alice.create(b"other").json["recording"]["id"]
    alice.delete(f"recordings/{trashed}/")
    for id, shelf in ((trashed, "trash"), (uploading, "uploading")):
        before = kept(alice.user_id, id)
        assert alice.patch(f"recordings/{id}/", {"name": "new"}).status == 200
        stored = kept(alice.user_id, id)
        assert (stored.shelf, stored.due_at, stored.name) == (before.shelf, before.due_at, "new")
        assert alice.get(f"recordings/?shelf={shelf}").json["results"][0]["name"] == "new"


def test_two_at_once_both_count(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    with meanwhile("TransactWriteItems", lambda: alice.patch(f"recordings/{id}/", {"notes": "hers", "name": "hers"})):
        answer = alice.patch(f"recordings/{id}/", {"name": "last"})
    stored = kept(alice.user_id, id)
    assert (answer.json["name"], answer.json["notes"], answer.json["version"]) == ("last", "hers", 4)
    assert (stored.name, stored.notes, stored.version) == ("last", "hers", 4)
    check_books(alice.user_id)


def test_a_change_between_its_two_reads_is_not_overwritten(alice: Client) -> None:
    """The recording as it was, and the ledger as it is: without its own condition a change row would be left over."""
    id = alice.record(AUDIO)["id"]
    with meanwhile("GetItem", lambda: alice.patch(f"recordings/{id}/", {"name": "hers", "notes": "hers"}), nth=3):
        answer = alice.patch(f"recordings/{id}/", {"name": "last"})
    assert (answer.json["name"], answer.json["notes"]) == ("last", "hers")
    check_books(alice.user_id)


def test_a_change_to_another_recording_does_not_stand_in_the_way(alice: Client) -> None:
    one, two = alice.record(AUDIO)["id"], alice.record(b"other")["id"]
    with meanwhile("TransactWriteItems", lambda: alice.patch(f"recordings/{two}/", {"name": "two"})):
        assert alice.patch(f"recordings/{one}/", {"name": "one"}).json["version"] == 6
    assert changes(alice.user_id) == {one: (6, False), two: (5, False)}
    assert ledger(alice.user_id).last_version == 6


def test_purged_meanwhile_is_not_found_and_stays_gone(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    with meanwhile("TransactWriteItems", lambda: alice.delete(f"recordings/{id}/?permanent=true")):
        assert alice.patch(f"recordings/{id}/", {"name": "new"}).status == 404
    assert changes(alice.user_id) == {id: (3, True)}
    check_books(alice.user_id)
