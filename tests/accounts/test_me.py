"""GET and PATCH accounts/me/."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts.models import Account, Session
from lib.clock import stamp
from recordings.models import Ledger
from tests.client import Client
from tests.state import sessions, snapshot


def test_tells_what_is_known(alice: Client) -> None:
    alice.upload(b"12345")
    alice.create(b"123")
    account, (session,) = Account.of(alice.user_id), sessions(alice.user_id)
    assert account is not None
    answer = alice.get("accounts/me/")
    assert answer.status == 200
    assert answer.json == {
        "user_id": alice.user_id,
        "name": "",
        "email": None,
        "email_verified": None,
        "is_guest": True,
        "created_at": account.created_at,
        "used_bytes": 8,
        "quota_bytes": 200 * 2**20,
        "expires_at": stamp(datetime.fromisoformat(session.last_seen_at) + timedelta(days=30)),
    }


def test_who_is_no_guest_stays(alice: Client) -> None:
    Account(alice.user_id).update([Account.is_guest.set(False), Account.email.set("a@b.test")])
    Ledger(alice.user_id).update([Ledger.is_guest.set(False)])
    answer = alice.get("accounts/me/").json
    assert (answer["is_guest"], answer["email"]) == (False, "a@b.test")
    assert (answer["quota_bytes"], answer["expires_at"]) == (5 * 2**30, None)


@pytest.mark.parametrize("name", ["지우 🎧", "x" * 100, ""])
def test_rename(alice: Client, name: str) -> None:
    before = alice.get("accounts/me/").json
    answer = alice.patch("accounts/me/", {"name": name})
    account = Account.of(alice.user_id)
    assert account is not None
    assert (answer.status, answer.json, account.name) == (200, before | {"name": name}, name)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"name": None}, "/name"),
        ({"name": ["a"]}, "/name"),
        ({"name": "a", "email": "a@b.test"}, "/email"),
        ({"name": "a", "is_guest": False}, "/is_guest"),
        ({"name": "a", "quota_bytes": 2**40}, "/quota_bytes"),
    ],
)
def test_nothing_but_a_name_can_be_set(alice: Client, body: dict[str, Any], pointer: str) -> None:
    before = snapshot()
    answer = alice.patch("accounts/me/", body)
    assert (answer.status, answer.code, answer.pointers) == (400, "invalid", [pointer])
    assert snapshot() == before


def test_a_renamed_account_keeps_its_sessions(alice: Client) -> None:
    alice.patch("accounts/me/", {"name": "new"})
    assert [type(row) for row in sessions(alice.user_id)] == [Session]
    assert alice.get("accounts/me/").status == 200
