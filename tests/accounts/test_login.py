"""POST accounts/login/ and GET accounts/providers/, as far as no provider is asked."""

import re
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import ABSOLUTE, SLIDING, Account
from lib.clock import days_from_now
from lib.secrets import hashed
from tests.client import Client, sign_up
from tests.state import ledger, sessions, snapshot, work


def test_a_guest_gets_a_fresh_account(nobody: Client) -> None:
    answer = nobody.post("accounts/login/", {"provider": "guest", "device_name": "  지우의 폰 "})
    user_id, _, secret = answer.json["auth_key"].partition(".")
    account: Any = Account.of(user_id)
    book: Any = ledger(user_id)
    (session,) = sessions(user_id)
    assert (answer.status, answer.headers["Cache-Control"]) == (201, "no-store")
    assert answer.json == {
        "user_id": user_id,
        "auth_key": f"{user_id}.{secret}",
        "session_id": hashed(secret),
        "expires_at": answer.json["expires_at"],
        "is_new": True,
    }
    assert days_from_now(59.9) < answer.json["expires_at"] < days_from_now(60.1)
    assert re.fullmatch("[0-9a-f]{32}", user_id)
    assert re.fullmatch("[A-Za-z0-9_-]{43}", secret)
    assert (account.is_guest, account.name, account.closed_at) == (True, "", None)
    assert (session.auth_key, session.device_name) == (hashed(secret), "지우의 폰")
    assert session.created_at == session.last_seen_at == session.authenticated_at
    assert (book.last_version, book.used_bytes, book.is_guest, book.closed) == (0, 0, True, None)
    order = work("account", user_id)
    assert order is not None
    assert days_from_now(29.9) < order.due_at < days_from_now(30.1)


def test_the_secret_is_stored_nowhere(alice: Client) -> None:
    alice.get("accounts/me/")
    assert alice.auth_key.partition(".")[2] not in repr(snapshot())


def test_each_login_of_a_guest_is_another_account(nobody: Client) -> None:
    one, two = sign_up(), sign_up()
    assert one.user_id != two.user_id
    assert one.auth_key != two.auth_key


def test_device_name_may_be_left_out(nobody: Client) -> None:
    answer = nobody.post("accounts/login/", {"provider": "guest"})
    assert sessions(answer.json["user_id"])[0].device_name == ""


def test_a_key_that_is_sent_along_does_not_matter(alice: Client) -> None:
    assert alice.post("accounts/login/", {"provider": "guest"}).status == 201
    assert alice.post("accounts/login/", {"provider": "guest"}, authorization="Bearer nonsense").status == 201


def test_guests_only_where_they_are_let_in(nobody: Client, settings: Settings) -> None:
    settings.GUEST_LOGIN = False
    answer = nobody.post("accounts/login/", {"provider": "guest"})
    assert (answer.status, answer.pointers) == (400, ["/provider"])
    assert answer.json["errors"][0]["code"] == "unknown_provider"
    assert "guest" not in [entry["provider"] for entry in nobody.get("accounts/providers/").json]


@pytest.mark.parametrize("provider", ["", "Guest", "nonsense", "__class__", "x" * 10_000])
def test_unknown_providers_are_refused(nobody: Client, provider: str) -> None:
    answer = nobody.post("accounts/login/", {"provider": provider})
    assert (answer.status, answer.pointers) == (400, ["/provider"])


def test_providers(nobody: Client) -> None:
    guest = {"provider": "guest", "display_name": "Guest", "kinds": [], "client_ids": [], "web_login": False}
    answer = nobody.get("accounts/providers/")
    assert answer.status == 200
    assert guest in answer.json


def test_a_session_lives_sixty_days_unused_and_a_year_at_most() -> None:
    assert (SLIDING, ABSOLUTE) == (60 * 86400, 365 * 86400)
