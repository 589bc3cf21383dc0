"""The quota: checked in code, made binding by the ledger's version."""

from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import Account
from recordings.models import Ledger
from tests.client import Answer, Client
from tests.state import check_books, failing, ledger, meanwhile, snapshot


@pytest.fixture(autouse=True)
def ten_bytes(settings: Settings) -> None:
    settings.GUEST_QUOTA_BYTES = 10
    settings.QUOTA_BYTES = 20


def refused(answer: Answer) -> bool:
    return (answer.status, answer.code) == (409, "quota_exceeded")


def grow_up(alice: Client) -> None:
    """Alice is no guest any more."""
    Account(alice.user_id).update([Account.is_guest.set(False)])
    Ledger(alice.user_id).update([Ledger.is_guest.set(False)])


def test_the_last_byte_fits_and_the_next_does_not(alice: Client) -> None:
    assert alice.upload(b"123456").status == 201
    before = snapshot()
    assert refused(alice.upload(b"12345"))
    answer = alice.create(b"12345")
    assert refused(answer)
    assert answer.json["detail"] == "5 bytes more do not fit; 4 of 10 are free."
    assert snapshot() == before
    assert alice.create(b"1234").status == 201
    assert ledger(alice.user_id).used_bytes == alice.used_bytes() == 10
    assert refused(alice.upload(b"1"))


def test_create_reserves_before_a_byte_is_sent(alice: Client) -> None:
    assert alice.create(b"123456").status == 201
    assert refused(alice.create(b"12345"))


def test_calling_create_again_reserves_nothing_more(alice: Client) -> None:
    for _ in range(3):
        assert alice.create(b"123456").status in (200, 201)
    assert ledger(alice.user_id).used_bytes == 6


@pytest.mark.parametrize(("size", "status", "used"), [(10, 200, 10), (11, 409, 6), (2, 200, 2)])
def test_another_size_moves_the_reservation(alice: Client, size: int, status: int, used: int) -> None:
    alice.create(b"123456")
    assert alice.create(b"123456", size=size).status == status
    assert ledger(alice.user_id).used_bytes == used
    check_books(alice.user_id)


def test_a_full_account_can_still_shrink_send_again_and_restore(alice: Client, settings: Settings) -> None:
    id = alice.record(b"123456")["id"]
    alice.create(b"1234")
    settings.GUEST_QUOTA_BYTES = 1
    assert alice.create(b"1234", size=3).status == 200
    assert alice.upload(b"123456").status == 200
    alice.delete(f"recordings/{id}/")
    assert alice.post(f"recordings/{id}/restore/").status == 200
    assert refused(alice.create(b"x"))


def test_the_trash_counts_until_it_is_purged(alice: Client) -> None:
    id = alice.record(b"123456")["id"]
    alice.delete(f"recordings/{id}/")
    assert refused(alice.upload(b"12345"))
    alice.delete(f"recordings/{id}/?permanent=true")
    assert alice.upload(b"12345").status == 201


def test_bytes_come_back_only_when_the_object_is_gone(alice: Client) -> None:
    id = alice.record(b"123456")["id"]
    with failing("DeleteObject"):
        alice.delete(f"recordings/{id}/?permanent=true")
    assert refused(alice.upload(b"12345"))


def test_who_is_no_guest_has_more(alice: Client) -> None:
    grow_up(alice)
    assert alice.upload(b"x" * 20).status == 201
    assert refused(alice.upload(b"y"))
    assert alice.get("accounts/me/").json["quota_bytes"] == 20


def test_an_operators_quota_counts_more_than_the_default(alice: Client) -> None:
    ledger(alice.user_id).set_quota(12)
    assert alice.upload(b"x" * 12).status == 201
    assert refused(alice.upload(b"y"))
    assert alice.get("accounts/me/").json["quota_bytes"] == 12


@pytest.mark.parametrize("first", [{"name": "other"}, {"size": 4}])
def test_two_at_once_do_not_share_the_last_bytes(alice: Client, first: dict[str, Any]) -> None:
    with meanwhile("TransactWriteItems", lambda: alice.create(b"123456", **first)):
        answer = alice.create(b"abcdef!")
    assert refused(answer)
    assert ledger(alice.user_id).used_bytes == first.get("size", 6)
    check_books(alice.user_id)


def test_each_account_has_its_own(alice: Client, charlie: Client) -> None:
    assert alice.upload(b"x" * 10).status == 201
    assert charlie.upload(b"x" * 10).status == 201
