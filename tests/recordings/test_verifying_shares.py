"""verify_storage and what shares add: parts that are named are left alone, and what nobody names is found."""

from typing import Any

import pytest

from operations.sweep import sweep
from recordings.models import Excerpt, Recording, Share
from tests.client import Client
from tests.recordings.test_events import tell
from tests.recordings.test_sharing import expire, listed, make, revoke
from tests.recordings.test_verifying import AUDIO, erase, kinds, old, put, verify
from tests.sound import encode, tone
from tests.state import LONG_AGO, check_books, failing, kept, meanwhile, objects, snapshot

__all__ = ["old"]  # the fixture


@pytest.fixture
def row(alice: Client, old: None) -> Recording:
    found: Recording = kept(alice.user_id, alice.upload(encode(tone(3, 8000), "wav, mu-law")).json["id"])
    tell(found.key)
    return found


@pytest.fixture
def made(alice: Client, row: Recording) -> dict[str, Any]:
    return make(alice, row.id, start=1, end=2)


def test_what_is_shared_and_under_way_is_no_difference(alice: Client, row: Recording, made: dict[str, Any]) -> None:
    before = snapshot()
    assert verify("--repair", "--deep") == []
    assert snapshot() == before
    tell(row.order_key(made["id"]))
    before = snapshot()
    assert verify("--repair", "--deep") == []
    assert snapshot() == before
    assert row.excerpt_key(made["id"]) in before["objects"]


@pytest.mark.parametrize("kind", ["m4a", "order"])
def test_what_no_share_names_is_found_and_deleted(
    alice: Client, row: Recording, made: dict[str, Any], kind: str
) -> None:
    tell(row.order_key(made["id"]))
    revoke(alice, row.id, made["id"])
    key = row.key_of(f"{made['id']}.{kind}")
    put(key, AUDIO)
    (found,) = verify()
    assert (found["kind"], found["key"], found["account"], found["recording"]) == (
        *("orphan_object", key),
        *(alice.user_id, row.id),
    )
    assert objects()[key] == AUDIO
    assert kinds("--repair") == [("orphan_object", True)]
    assert set(objects()) == {row.key}
    assert kinds() == []
    check_books(alice.user_id)


def test_parts_of_a_recording_that_is_gone(alice: Client, row: Recording, made: dict[str, Any]) -> None:
    tell(row.order_key(made["id"]))
    key, content = row.excerpt_key(made["id"]), objects()[row.excerpt_key(made["id"])]
    alice.delete(f"recordings/{row.id}/?permanent=true")
    put(key, content)
    assert kinds("--repair") == [("orphan_object", True)]
    assert objects() == {}


def test_a_fresh_one_may_belong_to_somebody_at_work(
    alice: Client, row: Recording, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.fsck.check.GRACE", 3600.0)
    put(row.excerpt_key("0" * 64), AUDIO)
    assert kinds("--repair") == []
    assert row.excerpt_key("0" * 64) in objects()


def test_a_recordings_own_bytes_are_not_sought_among_its_parts(
    alice: Client, row: Recording, made: dict[str, Any]
) -> None:
    """A part is never the recording, however much is missing."""
    tell(row.order_key(made["id"]))
    erase(row.key)
    assert kinds("--repair") == [("missing_object", False)]
    assert kept(alice.user_id, row.id).status == "mismatch"
    assert set(objects()) == {row.excerpt_key(made["id"])}


def test_a_part_that_is_lost_is_cut_again(alice: Client, row: Recording, made: dict[str, Any]) -> None:
    order, key = row.order_key(made["id"]), row.excerpt_key(made["id"])
    tell(order)
    content = objects()[key]
    erase(key)
    (found,) = verify()
    assert (found["kind"], found["key"], found["recording"]) == ("missing_excerpt", key, row.id)
    assert kinds("--repair") == [("missing_excerpt", True)]
    assert listed(alice, row.id)[0]["status"] == "preparing"
    assert kinds() == []
    tell(order)
    assert listed(alice, row.id)[0]["status"] == "ready"
    assert objects()[key] == content
    assert kinds() == []


def test_a_part_that_is_lost_again_and_whose_order_is_too(alice: Client, row: Recording, made: dict[str, Any]) -> None:
    tell(row.order_key(made["id"]))
    erase(row.excerpt_key(made["id"]))
    kinds("--repair")
    erase(row.order_key(made["id"]))
    Excerpt(f"excerpt:{made['id']}", alice.user_id).update([Excerpt.due_at.set(LONG_AGO)])
    assert sweep() == {"cut": 1}
    assert listed(alice, row.id)[0]["status"] == "ready"


def test_a_share_whose_row_is_lost_is_taken_out(alice: Client, row: Recording, made: dict[str, Any]) -> None:
    whole = make(alice, row.id)
    Share(f"share:{made['id']}", "share").delete()
    assert kinds() == [("missing_share", False)]
    assert kinds("--repair") == [("missing_share", True), ("orphan_object", True)]  # its order
    assert [each["id"] for each in kept(alice.user_id, row.id).shares] == [whole["id"]]
    assert sweep() == {"cleared": 1}
    assert set(objects()) == {row.key}
    assert kinds() == []
    check_books(alice.user_id)


def test_one_that_is_revoked_meanwhile_is_no_difference(alice: Client, row: Recording, made: dict[str, Any]) -> None:
    tell(row.order_key(made["id"]))
    with meanwhile("HeadObject", lambda: revoke(alice, row.id, made["id"]), nth=2):
        assert kinds("--repair") == []
    assert kept(alice.user_id, row.id).shares is None


def test_expired_and_closed_ones_are_left_to_who_comes_for_them(
    alice: Client, row: Recording, made: dict[str, Any]
) -> None:
    expire(alice, row.id, made["id"])
    Share(f"share:{made['id']}", "share").delete()
    assert kinds() == []
    make(alice, row.id)
    with failing("ListMultipartUploads"):
        alice.delete("accounts/me/")
    for entry in kept(alice.user_id, row.id).shares:
        Share(f"share:{entry['id']}", "share").delete()
    assert kinds() == []
