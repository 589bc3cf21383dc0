"""What a key that was found or stolen can't do to recordings: purge them, or give them to others for long."""

from collections.abc import Callable

import pytest
from pytest_django.fixtures import Settings

from lib.clock import days_from_now
from tests.accounts.conftest import SignIn
from tests.accounts.test_identities import age
from tests.client import Answer, Client, sign_up
from tests.state import snapshot

Act = Callable[[Client, str], Answer]
ACTS: dict[str, tuple[Act, int]] = {
    "purge": (lambda client, which: client.delete(f"recordings/{which}/?permanent=true"), 204),
    "empty the trash": (lambda client, which: client.delete("recordings/?shelf=trash"), 202),
    "share": (lambda client, which: client.post(f"recordings/{which}/shares/", {}), 201),
    "share for two days": (
        lambda client, which: client.post(f"recordings/{which}/shares/", {"expires_at": days_from_now(2)}),
        201,
    ),
}


def two(client: Client) -> str:
    """One recording in the trash, and the id of one in the library."""
    client.delete(f"recordings/{client.record(b'trashed')['id']}/")
    id: str = client.record(b"a talk")["id"]
    return id


@pytest.mark.parametrize("name", ACTS)
def test_a_stolen_key_purges_nothing(sign_in: SignIn, name: str) -> None:
    act, status = ACTS[name]
    alice = sign_in("alice")
    id = two(alice)
    age(alice)
    before = snapshot()
    answer = act(alice, id)
    assert (answer.status, answer.code) == (403, "reauthentication_required")
    assert snapshot() == before
    assert act(sign_in("alice"), id).status == status


@pytest.mark.parametrize("name", ACTS)
def test_a_guests_key_is_all_that_it_has(name: str) -> None:
    act, status = ACTS[name]
    guest = sign_up()
    id = two(guest)
    age(guest, minutes=60 * 24)
    assert act(guest, id).status == status


@pytest.mark.parametrize("name", ACTS)
def test_the_old_way_for_one_version(sign_in: SignIn, settings: Settings, name: str) -> None:
    settings.REQUIRE_RECENT_LOGIN = False
    act, status = ACTS[name]
    alice = sign_in("alice")
    id = two(alice)
    age(alice)
    assert act(alice, id).status == status
    assert alice.post("accounts/feeds/", {}).code == "reauthentication_required"  # as before


def test_what_can_be_taken_back_needs_nothing(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    id = two(alice)
    uploading = alice.create(b"under way").json["recording"]["id"]
    age(alice)
    assert alice.post(f"recordings/{id}/shares/", {"expires_at": days_from_now(1)}).status == 201
    assert alice.delete(f"recordings/{id}/").status == 204
    assert alice.post(f"recordings/{id}/restore/").status == 200
    assert alice.delete(f"recordings/{uploading}/").status == 204


def test_a_stranger_learns_nothing_from_the_refusal(sign_in: SignIn) -> None:
    alice, bob = sign_in("alice"), sign_in("bob")
    id = two(alice)
    age(bob)
    for act, _ in ACTS.values():
        there, missing = act(bob, id), act(bob, "0" * 32)
        assert there.json | {"request_id": ""} == missing.json | {"request_id": ""}
