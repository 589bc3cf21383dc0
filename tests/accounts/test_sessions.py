"""The devices: GET and DELETE accounts/sessions/, logout, and how long a session lives."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import ABSOLUTE, SLIDING, Account, Feed, Session
from lib.clock import now, stamp
from lib.secrets import hashed, new_token
from tests.client import Client, sign_up
from tests.state import LONG_AGO, calls, failing, meanwhile, sessions, snapshot


def another_device(alice: Client, device_name: str) -> Client:
    secret = new_token()
    session = Session.new(alice.user_id, hashed(secret), device_name=device_name)
    session.save()
    return Client(f"{alice.user_id}.{secret}", alice.user_id, session.auth_key)


def signed_in(alice: Client) -> set[str]:
    return {session.auth_key for session in sessions(alice.user_id)}


def age(client: Client, **days: float) -> None:
    """Move the session's times into the past."""
    moment = {name: stamp(datetime.now(UTC) - timedelta(days=count)) for name, count in days.items()}
    row = Session(client.user_id, client.session_id)
    row.update([getattr(Session, name).set(value) for name, value in moment.items()])


def expire(client: Client) -> None:
    Session(client.user_id, client.session_id).update([Session.expires_at.set(int(time.time()) - 1)])


def test_list_shows_each_device_and_which_one_asks(alice: Client) -> None:
    tablet = another_device(alice, "Tablet")
    age(alice, last_seen_at=0.5 if now()[11:13] > "12" else 0)
    answer = alice.get("accounts/sessions/")
    rows = {row["session_id"]: row for row in answer.json["results"]}
    stored = {row.auth_key: row for row in sessions(alice.user_id)}
    assert answer.status == 200
    assert set(rows) == set(stored) == {alice.session_id, tablet.session_id}
    assert [rows[id]["current"] for id in (alice.session_id, tablet.session_id)] == [True, False]
    for id, row in rows.items():
        assert row == {
            "session_id": id,
            "device_name": stored[id].device_name,
            "created_at": stored[id].created_at,
            "last_seen_at": stored[id].last_seen_at,
            "expires_at": stamp(datetime.fromtimestamp(stored[id].expires_at, UTC)),
            "current": id == alice.session_id,
        }
    assert tablet.auth_key.partition(".")[2] not in answer.content.decode()


def test_list_leaves_out_what_has_expired(alice: Client) -> None:
    """DynamoDB's TTL deletes late."""
    expire(another_device(alice, "Old phone"))
    assert [row["session_id"] for row in alice.get("accounts/sessions/").json["results"]] == [alice.session_id]


def test_logout_ends_this_session_and_no_other(alice: Client) -> None:
    tablet = another_device(alice, "Tablet")
    answer = alice.post("accounts/logout/")
    assert (answer.status, answer.content) == (204, b"")
    assert signed_in(alice) == {tablet.session_id}
    assert alice.get("accounts/me/").status == 401
    assert alice.post("accounts/logout/").status == 401
    assert tablet.get("accounts/me/").status == 200


def test_one_device_signs_another_out(alice: Client) -> None:
    tablet = another_device(alice, "Tablet")
    assert alice.delete(f"accounts/sessions/{tablet.session_id}/").status == 204
    assert signed_in(alice) == {alice.session_id}
    assert tablet.get("accounts/me/").status == 401
    assert alice.delete(f"accounts/sessions/{tablet.session_id}/").status == 404


def test_all_others_are_signed_out(alice: Client, charlie: Client) -> None:
    for name in ("Tablet", "Laptop"):
        another_device(alice, name)
    answer = alice.delete("accounts/sessions/?scope=others")
    assert (answer.status, answer.content) == (204, b"")
    assert signed_in(alice) == {alice.session_id}
    assert charlie.get("accounts/me/").status == 200


def test_the_others_feeds_close_with_them(alice: Client) -> None:
    """A feed's address would outlive the key that made it."""
    tablet = another_device(alice, "Tablet")
    mine, theirs = (client.post("accounts/feeds/", {}).json for client in (alice, tablet))
    old = alice.post("accounts/feeds/", {}).json
    row = Feed.of(old["id"])
    assert row
    row.update([Feed.made_by.remove()])  # of a time when nobody noted that
    assert alice.delete("accounts/sessions/?scope=others").status == 204
    left = [feed["id"] for feed in alice.get("accounts/feeds/").json["results"]]
    assert sorted(left) == sorted([mine["id"], old["id"]])
    assert Feed.of(theirs["id"]) is None


def test_a_session_that_has_ended_makes_no_feed(alice: Client) -> None:
    """Nor does its call that was under way."""
    tablet = another_device(alice, "Tablet")
    with meanwhile("TransactWriteItems", lambda: alice.delete("accounts/sessions/?scope=others")):
        answer = tablet.post("accounts/feeds/", {})
    assert (answer.status, answer.code) == (401, "invalid_key")
    assert alice.get("accounts/feeds/").json["results"] == []


def test_others_must_be_said(alice: Client) -> None:
    another_device(alice, "Tablet")
    before = snapshot()
    for query in ("", "?scope=all", "?scope=", "?scope=others&x=1"):
        answer = alice.delete(f"accounts/sessions/{query}")
        assert (answer.status, answer.pointers) == (400, ["/scope"]), query
    assert snapshot() == before


def test_rows_that_are_no_sessions_cannot_be_ended(alice: Client) -> None:
    before = snapshot()
    for id in ("account", "identity", "0" * 64, alice.session_id.upper(), alice.session_id[:-1], "x" * 5000):
        assert alice.delete(f"accounts/sessions/{id}/").status == 404
    assert snapshot() == before


def test_use_moves_the_end_on_once_a_day(alice: Client) -> None:
    age(alice, last_seen_at=30)
    Session(alice.user_id, alice.session_id).update([Session.expires_at.set(int(time.time()) + 10)])
    assert alice.get("recordings/").status == 200
    (session,) = sessions(alice.user_id)
    assert session.last_seen_at[:10] == now()[:10]
    assert abs(session.expires_at - time.time() - SLIDING) < 60
    before = snapshot()
    assert alice.get("recordings/").status == 200
    assert snapshot() == before


def has_login(client: Client) -> None:
    Account(client.user_id).update([Account.identities.set(["identity:corp:1"]), Account.is_guest.set(False)])


def test_use_does_not_keep_a_session_for_ever(alice: Client) -> None:
    has_login(alice)
    age(alice, created_at=ABSOLUTE / 86400 - 1, last_seen_at=30)
    assert alice.get("recordings/").status == 200
    (session,) = sessions(alice.user_id)
    assert abs(session.expires_at - time.time() - 86400) < 60


@pytest.mark.parametrize("days", [304, 364, 366, 4000])
def test_use_keeps_a_guest_for_ever(days: int) -> None:
    """The key is all that a guest has, and no login gives another."""
    guest = sign_up()
    age(guest, created_at=days, last_seen_at=1.1)
    with calls() as sent:
        assert guest.get("recordings/").status == 200
    (session,) = sessions(guest.user_id)
    assert abs(session.expires_at - time.time() - SLIDING) < 60
    assert sent.count("GetItem") == (1 if days == 304 else 2)  # the account is asked once a day, in its last 60 days


def test_a_guest_who_has_linked_a_login_signs_in_again_after_a_year() -> None:
    guest = sign_up()
    age(guest, created_at=500, last_seen_at=1.1)
    has_login(guest)
    guest.get("recordings/")
    assert guest.get("recordings/").status == 401


def test_use_does_not_bring_an_ended_session_back(alice: Client) -> None:
    tablet = another_device(alice, "Tablet")
    Session(alice.user_id, tablet.session_id).update([Session.last_seen_at.set(LONG_AGO)])
    with meanwhile("UpdateItem", lambda: alice.delete(f"accounts/sessions/{tablet.session_id}/")):
        tablet.get("recordings/")
    assert signed_in(alice) == {alice.session_id}


def test_an_expired_session_is_not_revived(alice: Client) -> None:
    expire(alice)
    before = snapshot()
    assert alice.get("recordings/").status == 401
    assert snapshot() == before


def test_who_cannot_be_checked_is_told_to_come_back() -> None:
    alice = sign_up()
    with failing("GetItem"):
        answer = alice.get("accounts/me/")
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "unavailable", "1")
