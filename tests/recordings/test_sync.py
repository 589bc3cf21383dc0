"""changes/ and check/: what a second device learns, and that it misses nothing."""

import time
from typing import Any

import pytest

from recordings.changes import sync
from recordings.models import Change
from tests.client import Client, declare, sha256


def everything(client: Client, cursor: str = "", limit: int = 100) -> tuple[list[dict[str, Any]], str]:
    """All changes since `cursor`, page by page, and the cursor for next time."""
    entries: list[dict[str, Any]] = []
    more = True
    while more:
        page = client.get(f"recordings/changes/?cursor={cursor}&limit={limit}")
        assert page.status == 200, page
        entries, cursor, more = entries + page.json["changes"], page.json["cursor"], page.json["has_more"]
    return entries, cursor


def test_a_first_sync_is_the_library_in_the_order_of_change(alice: Client) -> None:
    rows = [alice.record(bytes([number]) * 10) for number in range(5)]
    renamed = alice.patch(f"recordings/{rows[0]['id']}/", {"name": "New"}).json
    entries, _ = everything(alice, limit=2)
    assert entries == [*rows[1:], renamed]


def test_only_what_changed_since_comes_again(alice: Client) -> None:
    one, two = alice.record(b"one"), alice.record(b"two")
    _, cursor = everything(alice)
    assert everything(alice, cursor)[0] == []
    alice.delete(f"recordings/{one['id']}/")
    alice.delete(f"recordings/{two['id']}/?permanent=true")
    pending = alice.create(b"three").json["recording"]
    entries, _ = everything(alice, cursor, limit=1)
    assert [entry.get("trashed_at") is not None for entry in entries] == [True, False, False]
    assert entries[1:] == [{"id": two["id"], "deleted": True}, pending]


def test_a_purge_under_way_is_told_as_deleted(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    row = alice.record(b"one")
    monkeypatch.setattr("recordings.trash.finish_purge", lambda *args: None)
    alice.delete(f"recordings/{row['id']}/?permanent=true")
    assert everything(alice)[0] == [{"id": row["id"], "deleted": True}]


def test_a_purged_recording_that_is_uploaded_again_ends_as_living(alice: Client) -> None:
    row = alice.record(b"one")
    _, cursor = everything(alice)
    alice.delete(f"recordings/{row['id']}/?permanent=true")
    again = alice.record(b"one")
    assert again["id"] == row["id"]
    assert everything(alice, cursor)[0][-1] == again


def test_a_tombstone_outlives_every_cursor_that_needs_it(alice: Client) -> None:
    row = alice.record(b"one")
    alice.delete(f"recordings/{row['id']}/?permanent=true")
    tombstone = next(iter(Change.query(alice.user_id, Change.version >= 1)))
    assert tombstone.deleted
    assert tombstone.expires_at
    assert tombstone.expires_at - time.time() > (sync.CURSOR_DAYS + 9) * 86400


@pytest.mark.parametrize(("days", "status"), [(89, 200), (91, 410)])
def test_a_cursor_expires_before_the_tombstones(
    alice: Client, monkeypatch: pytest.MonkeyPatch, days: int, status: int
) -> None:
    _, cursor = everything(alice)
    monkeypatch.setattr("recordings.changes.sync.time", Clock(time.time() + days * 86400))
    answer = alice.get(f"recordings/changes/?cursor={cursor}")
    assert answer.status == status
    assert answer.code == ("cursor_expired" if status == 410 else None)


def test_a_cursor_half_way_is_as_old_as_the_sync_it_belongs_to(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        alice.record(bytes([number]) * 10)
    start = time.time()
    first = alice.get("recordings/changes/?limit=1").json
    assert first["has_more"]
    monkeypatch.setattr("recordings.changes.sync.time", Clock(start + 60 * 86400))
    second = alice.get(f"recordings/changes/?limit=1&cursor={first['cursor']}").json
    assert second["has_more"]
    monkeypatch.setattr("recordings.changes.sync.time", Clock(start + 91 * 86400))
    assert alice.get(f"recordings/changes/?cursor={second['cursor']}").status == 410


class Clock:
    def __init__(self, moment: float) -> None:
        self.moment = moment

    def time(self) -> float:
        return self.moment


def test_a_cursor_is_good_for_its_own_account_and_list_only(alice: Client, charlie: Client) -> None:
    alice.record(b"one")
    _, cursor = everything(alice)
    for client, path in [(charlie, "recordings/changes/"), (alice, "recordings/")]:
        answer = client.get(f"{path}?cursor={cursor}")
        assert (answer.status, answer.pointers) == (400, ["/cursor"])


def test_check_answers_in_the_order_asked(alice: Client, charlie: Client) -> None:
    ready, trashed = alice.record(b"ready"), alice.record(b"trashed")
    alice.delete(f"recordings/{trashed['id']}/")
    pending = alice.create(b"pending").json["recording"]
    charlie.record(b"somebody else's")
    asked = [sha256(each) for each in (b"nowhere", b"trashed", b"ready", b"pending", b"somebody else's", b"ready")]
    answer = alice.post("recordings/check/", {"sha256": asked})
    assert answer.status == 200
    assert [row["sha256"] for row in answer.json["results"]] == asked
    assert [(row["status"], row["id"]) for row in answer.json["results"]] == [
        ("missing", None),
        ("trashed", trashed["id"]),
        ("ready", ready["id"]),
        ("uploading", pending["id"]),
        ("missing", None),
        ("ready", ready["id"]),
    ]


def test_check_takes_500_and_no_more(alice: Client) -> None:
    asked = [f"{number:064x}" for number in range(501)]
    assert len(alice.post("recordings/check/", {"sha256": asked[:500]}).json["results"]) == 500
    assert alice.post("recordings/check/", {"sha256": asked}).pointers == ["/sha256"]
    assert alice.post("recordings/check/", {"sha256": ["A" * 64]}).status == 400


def test_a_client_that_has_it_gets_304(alice: Client) -> None:
    row = alice.record(b"one")
    for path in (f"recordings/{row['id']}/", "recordings/"):
        tag = alice.get(path).headers["ETag"]
        same = alice.get(path, if_none_match=tag)
        assert (same.status, same.content, same.headers["ETag"]) == (304, b"", tag)
        alice.patch(f"recordings/{row['id']}/", {"notes": tag})
        assert alice.get(path, if_none_match=tag).status == 200


def test_a_change_of_an_older_version_is_refused(alice: Client) -> None:
    row = alice.record(b"one")
    path = f"recordings/{row['id']}/"
    tag = alice.get(path).headers["ETag"]
    renamed = alice.patch(path, {"name": "First"}, if_match=tag)
    assert (renamed.status, renamed.json["name"]) == (200, "First")
    for answer in (alice.patch(path, {"name": "Second"}, if_match=tag), alice.delete(path, if_match=tag)):
        assert (answer.status, answer.code) == (412, "precondition_failed")
    assert alice.get(path).json == renamed.json | {"markers": []}
    assert alice.delete(f"{path}?permanent=true", if_match=renamed.headers["ETag"]).status == 204
    assert alice.patch(path, {"name": "x"}, if_match="*").status == 404


def test_a_strangers_etag_tells_nothing(alice: Client, charlie: Client) -> None:
    row = alice.record(b"one")
    tag = alice.get(f"recordings/{row['id']}/").headers["ETag"]
    assert charlie.get(f"recordings/{row['id']}/", if_none_match=tag).status == 404


def test_declared_again_it_is_one_change(alice: Client) -> None:
    alice.create(b"one")
    alice.post("recordings/", declare(b"one"))
    assert len(everything(alice)[0]) == 1


def test_a_device_without_news_may_check_all_the_same(alice: Client) -> None:
    answer = alice.post("recordings/check/", {"sha256": []})
    assert (answer.status, answer.json) == (200, {"results": []})
