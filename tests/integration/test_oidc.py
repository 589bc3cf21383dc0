"""Signing in with a certified OpenID provider, through our endpoints: what it issues, and what it never would."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from django.test import Client as Browser
from pytest_django.fixtures import Settings

from accounts.authentication import COOKIE
from accounts.providers import id_tokens
from tests.client import Answer, Client, sign_up
from tests.oidc.peer import REDIRECTS, SECRET, Provider, running
from tests.signer import by_hand, claims, hashed, jwk, jwks, private_key, public_pem, sign

KEYS = jwks(("RS256", "one"), ("ES256", "two"), private=True)


@pytest.fixture(scope="module")
def started() -> Iterator[Provider]:
    with running(KEYS) as provider:
        yield provider


@pytest.fixture
def provider(started: Provider, settings: Settings) -> Iterator[Provider]:
    """The provider, offered as `corp`; loopback counts as a safe place under LOCAL alone."""
    settings.LOCAL = True
    settings.OIDC_ISSUERS = {"corp": started.issuer}
    settings.OIDC_ALGORITHMS = {"corp": ["RS256", "ES256"]}
    settings.CLIENT_IDS = {"corp": ["web", "phone", "phone-es"]}
    settings.CLIENT_SECRETS = {"corp": SECRET}
    settings.LOGIN_REDIRECT_URIS = ["https://app.test/back"]
    id_tokens._keys.cache_clear()
    id_tokens._discovered.cache_clear()
    started.keys_are("ok")
    yield started
    started.keys_are("ok")
    started.use_keys(KEYS)


def login(**fields: str) -> Answer:
    return Client().post("accounts/login/", {"provider": "corp", **fields})


def forged(provider: Provider, kind: str = "RS256", name: str = "one", header: Any = None, **changed: Any) -> str:
    """Signed with the provider's own key, unless said otherwise: what only we stand in the way of."""
    said = claims(**{"iss": provider.issuer, "aud": "phone", **changed})
    return sign(said, kind, name, **(header or {}))


@pytest.mark.parametrize(("client_id", "algorithm"), [("phone", "RS256"), ("phone-es", "ES256")])
def test_its_id_token_signs_up_and_then_logs_in(provider: Provider, client_id: str, algorithm: str) -> None:
    token = provider.id_token(client_id, nonce=hashed("raw"))
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    assert login(id_token=token).status == 401
    assert login(id_token=token, nonce=hashed("raw")).status == 401
    first = login(id_token=token, nonce="raw")
    assert (first.status, first.json["is_new"]) == (201, True)
    assert login(id_token=token, nonce="raw").code == "invalid_credential"  # used
    again = login(id_token=provider.id_token(client_id, nonce=hashed("two")), nonce="two")
    assert (again.status, again.json["user_id"]) == (200, first.json["user_id"])
    me = Client(again.json["auth_key"]).get("accounts/me/").json
    assert (me["name"], me["email"], me["email_verified"]) == ("Person alice", "alice@example.com", True)


def test_another_apps_id_token_is_refused(provider: Provider) -> None:
    answer = login(id_token=provider.id_token("somebody-elses"))
    assert (answer.status, answer.code) == (401, "invalid_credential")
    assert "another app" in answer.json["detail"]


def test_hs256_only_where_it_is_configured(provider: Provider, settings: Settings) -> None:
    settings.CLIENT_IDS = {"corp": ["old"]}
    token = provider.id_token("old")
    assert login(id_token=token).status == 401
    settings.OIDC_ALGORITHMS = {"corp": ["HS256"]}
    assert login(id_token=token).status == 201


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another"},
        {"aud": ["phone", "another"], "azp": "phone"},
        {"azp": "another"},
        {"iss": "http://127.0.0.1:1"},
        {"iss": None},
        {"exp": int(time.time()) - 60},
        {"exp": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"nonce": hashed("raw")},
        {"iat": int(time.time()) + 3600},
    ],
    ids=str,
)
def test_claims_that_are_not_for_us(provider: Provider, changed: dict[str, Any]) -> None:
    assert login(id_token=forged(provider, **changed)).code == "invalid_credential"
    assert login(id_token=forged(provider)).status == 201


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
def test_no_signature_in_any_spelling(provider: Provider, alg: str) -> None:
    said = claims(iss=provider.issuer, aud="phone")
    assert login(id_token=by_hand({"alg": alg, "kid": "one"}, said)).code == "invalid_credential"


def test_signatures_of_others(provider: Provider) -> None:
    said = claims(iss=provider.issuer, aud="phone")
    public = public_pem(private_key("RS256", "one"))
    bad = [
        by_hand({"alg": "HS256", "kid": "one"}, said, public),
        by_hand({"alg": "HS256", "kid": "one"}, said, json.dumps(jwk("RS256", "one")).encode()),
        forged(provider, name="attacker", header={"kid": "one"}),
        forged(provider, name="attacker", header={"kid": "one", "jwk": jwk("RS256", "attacker")}),
        forged(provider, name="attacker", header={"jku": "http://127.0.0.1:1/keys"}),
        forged(provider, header={"crit": ["exp"]}),
        forged(provider, header={"kid": None}),
    ]
    assert [login(id_token=token).code for token in bad] == ["invalid_credential"] * len(bad)


def test_200_unknown_keys_cause_one_fetch(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_tokens, "COOLDOWN", 600.0)  # longer than a busy machine needs for them
    id_tokens._keys.cache_clear()
    for number in range(200):
        assert login(id_token=forged(provider, header={"kid": f"unknown {number}"})).status == 401
    assert provider.fetches == 1


def test_rotation_overlap_and_withdrawal(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_tokens, "COOLDOWN", 0.0)
    id_tokens._keys.cache_clear()
    assert login(id_token=provider.id_token("phone")).status == 201
    both = jwks(("RS256", "next"), ("RS256", "one"), ("ES256", "two"), private=True)
    provider.use_keys(both)
    token = provider.id_token("phone")
    assert jwt.get_unverified_header(token)["kid"] == "next"
    assert login(id_token=token).status == 200
    assert login(id_token=forged(provider, sub="bob")).status == 201  # the old key still counts
    provider.use_keys(jwks(("RS256", "next"), ("ES256", "two"), private=True))
    id_tokens._keys(f"{provider.issuer}/jwks", 600).kept.lifespan = 0
    assert login(id_token=forged(provider, sub="carol")).code == "invalid_credential"
    assert login(id_token=provider.id_token("phone", nonce=hashed("raw")), nonce="raw").status == 200


def test_a_hanging_key_endpoint_is_503_once_and_quickly(provider: Provider) -> None:
    provider.keys_are("hang")
    token = forged(provider)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: login(id_token=token), range(8)))
    assert {answer.code for answer in answers} == {"provider_unavailable"}
    assert all("Retry-After" in answer.headers for answer in answers)
    assert provider.fetches == 1


def test_known_keys_do_while_the_provider_is_down(provider: Provider) -> None:
    assert login(id_token=forged(provider)).status == 201
    provider.keys_are("down")
    id_tokens._keys(f"{provider.issuer}/jwks", 600).kept.lifespan = 0
    assert login(id_token=forged(provider, jti="2")).status == 200
    assert login(id_token=forged(provider, "ES256", "two", jti="3")).status == 200
    assert provider.fetches == 1


def test_many_first_logins_at_once_make_one_account(provider: Provider) -> None:
    tokens = [forged(provider, jti=str(number)) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda token: login(id_token=token), tokens))
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.json["user_id"] for answer in answers}) == 1
    assert len(Client(answers[0].json["auth_key"]).get("accounts/sessions/").json["results"]) == 8


def test_one_token_posted_by_many_at_once_counts_once(provider: Provider) -> None:
    token = forged(provider)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: login(id_token=token), range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [401] * 7


def test_an_app_posts_its_code(provider: Provider) -> None:
    code = provider.code("web", nonce=hashed("raw"))
    assert login(**code, nonce="raw").status == 201
    assert login(**code, nonce="raw").code == "invalid_credential"  # used


@pytest.mark.parametrize("missing", ["code_verifier", "redirect_uri"])
def test_a_code_needs_its_verifier_and_its_address(provider: Provider, missing: str) -> None:
    code = provider.code("web")
    assert login(**{**code, missing: ""}).status == 400
    del code[missing]
    assert login(**code).pointers == [f"/{missing}"]


def test_a_code_of_somebody_else_is_refused(provider: Provider) -> None:
    code = provider.code("web")
    assert login(**{**code, "code_verifier": "v" * 43}).code == "invalid_credential"
    assert login(**provider.code("somebody-elses")).code == "invalid_credential"
    assert login(**{**provider.code("web"), "redirect_uri": "https://evil.test/"}).pointers == ["/redirect_uri"]


def test_a_guest_links_it_and_keeps_the_recordings(provider: Provider) -> None:
    guest = sign_up()
    kept = guest.upload(b"a talk").json
    body = {"provider": "corp", "id_token": provider.id_token("phone")}
    assert guest.post("accounts/identities/", body).status == 201
    answer = login(id_token=provider.id_token("phone", nonce=hashed("raw")), nonce="raw")
    assert (answer.status, answer.json["user_id"]) == (200, guest.user_id)
    assert Client(answer.json["auth_key"]).shelf() == [kept["id"]]


def test_a_browser_signs_in(provider: Provider, settings: Settings) -> None:
    settings.LOCAL = True
    browser = Browser(enforce_csrf_checks=True, headers={"host": "recorder.test"})
    begun: Any = browser.get("/login/corp/?next=/api/v1/recordings/", secure=True)
    back = urlsplit(provider.grant(begun["Location"], "alice"))
    assert back.path == "/login/corp/callback/"
    ended: Any = browser.get(f"{back.path}?{back.query}", secure=True)
    assert (ended.status_code, ended["Location"]) == (302, "/api/v1/recordings/"), ended.content
    assert Client(browser.cookies[COOKIE].value).get("accounts/me/").json["name"] == "Person alice"
    again: Any = browser.get(f"{back.path}?{back.query}", secure=True)
    assert again.status_code == 400


def test_the_redirects_are_those_that_the_provider_knows() -> None:
    assert REDIRECTS["web"] == "https://app.test/back"
