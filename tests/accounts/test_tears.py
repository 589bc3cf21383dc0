"""Rows of accounts that came back with a part of a transaction, or each table from another moment: every call answers,
`verify_storage --repair` ends whatever it meets, nobody is locked out, and `carry_over` keeps what was ended so.
"""

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from accounts.models import Account, Feed, Identity, Session
from lib.clock import now
from recordings.models import Ledger
from tests.accounts.conftest import SignIn
from tests.accounts.test_carrying import Restore, carry
from tests.accounts.test_feeds import make, token_of
from tests.accounts.test_identities import identities, link
from tests.accounts.test_sessions import another_device
from tests.client import Client, sign_up
from tests.recordings.test_tears import Past
from tests.recordings.test_verifying import verify
from tests.torn import Place

USERS = "test-users"


class Scene:
    """A member with two logins and two devices, a guest with two devices; each has a recording and a feed."""

    def __init__(self, sign_in: SignIn) -> None:
        self.sign_in = sign_in
        self.member, self.guest = sign_in("home"), sign_up("phone")
        assert link(self.member, "work").status == 201
        self.clients = [self.member, self.guest]
        self.others = [another_device(client, "other") for client in self.clients]
        self.feeds = [make(client) for client in (*self.clients, self.others[0])]
        for client in self.clients:
            client.record(b"mine")

    def unlink(self) -> object:
        (_, work) = identities(self.member)
        return self.member.delete(f"accounts/identities/{work['id']}/")

    def close_feed(self) -> object:
        return self.member.delete(f"accounts/feeds/{self.feeds[0]['id']}/")

    def link_guest(self) -> None:
        session = link(self.guest, "guest").json["session"]
        self.clients.append(Client(session["auth_key"], self.guest.user_id, session["session_id"]))


OPERATIONS: dict[str, Callable[[Scene], object]] = {
    "sign up": lambda scene: scene.sign_in("new"),
    "sign up a guest": lambda scene: sign_up(),
    "sign in": lambda scene: scene.sign_in("work"),
    "sign out": lambda scene: scene.guest.post("accounts/logout/"),
    "sign out others": lambda scene: scene.member.delete("accounts/sessions/?scope=others"),
    "link": lambda scene: link(scene.member, "third"),
    "link a guest": Scene.link_guest,
    "unlink": Scene.unlink,
    "make a feed": lambda scene: make(scene.member),
    "close a feed": Scene.close_feed,
    "close": lambda scene: scene.member.delete("accounts/me/"),
}
ENDING = ("sign out", "sign out others", "link a guest", "unlink", "close a feed", "close")
KINDS = {Identity: "identity", Feed: "feed", Account: "account"}


@pytest.fixture
def scene(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> Scene:
    clock = itertools.count()  # a second a try, and nobody waits
    nobody_waits = SimpleNamespace(monotonic=lambda: float(next(clock)), sleep=lambda seconds: None)
    monkeypatch.setattr("aws.retry.time", nobody_waits)
    return Scene(sign_in)


def past_of(scene: Scene, name: str) -> Past:
    return Past(lambda: OPERATIONS[name](scene), USERS)


def rows(model: type[Any]) -> list[Any]:
    return list(model.scan(model.auth_key == KINDS[model], consistent_read=True))


def check_rows() -> None:
    """Accounts, ledgers, logins and feeds speak of each other."""
    accounts = {row.id: row for row in rows(Account) if not row.closed_at}
    ledgers = {row.user_id: row for row in Ledger.everything() if not row.closed}
    assert accounts.keys() == ledgers.keys()
    assert all(row.is_guest == ledgers[id].is_guest for id, row in accounts.items())
    assert not any(row.is_guest and row.identities for row in accounts.values())
    assert {row.id: row.user_id for row in rows(Identity)} == {
        id: row.id for row in accounts.values() for id in row.identities
    }
    assert {row.public_id for row in rows(Feed)} == {id for row in accounts.values() for id in row.feeds}


def mend() -> None:
    verify("--repair")
    assert verify("--repair") == []
    check_rows()


CALLS: list[tuple[str, str, Any]] = [
    ("GET", "recordings/", None),
    ("GET", "accounts/me/", None),
    ("GET", "accounts/me/export/", None),
    ("GET", "accounts/sessions/", None),
    ("GET", "accounts/identities/", None),
    ("GET", "accounts/feeds/", None),
    ("POST", "recordings/uppy/", None),
    ("PATCH", "accounts/me/", {"name": "Another"}),
    ("POST", "accounts/feeds/", {}),
    ("DELETE", "accounts/sessions/", None),
]


def answers(scene: Scene) -> None:
    for client in (*scene.clients, *scene.others):
        for method, path, body in CALLS:
            check(client.call(method, path, body))
    for feed in scene.feeds:
        check(Client().get(f"/feed/{token_of(feed)}.xml"))
        check(scene.member.delete(f"accounts/feeds/{feed['id']}/"))
    for subject in ("home", "work", "guest"):
        check(link(scene.member, subject))
    for login in identities_of(scene.member):
        check(scene.member.delete(f"accounts/identities/{login['id']}/"))
    for client in (*scene.others, *scene.clients):
        check(client.post("accounts/logout/"))


def identities_of(client: Client) -> list[Any]:
    answer = client.get("accounts/identities/")
    return list(answer.json["results"]) if answer.status == 200 else []


def check(answer: Any) -> None:
    assert answer.status < 500 or (answer.status == 503 and "Retry-After" in answer.headers), answer


def is_in(client: Client) -> bool:
    return len(client.get("recordings/").json.get("results", ())) == 1


@pytest.mark.soak
@pytest.mark.parametrize("name", OPERATIONS)
def test_whatever_a_restore_tears_every_call_answers(scene: Scene, name: str) -> None:
    past = past_of(scene, name)
    for late in past.tears():
        past.come_back(late)
        answers(scene)
        past.undo()


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "close"])
def test_whatever_a_restore_tears_can_be_mended(scene: Scene, name: str) -> None:
    past = past_of(scene, name)
    for late in past.tears():
        past.come_back(late)
        mend()
        ways = (scene.member, scene.others[0]), (*scene.clients[1:], scene.others[1])
        for way in ways:
            assert any(is_in(client) for client in way), late
        past.undo()


class Since(Restore):
    """Tables that came back, and the old ones, which have what has happened since."""

    def __init__(self, past: Past, late: list[Place]) -> None:
        super().__init__()
        past.come_back(late)
        self.then = {name: self.rows(name) for name in self.then}
        past.undo()
        self.bring_back()
        self.moment = now()

    def end(self) -> None:
        for name in self.then:
            self.tables.Table(f"old-{name}").delete()


@pytest.mark.soak
@pytest.mark.parametrize("name", ENDING)
def test_whatever_a_restore_tears_what_was_ended_stays_so(scene: Scene, name: str) -> None:
    past = past_of(scene, name)
    keys = {(row.id, row.auth_key) for row in Session.scan(Session.expires_at.exists()) if len(row.auth_key) == 64}
    logins, feeds = ({row.id for row in rows(model)} for model in (Identity, Feed))
    closed = {row.user_id for row in Ledger.everything() if row.closed}
    for late in past.tears():
        since = Since(past, late)
        carry(since)
        mend()
        living = {(row.id, row.auth_key) for row in Session.scan(Session.expires_at.exists())}
        assert {key for key in living if len(key[1]) == 64} <= keys, late
        assert {row.id for row in rows(Identity)} <= logins, late
        assert {row.id for row in rows(Feed)} <= feeds, late
        assert closed <= {row.user_id for row in Ledger.everything() if row.closed}, late
        since.end()
        past.undo()


def lose(past: Past, kind: str, *, table: str = USERS) -> None:
    """Let the last transaction's item of this kind be as it was before."""
    items = [place for place in past.transactions[-1] if place.table == table]
    past.come_back([place for place in items if place.key.get("auth_key", {"S": kind})["S"] == kind])


@pytest.mark.parametrize("name", ["link", "unlink", "make a feed", "close a feed", "sign up"])
@pytest.mark.parametrize("kind", ["account", "other"])
def test_a_part_of_a_transaction(scene: Scene, name: str, kind: str) -> None:
    past = past_of(scene, name)
    other = "feed" if "feed" in name else "identity"
    lose(past, kind if kind == "account" else other)
    answers_of = scene.member.get("accounts/identities/"), scene.member.get("accounts/feeds/")
    assert [answer.status for answer in answers_of] == [200, 200]
    mend()
    assert is_in(scene.member)


def test_a_feed_that_its_account_does_not_list_opens_nothing(scene: Scene) -> None:
    past = past_of(scene, "close a feed")
    lose(past, "feed")
    assert Client().get(f"/feed/{token_of(scene.feeds[0])}.xml").status == 404


def test_a_login_that_came_back_alone_can_be_linked_again(scene: Scene) -> None:
    past = past_of(scene, "link")
    lose(past, "account")
    assert link(scene.member, "third").status == 201
    assert len(identities(scene.member)) == 3
    assert verify() == []


def test_a_login_that_signed_somebody_else_up_meanwhile_stays_theirs(scene: Scene) -> None:
    past = past_of(scene, "link")
    lose(past, "identity")
    somebody = scene.sign_in("third")
    assert somebody.user_id != scene.member.user_id
    assert len(identities(scene.member)) == 2
    mend()
    assert len(identities(somebody)) == 1
    assert scene.member.delete("accounts/me/").status == 202
    assert len(identities(somebody)) == 1


def test_a_closing_that_came_back_half_is_carried_over(scene: Scene) -> None:
    past = past_of(scene, "close")
    since = Since(past, [place for place in past.transactions[0] if place.table != USERS])
    assert carry(since) == ["closed"]
    assert scene.member.get("recordings/").status == 401
    mend()
