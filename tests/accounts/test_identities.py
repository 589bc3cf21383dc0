"""Several logins for one account, and who may change them."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from accounts import login as logins
from accounts import services, transactions
from accounts.authentication import COOKIE
from accounts.models import Account, Identity, Session
from lib.clock import days_from_now
from recordings.models import Ledger, Work
from tests.accounts.conftest import SignIn, client_of, id_token, login
from tests.accounts.test_sessions import another_device
from tests.client import HOST, Answer, Client, sign_up
from tests.state import calls


def link(client: Client, subject: str, **fields: Any) -> Answer:
    return client.post("accounts/identities/", {"provider": "corp", "id_token": id_token(subject), **fields})


def identities(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("accounts/identities/").json["results"]
    return found


def age(client: Client, minutes: int = 11) -> None:
    """Let the client's login be some minutes old."""
    session = Session.find(client.user_id, client.session_id)
    assert session
    session.update([Session.authenticated_at.set(days_from_now(-minutes / 1440))])


def in_between(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, act: Callable[[], object]) -> None:
    """Let `act` happen once, right before the write `name`: somebody else is faster."""
    real, acts = getattr(module, name), [act]

    def delayed(*args: Any, **kwargs: Any) -> Any:
        if acts:
            acts.pop()()
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, delayed)


def test_two_first_logins_at_once_make_one_account(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    others: list[Client] = []
    in_between(monkeypatch, logins, "sign_up", lambda: others.append(sign_in("alice")))
    answer = login("corp", id_token=id_token("alice"))
    assert (answer.status, answer.json["is_new"]) == (200, False)
    assert answer.json["user_id"] == others[0].user_id
    assert others[0].get("accounts/me/").status == client_of(answer).get("accounts/me/").status == 200
    assert Account.count() == 1 + 1 + 2 + 2  # account, identity, sessions, used tokens: no second account


def test_one_token_posted_twice_at_once_counts_once(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    token = id_token("alice")
    sign_in("alice")
    in_between(monkeypatch, logins, "enter", lambda: login("corp", id_token=token))
    assert login("corp", id_token=token).code == "invalid_credential"


def test_a_guest_becomes_a_full_account_and_keeps_the_recordings(sign_in: SignIn, alice: Client) -> None:
    kept = alice.record(b"a talk")
    answer = link(alice, "alice")
    assert answer.status == 201
    me = alice.get("accounts/me/").json
    assert (me["is_guest"], me["expires_at"], me["quota_bytes"]) == (False, None, settings.QUOTA_BYTES)
    assert Work.find(f"account:{alice.user_id}", alice.user_id) is None  # or the sweep would close it
    phone = sign_in("alice")
    assert phone.user_id == alice.user_id
    assert phone.shelf() == [kept["id"]]
    assert not Ledger.get(alice.user_id, 0).is_guest


def test_a_guests_key_ends_when_the_one_that_linking_gave_is_used(sign_in: SignIn, alice: Client) -> None:
    answer = link(alice, "alice")
    assert (answer.status, answer.headers["Cache-Control"]) == (201, "no-store")
    given = answer.json["session"]
    assert set(given) == {"auth_key", "session_id", "expires_at"}
    before, after = Session.find(alice.user_id, alice.session_id), Session.find(alice.user_id, given["session_id"])
    assert before
    assert after
    assert (after.device_name, after.replaces) == ("Alice's phone", alice.session_id)
    assert 3500 < before.expires_at - time.time() <= 3600
    assert alice.get("accounts/me/").status == 200  # the answer may not have arrived
    with calls() as made:
        new = Client(given["auth_key"], alice.user_id, given["session_id"])
        assert new.get("accounts/me/").status == 200
    assert made == ["GetItem", "DeleteItem", "UpdateItem", "GetItem", "GetItem"]
    stale = alice.get("accounts/me/")
    assert (stale.status, stale.code) == (401, "invalid_key")
    with calls() as made:
        assert new.get("accounts/me/").status == 200
    assert made == ["GetItem"] * 3
    assert [row.auth_key for row in Session.all_of(alice.user_id)] == [new.session_id]


def test_nothing_moves_the_end_of_a_guests_key_on(sign_in: SignIn, alice: Client) -> None:
    link(alice, "alice")
    session = Session.find(alice.user_id, alice.session_id)
    assert session
    session.update([Session.last_seen_at.set(days_from_now(-1))])  # a new day has begun
    assert alice.get("accounts/me/").status == 200
    session.refresh(consistent_read=True)
    assert session.expires_at <= time.time() + 3600
    session.update([Session.expires_at.set(int(time.time()) - 1)])
    assert alice.get("accounts/me/").status == 401


def test_a_guests_key_that_somebody_else_has_opens_nothing_for_long(sign_in: SignIn, alice: Client) -> None:
    """While it lives on it is no proof of a login, even where the guest signed up a moment ago."""
    link(alice, "alice")
    thief = Client(alice.auth_key, alice.user_id, alice.session_id)
    for answer in (
        link(thief, "thief"),
        thief.post("accounts/feeds/", {}),
        thief.delete("accounts/sessions/?scope=others"),
        thief.delete("accounts/me/"),
    ):
        assert (answer.status, answer.code) == (403, "reauthentication_required")


def test_linking_ends_a_guests_other_sessions_and_feeds(sign_in: SignIn, alice: Client) -> None:
    other = another_device(alice, "Tablet")
    feed = other.post("accounts/feeds/", {}).json
    mine = alice.post("accounts/feeds/", {}).json
    answer = link(alice, "alice")
    assert answer.status == 201
    new = Client(answer.json["session"]["auth_key"])
    assert other.get("accounts/me/").status == 401
    assert new.get("accounts/feeds/").json["results"] == []
    for each in (feed, mine):
        assert Client().get(urlsplit(each["url"]).path).status == 404


def test_a_second_login_leaves_sessions_and_feeds_alone(sign_in: SignIn) -> None:
    alice, phone = sign_in("alice"), sign_in("alice")
    feed = alice.post("accounts/feeds/", {}).json
    answer = link(alice, "alice at work")
    assert (answer.status, answer.json["session"]) == (201, None)
    assert alice.get("accounts/me/").status == phone.get("accounts/me/").status == 200
    assert [each["id"] for each in alice.get("accounts/feeds/").json["results"]] == [feed["id"]]


def test_linking_that_fails_ends_nothing(sign_in: SignIn, alice: Client) -> None:
    sign_in("charlie")
    other = another_device(alice, "Tablet")
    before = {row.auth_key: row.expires_at for row in Session.all_of(alice.user_id)}
    assert link(alice, "charlie").code == "identity_in_use"
    assert {row.auth_key: row.expires_at for row in Session.all_of(alice.user_id)} == before
    assert other.get("accounts/me/").status == 200


def test_who_signs_out_while_linking_links_nothing(
    sign_in: SignIn, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_between(monkeypatch, transactions, "link", lambda: alice.post("accounts/logout/"))
    answer = link(alice, "alice")
    assert (answer.status, answer.code) == (401, "invalid_key")
    assert Session.all_of(alice.user_id) == []
    assert sign_in("alice").user_id != alice.user_id


def test_a_browsers_cookie_follows(sign_in: SignIn, alice: Client) -> None:
    browser = Client()
    browser.http.cookies[COOKIE] = alice.auth_key
    browser.get("/login/")
    how = {"x_csrftoken": browser.http.cookies["csrftoken"].value, "origin": f"https://{HOST}"}
    answer = browser.post("accounts/identities/", {"provider": "corp", "id_token": id_token("alice")}, **how)
    assert answer.status == 201, answer
    assert browser.http.cookies[COOKIE].value == answer.json["session"]["auth_key"]
    assert browser.get("accounts/me/").json["user_id"] == alice.user_id
    assert alice.get("accounts/me/").status == 401


def test_the_list_shows_what_one_linked(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    added = client_of(login("corp", id_token=id_token("alice"))).post(
        "accounts/identities/", {"provider": "corp", "id_token": id_token("alice at work", email="a@work.test")}
    )
    assert added.status == 201
    first, second = identities(alice)
    assert second | {"session": None} == added.json
    assert (second["provider"], second["email"]) == ("corp", "a@work.test")
    assert first["id"] != second["id"]
    assert "alice" not in first["id"]
    assert sign_in("alice at work").user_id == alice.user_id


def test_linking_again_changes_nothing(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    before = identities(alice)
    answer = link(alice, "alice")
    assert (answer.status, answer.json) == (200, before[0] | {"session": None})
    assert identities(alice) == before


def test_somebody_elses_login_is_409_and_changes_nothing(sign_in: SignIn, alice: Client) -> None:
    charlie = sign_in("charlie")
    token = id_token("charlie")
    answer = alice.post("accounts/identities/", {"provider": "corp", "id_token": token})
    assert (answer.status, answer.code) == (409, "identity_in_use")
    assert alice.get("accounts/me/").json["is_guest"]
    assert identities(alice) == []
    assert login("corp", id_token=token).json["user_id"] == charlie.user_id  # nor is the token burnt


def test_whoever_links_first_has_it(sign_in: SignIn, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    in_between(monkeypatch, transactions, "link", lambda: sign_in("charlie"))
    answer = link(alice, "charlie")
    assert (answer.status, answer.code) == (409, "identity_in_use")
    assert alice.get("accounts/me/").json["is_guest"]


def test_an_unlinked_login_opens_another_account(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    link(alice, "alice at work")
    work = identities(alice)[1]["id"]
    assert alice.delete(f"accounts/identities/{work}/").status == 204
    assert len(identities(alice)) == 1
    assert sign_in("alice at work").user_id != alice.user_id
    assert sign_in("alice").user_id == alice.user_id


def test_the_last_login_stays(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    (only,) = identities(alice)
    answer = alice.delete(f"accounts/identities/{only['id']}/")
    assert (answer.status, answer.code) == (409, "last_identity")
    assert identities(alice) == [only]


def test_two_unlinked_at_once_leave_one(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = sign_in("alice")
    link(alice, "alice at work")
    first, second = (row["id"] for row in identities(alice))
    in_between(monkeypatch, transactions, "unlink", lambda: alice.delete(f"accounts/identities/{first}/"))
    assert alice.delete(f"accounts/identities/{second}/").code == "last_identity"
    assert len(identities(alice)) == 1


def test_a_stranger_unlinks_nothing(sign_in: SignIn) -> None:
    alice, charlie = sign_in("alice"), sign_in("charlie")
    link(alice, "alice at work")
    for row in identities(alice):
        assert charlie.delete(f"accounts/identities/{row['id']}/").status == 404
    assert len(identities(alice)) == 2


def test_at_most_ten_logins(sign_in: SignIn) -> None:
    alice = sign_in("alice 0")
    for number in range(1, 10):
        assert link(alice, f"alice {number}").status == 201
    assert link(alice, "alice 10").code == "too_many_identities"


def test_a_guest_is_nothing_to_link(sign_in: SignIn) -> None:
    answer = sign_in("alice").post("accounts/identities/", {"provider": "guest"})
    assert (answer.status, answer.pointers) == (400, ["/provider"])


@pytest.mark.parametrize(
    "act",
    [
        lambda client: link(client, "mallory"),
        lambda client: client.delete(f"accounts/identities/{identities(client)[0]['id']}/"),
        lambda client: client.delete("accounts/sessions/?scope=others"),
        lambda client: client.delete(f"accounts/sessions/{'0' * 64}/"),
        lambda client: client.delete("accounts/me/"),
        lambda client: client.post("accounts/feeds/", {}),
    ],
)
def test_what_is_dangerous_needs_a_recent_login(sign_in: SignIn, act: Callable[[Client], Answer]) -> None:
    alice, tablet = sign_in("alice"), sign_in("alice")
    age(alice)
    answer = act(alice)
    assert (answer.status, answer.code) == (403, "reauthentication_required")
    assert len(identities(alice)) == 1
    assert alice.get("accounts/feeds/").json["results"] == []
    assert tablet.get("accounts/me/").status == 200
    assert act(sign_in("alice")).code != "reauthentication_required"


def test_a_guests_old_key_does_everything(sign_in: SignIn) -> None:
    acts: list[Callable[[Client], Answer]] = [
        lambda client: link(client, "alice"),
        lambda client: client.post("accounts/feeds/", {}),
        lambda client: client.delete("accounts/me/"),
    ]
    for act in acts:
        guest = sign_up()
        age(guest, minutes=60 * 24)
        assert act(guest).status in (201, 202)


def test_signing_out_this_device_needs_nothing(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    age(alice)
    assert alice.delete(f"accounts/sessions/{alice.session_id}/").status == 204
    assert alice.get("accounts/me/").status == 401


def test_twenty_devices_and_the_oldest_goes(sign_in: SignIn) -> None:
    devices = [sign_in("alice", device_name=f"device {number}") for number in range(20)]
    assert devices[0].get("accounts/me/").status == 200
    last = sign_in("alice")
    assert devices[0].get("accounts/me/").code == "invalid_key"
    assert [each.get("accounts/me/").status for each in [*devices[1:], last]] == [200] * 20
    assert len(last.get("accounts/sessions/").json["results"]) == 20


def test_logins_at_once_keep_to_twenty(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(19):
        sign_in("alice")
    in_between(monkeypatch, logins, "enter", lambda: sign_in("alice"))
    assert len(sign_in("alice").get("accounts/sessions/").json["results"]) == 20


def test_a_closed_accounts_login_begins_anew(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    link(alice, "alice at work")
    alice.record(b"a talk")
    assert alice.delete("accounts/me/").status == 202
    for subject in ("alice", "alice at work"):
        again = sign_in(subject)
        assert again.user_id != alice.user_id
        assert again.shelf() == []


def test_a_login_linked_while_the_account_closes_is_not_left_behind(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = sign_in("alice")
    in_between(monkeypatch, services, "mark_closed", lambda: link(alice, "alice at work"))
    assert alice.delete("accounts/me/").status == 202
    assert Identity.of("identity:corp:alice at work") is None
    assert sign_in("alice at work").user_id != alice.user_id
