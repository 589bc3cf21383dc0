"""An upload in parts ends: the bucket's rule cuts it off so many days after its beginning, however busy it is."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from aws.bucket import LEFTOVER_DAYS
from lib.clock import days_from_now
from operations.sweep import sweep
from recordings.models import Recording
from tests.client import Client, send, sha256
from tests.recordings.scenes import LONG, PART, make_parts_small
from tests.recordings.test_events import send_parts
from tests.recordings.test_mismatch import LONGER, WRONG, a_mismatch, stored
from tests.recordings.test_overuse import grown_up
from tests.state import check_books, kept, objects, snapshot

AUDIO = b"one PUT"
LARGE = b"0123456789abcdef" * 2
RULE_DAYS = 7 + LEFTOVER_DAYS  # after which the bucket's rule ends a multipart upload


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(LARGE) == LONG == 2 * PART
    make_parts_small(monkeypatch)
    monkeypatch.setattr("tests.recordings.test_events.PART", PART)


def begun(alice: Client, days: float, *, by: str = "created_at") -> Any:
    """An upload in two parts, the first sent, as it stands so many days after its beginning."""
    created = alice.create(LARGE).json
    id = created["recording"]["id"]
    send_part(alice, id, 1)
    row = kept(alice.user_id, id)
    row.update([getattr(Recording, by).set(days_from_now(-days)), Recording.due_at.set(days_from_now(7 - days))])
    return kept(alice.user_id, id)


def send_part(alice: Client, id: str, number: int) -> dict[str, Any]:
    piece = LARGE[(number - 1) * PART : number * PART]
    wanted = {"parts": [{"number": number, "sha256": sha256(piece)}]}
    found: dict[str, Any] = alice.post(f"recordings/{id}/parts/", wanted).json["parts"][0]
    assert send(found, piece).status_code == 200
    return found


@pytest.mark.parametrize("by", ["created_at", "begun_at"])
def test_an_upload_goes_on_until_a_day_before_the_buckets_rule(alice: Client, by: str) -> None:
    row = begun(alice, RULE_DAYS - 1.01, by=by)
    again = alice.create(LARGE)
    assert (again.status, again.json["upload"]["received"]) == (200, [1])
    assert kept(alice.user_id, row.id).upload_id == row.upload_id
    send_part(alice, row.id, 2)
    assert alice.post(f"recordings/{row.id}/complete/").json["status"] == "ready"


@pytest.mark.parametrize("by", ["created_at", "begun_at"])
def test_an_upload_that_the_buckets_rule_would_cut_off_begins_anew(alice: Client, by: str) -> None:
    """However often it was resumed: S3 counts from its beginning."""
    row = begun(alice, RULE_DAYS - 0.99, by=by)
    again = alice.create(LARGE)
    new = kept(alice.user_id, row.id)
    assert (again.status, again.json["upload"]["received"]) == (200, [])
    assert new.attempt != row.attempt
    assert snapshot()["uploads"] == [new.upload_id]  # nothing of the old one is left to be paid for
    assert RULE_DAYS - 0.01 < new.days_left <= RULE_DAYS
    assert days_from_now(6.9) < new.due_at < days_from_now(7.1)
    again = alice.create(LARGE)
    assert kept(alice.user_id, row.id).attempt == new.attempt  # it has all its time
    check_books(alice.user_id)
    for number in (1, 2):
        send_part(alice, row.id, number)
    assert alice.post(f"recordings/{row.id}/complete/").json["status"] == "ready"


def test_new_time_ends_a_day_before_the_buckets_rule(alice: Client) -> None:
    row = begun(alice, 10)
    assert alice.create(LARGE).json["upload"]["received"] == [1]
    due_at = kept(alice.user_id, row.id).due_at
    assert days_from_now(RULE_DAYS - 10 - 1.1) < due_at < days_from_now(RULE_DAYS - 10 - 0.9)
    before = snapshot()
    alice.create(LARGE)
    assert snapshot() == before


def test_what_was_sent_whole_is_completed_before_the_rule(alice: Client) -> None:
    """By the sweep, though nobody has ever said that it is all there."""
    row = begun(alice, RULE_DAYS - 1.01)
    send_part(alice, row.id, 2)
    alice.create(LARGE)
    row = kept(alice.user_id, row.id)
    assert row.due_at < days_from_now(0.1)
    row.update([Recording.due_at.set(days_from_now(-0.01))])
    assert sweep()["completed"] == 1
    assert kept(alice.user_id, row.id).status == "ready"


def test_no_url_of_a_part_outlives_its_upload(alice: Client) -> None:
    row = begun(alice, RULE_DAYS - 0.1)
    part = send_part(alice, row.id, 2)
    query = parse_qs(urlsplit(part["url"]).query)
    assert days_from_now(0.09) < part["expires_at"] < days_from_now(0.1)
    assert int(query["X-Amz-Expires"][0]) <= 0.1 * 86400
    row.update([Recording.created_at.set(days_from_now(-RULE_DAYS))])
    answer = alice.post(f"recordings/{row.id}/parts/", {"parts": [{"number": 2, "sha256": "0" * 64}]})
    assert (answer.status, answer.code) == (409, "not_multipart")
    assert alice.create(LARGE).json["upload"]["received"] == []


def test_one_that_s3_has_left_alone_can_still_be_completed(alice: Client) -> None:
    """S3 acts at a midnight after that, and perhaps later."""
    row = begun(alice, 7)
    send_part(alice, row.id, 2)
    row.update([Recording.created_at.set(days_from_now(-RULE_DAYS - 0.5))])
    assert alice.post(f"recordings/{row.id}/complete/").json["status"] == "ready"


def test_one_put_has_no_such_end(alice: Client) -> None:
    id = alice.create(AUDIO).json["recording"]["id"]
    row = kept(alice.user_id, id)
    row.update([Recording.created_at.set(days_from_now(-100))])
    assert send(alice.create(AUDIO).json["upload"], AUDIO).status_code == 200
    assert kept(alice.user_id, id).attempt == row.attempt


@pytest.mark.parametrize("trashed", [False, True])
def test_the_attempt_of_a_mismatch_begins_anew_too(alice: Client, trashed: bool) -> None:
    old = a_mismatch(alice, LONGER)
    row = stored(alice, alice.create(LONGER))
    send_parts(alice, row.id, LONGER[:PART])
    row.update([Recording.begun_at.set(days_from_now(0.99 - RULE_DAYS))])
    if trashed:
        alice.delete(f"recordings/{row.id}/")
    again = alice.create(LONGER)
    new = stored(alice, again)
    assert again.json["upload"]["received"] == []
    assert new.kept == old.attempt
    assert new.trashed_at is None
    assert new.attempt not in (row.attempt, old.attempt)
    assert snapshot()["uploads"] == [new.upload_id]
    assert objects() == {old.key: WRONG}
    assert days_from_now(6.9) < str(new.due_at) < days_from_now(7.1)
    check_books(alice.user_id)


def test_out_of_the_trash_it_has_no_more_time_than_the_rule_leaves(alice: Client) -> None:
    a_mismatch(alice, LONGER)
    row = stored(alice, alice.create(LONGER))
    alice.delete(f"recordings/{row.id}/")
    row.update([Recording.begun_at.set(days_from_now(2 - RULE_DAYS))])
    assert alice.post(f"recordings/{row.id}/restore/").status == 200
    assert days_from_now(0.9) < kept(alice.user_id, row.id).due_at < days_from_now(1.1)


def test_uppy_begins_anew_too(alice: Client) -> None:
    uppy = grown_up(alice)
    upload = uppy.begin(LARGE).json
    uppy.put(upload, 1, LARGE[:PART])
    row = kept(alice.user_id, upload["key"].split("/")[2])
    row.update([Recording.created_at.set(days_from_now(1.01 - RULE_DAYS))])
    assert uppy.begin(LARGE).json == upload
    row.update([Recording.created_at.set(days_from_now(0.99 - RULE_DAYS))])
    again = uppy.begin(LARGE).json
    assert again["key"] != upload["key"]
    assert uppy.received(again).json == []
    assert snapshot()["uploads"] == [kept(alice.user_id, row.id).upload_id]
    assert uppy.complete(again, uppy.send(again, LARGE, PART)).status == 200
    check_books(alice.user_id)


def test_no_url_of_uppys_outlives_its_upload(alice: Client) -> None:
    uppy = grown_up(alice)
    upload = uppy.begin(LARGE).json
    row = kept(alice.user_id, upload["key"].split("/")[2])
    row.update([Recording.created_at.set(days_from_now(0.1 - RULE_DAYS))])
    signed = uppy.call("GET", upload, "/1").json
    query = parse_qs(urlsplit(signed["url"]).query)
    assert signed["expires"] == int(query["X-Amz-Expires"][0]) <= 0.1 * 86400
    parts = uppy.send(upload, LARGE, PART)
    row.update([Recording.created_at.set(days_from_now(-RULE_DAYS))])
    assert uppy.call("GET", upload, "/1").code == "not_found"
    assert uppy.complete(upload, parts).status == 200
