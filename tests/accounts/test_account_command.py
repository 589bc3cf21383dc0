"""manage.py account: what an operator may see and do."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account
from tests.client import Client
from tests.state import failing, ledger, remains, sessions, snapshot


def account(*arguments: str) -> str:
    out = StringIO()
    call_command("account", *arguments, stdout=out)
    return out.getvalue()


def test_shows_it(alice: Client) -> None:
    alice.upload(b"12345", "secret name.wav")
    before = snapshot()
    shown = account(alice.user_id)
    assert f"user_id: {alice.user_id}\n" in shown
    assert "used_bytes: 5\n" in shown
    assert f"quota_bytes: {200 * 2**20}\n" in shown
    assert "secret name" not in shown
    assert snapshot() == before


def test_sets_a_quota(alice: Client) -> None:
    assert "quota_bytes: 7\n" in account(alice.user_id, "--quota", "7")
    assert ledger(alice.user_id).quota_bytes == 7
    assert alice.upload(b"12345678").code == "quota_exceeded"


def test_signs_out_everywhere(alice: Client, charlie: Client) -> None:
    account(alice.user_id, "--sign-out")
    assert sessions(alice.user_id) == []
    assert alice.get("accounts/me/").status == 401
    assert charlie.get("accounts/me/").status == 200


def test_closes_it(alice: Client) -> None:
    alice.upload(b"12345")
    assert "is closed" in account(alice.user_id, "--close")
    assert remains(alice.user_id) == []


def test_a_closed_one_can_only_be_closed_again(alice: Client) -> None:
    with failing("ListObjectVersions"):
        account(alice.user_id, "--close")
    closed = Account.of(alice.user_id)
    assert closed is not None
    assert closed.closed_at
    for option in ([], ["--quota", "7"], ["--sign-out"]):
        with pytest.raises(CommandError, match=closed.closed_at):
            account(alice.user_id, *option)
    account(alice.user_id, "--close")
    assert remains(alice.user_id) == []


@pytest.mark.parametrize("id", ["", "x", "0" * 32, "0" * 33, "identity:guest:1", "../../etc/passwd"])
def test_unknown_accounts(alice: Client, id: str) -> None:
    with pytest.raises(CommandError, match="no such account"):
        account(id, "--close")


@pytest.mark.parametrize("quota", ["0", "-1"])
def test_a_quota_is_above_zero(alice: Client, quota: str) -> None:
    before = snapshot()
    with pytest.raises(CommandError, match="above 0"):
        account(alice.user_id, f"--quota={quota}")
    assert snapshot() == before
