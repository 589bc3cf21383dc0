"""What Apple wants on top: its code exchanged, and its tokens revoked when somebody leaves."""

import time
from typing import Any

import jwt
import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from accounts import services
from accounts.models import Identity, Revocation
from lib.clock import days_from_now
from recordings.models import Work
from recordings.transactions import finish_work
from tests.accounts.conftest import client_of, id_token, login, switch_on
from tests.client import Answer, Client, sign_up
from tests.signer import claims, hashed, jwks, pem, private_key, sign
from tests.state import make_due
from tests.world import Call, World

TOKEN_URL, REVOKE_URL = "appleid.apple.com/auth/token", "appleid.apple.com/auth/revoke"
REFRESH = "r.apples-refresh-token"


def token(subject: str = "001.alice", **changed: Any) -> str:
    return id_token(subject, **{"iss": "https://appleid.apple.com", "aud": "com.example.recorder", **changed})


@pytest.fixture(autouse=True)
def _apple(world: World, settings: Settings) -> None:
    switch_on(settings, "apple", "com.example.web", "com.example.recorder")
    settings.APPLE_TEAM_ID, settings.APPLE_KEY_ID = "TEAM", "KEY"
    settings.APPLE_PRIVATE_KEY = pem(private_key("ES256", "apple's")).decode()
    world.answers["GET appleid.apple.com/auth/keys"] = (200, jwks(("RS256", "one")))

    def exchange(call: Call) -> tuple[int, Any]:
        good = call.form["code"].startswith("good") and secret_is_good(call)
        subject = call.form["code"].partition(":")[2] or "001.alice"
        tokens = {"access_token": "a", "refresh_token": REFRESH, "expires_in": 3600, "token_type": "Bearer"}
        return (200, tokens | {"id_token": token(subject)}) if good else (400, {"error": "invalid_grant"})

    world.answers[f"POST {TOKEN_URL}"] = exchange
    world.answers[f"POST {REVOKE_URL}"] = (200, b"")


def secret_is_good(call: Call) -> bool:
    """A client secret as Apple describes it: ES256, our team, for this client, for some minutes."""
    key = private_key("ES256", "apple's").public_key()
    found = jwt.decode(call.form["client_secret"], key, ["ES256"], audience="https://appleid.apple.com")
    header = jwt.get_unverified_header(call.form["client_secret"])
    lives = 0 < found["exp"] - time.time() <= 300
    return bool(found["iss"] == "TEAM" and found["sub"] == call.form["client_id"] and header["kid"] == "KEY" and lives)


def sign_in(code: str = "good") -> Answer:
    return login("apple", id_token=token(), code=code)


def revoked(world: World) -> list[str]:
    return [call.form["token"] for call in world.calls if call.url == REVOKE_URL]


@pytest.mark.parametrize("issuer", ["https://appleid.apple.com", "https://account.apple.com"])
def test_both_of_its_issuers_count(issuer: str) -> None:
    assert login("apple", id_token=token(iss=issuer)).status == 201


@pytest.mark.parametrize("verified", [True, "true"])
def test_a_verified_email_may_be_a_text(verified: Any) -> None:
    answer = login("apple", id_token=token(email="a@example.com", email_verified=verified))
    assert client_of(answer).get("accounts/me/").json["email_verified"] is True


def test_a_device_without_nonce_support_is_let_in() -> None:
    assert login("apple", id_token=token(nonce_supported=False), nonce="raw").status == 201
    assert login("apple", id_token=token(nonce_supported=True), nonce="raw").status == 401
    assert login("apple", id_token=token(nonce=hashed("other"), nonce_supported=False), nonce="raw").status == 401


def test_its_refresh_token_is_kept_and_nobody_can_read_it(world: World, settings: Settings) -> None:
    answer = sign_in()
    assert answer.status == 201
    (exchange,) = (call for call in world.calls if call.url == TOKEN_URL)
    assert exchange.form["client_id"] == "com.example.recorder"  # the app that got the id_token, not the first one
    assert "redirect_uri" not in exchange.form
    row = Identity.of("identity:apple:001.alice")
    assert row
    assert row.refresh_token
    assert REFRESH not in row.refresh_token
    assert REFRESH.encode() not in answer.content
    from accounts.keys import unsealed

    assert unsealed(row.refresh_token) == REFRESH
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "a new one" * 4
    assert unsealed(row.refresh_token) == REFRESH
    settings.SECRET_KEY_FALLBACKS = []
    assert unsealed(row.refresh_token) is None


def test_a_bad_code_or_somebody_elses_lets_nobody_in(world: World) -> None:
    assert sign_in(code="bad").code == "invalid_credential"
    assert sign_in(code="good:001.mallory").code == "invalid_credential"
    world.answers[f"POST {TOKEN_URL}"] = (500, b"")
    assert sign_in().code == "provider_unavailable"
    world.answers[f"POST {TOKEN_URL}"] = (400, {"error": "invalid_client"})
    assert sign_in().code == "provider_unavailable"
    world.answers[f"POST {TOKEN_URL}"] = (200, {"access_token": "a"})
    assert sign_in().code == "provider_unavailable"
    assert Identity.of("identity:apple:001.alice") is None


def test_closing_the_account_revokes_the_token(world: World) -> None:
    alice = client_of(sign_in())
    assert alice.delete("accounts/me/").status == 202
    assert revoked(world) == [REFRESH]
    (call,) = (call for call in world.calls if call.url == REVOKE_URL)
    assert call.form["token_type_hint"] == "refresh_token"
    assert secret_is_good(call)
    assert left(alice) == []


def left(client: Client) -> list[Any]:
    return [*Revocation.all_of(client.user_id), *filter(None, [Work.find(f"revoke:{client.user_id}", client.user_id)])]


@pytest.mark.parametrize("fault", [(500, b""), (400, {"error": "invalid_client"})])
def test_a_failed_revocation_holds_nothing_up_and_is_tried_again(world: World, fault: Any) -> None:
    alice = client_of(sign_in())
    world.answers[f"POST {REVOKE_URL}"] = fault
    assert alice.delete("accounts/me/").status == 202
    assert alice.get("accounts/me/").status == 401
    assert len(left(alice)) == 2
    call_command("sweep")
    assert len(left(alice)) == 2
    world.answers[f"POST {REVOKE_URL}"] = (200, b"")
    call_command("sweep")
    assert len(left(alice)) == 2  # an hour later and no sooner
    make_due(alice.user_id, f"revoke:{alice.user_id}")
    call_command("sweep")
    assert left(alice) == []
    assert revoked(world) == [REFRESH] * 3


def test_a_token_that_apple_does_not_know_is_revoked(world: World) -> None:
    world.answers[f"POST {REVOKE_URL}"] = (400, {"error": "invalid_grant"})
    alice = client_of(sign_in())
    assert alice.delete("accounts/me/").status == 202
    assert left(alice) == []


def test_it_is_given_up_after_thirty_days(world: World, settings: Settings) -> None:
    alice = client_of(sign_in())
    settings.APPLE_PRIVATE_KEY = ""
    assert alice.delete("accounts/me/").status == 202
    (row, _) = left(alice)
    row.update([Revocation.created_at.set(days_from_now(-31))])
    call_command("sweep")
    assert left(alice) == []
    assert revoked(world) == []


def test_unlinking_revokes_it_too(world: World) -> None:
    alice = sign_up()
    body = {"provider": "apple", "id_token": token(), "code": "good"}
    linked = alice.post("accounts/identities/", body)
    assert linked.status == 201
    alice = Client(linked.json["session"]["auth_key"], alice.user_id)
    second = {"provider": "apple", "id_token": token("001.work")}
    assert alice.post("accounts/identities/", second).status == 201
    first = alice.get("accounts/identities/").json["results"][0]
    assert alice.delete(f"accounts/identities/{first['id']}/").status == 204
    assert revoked(world) == [REFRESH]
    assert left(alice) == []


def test_without_its_key_a_code_is_refused_and_not_ignored(settings: Settings) -> None:
    settings.APPLE_PRIVATE_KEY = ""
    answer = sign_in()
    assert (answer.status, answer.pointers) == (400, ["/code"])
    assert login("apple", id_token=token()).status == 201


def test_a_key_that_is_none_is_503(settings: Settings) -> None:
    settings.APPLE_PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nbm9uZQ==\n-----END PRIVATE KEY-----"
    assert sign_in().code == "provider_unavailable"


def test_a_second_token_waits_for_its_own_revocation(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes while the sweep works is not forgotten with the first one."""
    alice = client_of(sign_in())
    world.answers[f"POST {REVOKE_URL}"] = (500, b"")
    alice.delete("accounts/me/")
    world.answers[f"POST {REVOKE_URL}"] = (200, b"")
    real = finish_work

    def renewed(work: Work) -> None:
        time.sleep(0.002)
        Work.of("revoke", alice.user_id, due_at=days_from_now(0)).save()
        real(work)

    monkeypatch.setattr(services, "finish_work", renewed)
    call_command("sweep")
    assert Work.find(f"revoke:{alice.user_id}", alice.user_id)


def test_a_web_code_needs_a_nonce_since_apple_has_no_pkce(world: World, settings: Settings) -> None:
    settings.LOGIN_REDIRECT_URIS = ["https://app.test/back"]
    fields = {"code": "good", "redirect_uri": "https://app.test/back"}
    assert login("apple", **fields).pointers == ["/nonce"]
    tokens = {"refresh_token": REFRESH, "id_token": sign(claims(**web_claims(nonce=hashed("raw"))))}
    world.answers[f"POST {TOKEN_URL}"] = (200, tokens)
    assert login("apple", nonce="stolen", **fields).status == 401
    assert login("apple", nonce="raw", **fields).status == 201


def web_claims(**more: Any) -> dict[str, Any]:
    return {"iss": "https://appleid.apple.com", "aud": "com.example.web", "sub": "001.alice", **more}
