"""Somebody is a subject at an issuer, whatever name the settings give that issuer."""

from io import StringIO
from urllib.parse import quote

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from accounts.models import Account, Identity
from accounts.providers.table import ISSUERS, TABLE, offered
from tests.accounts.conftest import SignIn, client_of, id_token, login, switch_on
from tests.client import Answer, Client
from tests.state import snapshot
from tests.world import World

ISSUER, OTHER = "https://issuer.test", "https://other.test"
ID = f"identity:{quote(ISSUER, safe='')}:alice"


def move_provider(settings: Settings, world: World) -> None:
    """The operator points `corp` at another issuer, which has people of its own."""
    document = {
        "issuer": OTHER,
        "jwks_uri": f"{OTHER}/keys",
        "authorization_endpoint": f"{OTHER}/auth",
        "token_endpoint": f"{OTHER}/token",
    }
    world.answers["GET other.test/.well-known/openid-configuration"] = (200, document)
    world.answers["GET other.test/keys"] = world.answers["GET issuer.test/keys"]
    settings.OIDC_ISSUERS = {"corp": OTHER}


def enter(provider: str = "corp", issuer: str = ISSUER) -> Answer:
    return login(provider, id_token=id_token("alice", iss=issuer))


def name_issuers() -> str:
    out = StringIO()
    call_command("name_issuers", stdout=out)
    return out.getvalue()


def unname(client: Client) -> Identity:
    """The client's login as it was stored by its provider's name."""
    row = Identity.of(ID)
    assert row
    values = {name: value for name, value in row.attribute_values.items() if name not in ("id", "named")}
    old = Identity("identity:corp:alice", **values)
    old.save()
    row.delete()
    Account(client.user_id).update([Account.identities.set([old.id])])
    return old


def test_another_issuers_equal_subject_is_somebody_else(sign_in: SignIn, settings: Settings, world: World) -> None:
    alice = sign_in("alice")
    alice.record(b"hers")
    move_provider(settings, world)
    other = client_of(enter(issuer=OTHER))
    assert other.user_id != alice.user_id
    assert other.shelf() == []
    assert enter().status == 401  # and the old issuer's tokens are worth nothing
    settings.OIDC_ISSUERS = {"corp": ISSUER}
    assert client_of(enter()).user_id == alice.user_id


def test_another_name_for_an_issuer_changes_nothing(sign_in: SignIn, settings: Settings) -> None:
    alice = sign_in("alice")
    settings.OIDC_ISSUERS, settings.OIDC_ALGORITHMS = {"work": ISSUER}, {"work": ["RS256"]}
    settings.CLIENT_IDS = {**settings.CLIENT_IDS, "corp": []}
    switch_on(settings, "work", "app")
    assert client_of(enter("work")).user_id == alice.user_id


def test_each_provider_that_recorder_knows_is_one_issuer(settings: Settings) -> None:
    assert sorted(ISSUERS.values()) == sorted(TABLE)
    for name in TABLE:
        switch_on(settings, name, "app", secret="s" * 32)
    settings.MICROSOFT_TENANTS = ["00000000-0000-0000-0000-000000000000"]
    assert {name: each.issuer for name, each in offered().items() if name in TABLE} == {name: name for name in TABLE}


def test_the_api_shows_the_name(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    (shown,) = alice.get("accounts/identities/").json["results"]
    assert shown["provider"] == "corp"
    (exported,) = alice.get("accounts/me/export/").json["account"]["identities"]
    assert (exported["provider"], exported["subject"]) == ("corp", "alice")
    assert Identity.of(ID)


def test_the_command_moves_what_is_stored_by_name(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    old = unname(alice)
    before = snapshot()
    refused = enter()
    assert (refused.status, refused.code) == (503, "upgrade_pending")
    assert snapshot() == before  # nobody signs up anew meanwhile
    assert "1 moved." in name_issuers()
    row = Identity.of(ID)
    assert row
    assert (row.user_id, row.identity_id, row.created_at) == (alice.user_id, old.identity_id, old.created_at)
    assert Identity.of(old.id) is None
    assert client_of(enter()).user_id == alice.user_id
    assert alice.get("accounts/identities/").json["results"][0]["provider"] == "corp"
    before = snapshot()
    assert name_issuers() == "0 moved.\n"
    assert snapshot() == before


def test_what_waits_for_the_command_is_handed_to_nobody(sign_in: SignIn, settings: Settings, world: World) -> None:
    alice = sign_in("alice")
    unname(alice)
    move_provider(settings, world)
    assert enter(issuer=OTHER).code == "upgrade_pending"
    before = snapshot()
    settings.OIDC_ISSUERS = {}
    assert "1 of corp left" in name_issuers()
    assert snapshot() == before


@pytest.mark.parametrize("closed", [True, False])
def test_the_command_leaves_what_it_does_not_know(sign_in: SignIn, closed: bool) -> None:
    alice = sign_in("alice")
    unname(alice)
    Identity("identity:google:1", user_id=alice.user_id).save()
    closing, losing = Account.closed_at.set("2026-01-01T00:00:00.000Z"), Account.identities.set([])
    Account(alice.user_id).update([closing if closed else losing])
    before = snapshot()
    assert name_issuers().startswith("0 moved.\n1 of corp left")
    assert snapshot() == before
