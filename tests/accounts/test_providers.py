"""What is particular about each OpenID provider, and what the settings switch on."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import Identity
from accounts.providers import table as providers
from tests.accounts.conftest import client_of, id_token, login, switch_on
from tests.client import Client
from tests.signer import by_hand, claims, hashed, jwks, sign
from tests.world import Call, World

SECRET = "channel-secret-of-32-characters!"
TENANT, OTHER = "9188040d-6c67-4c5b-b112-36a304b66dad", "72f988bf-86f1-41af-91ab-2d7cd011db47"


def me(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = client_of(answer).get("accounts/me/").json
    return found


def listed() -> dict[str, Any]:
    return {row.pop("provider"): row for row in Client().get("accounts/providers/").json}


def show_keys(world: World, url: str, **more: Any) -> None:
    document = jwks(("RS256", "one"), ("ES256", "two"))
    for key in document["keys"]:
        key |= more
    world.answers[f"GET {url}"] = (200, document)


def test_what_is_not_configured_is_off(world: World) -> None:
    assert set(listed()) == {"guest"}
    for name in providers.TABLE:
        answer = login(name, id_token=id_token("alice"))
        assert (answer.status, answer.pointers) == (400, ["/provider"])
    assert world.calls == []


def test_each_says_what_people_call_it(settings: Settings) -> None:
    for name in providers.TABLE:
        switch_on(settings, name, "client", secret=SECRET)
    names = {name: row["display_name"] for name, row in listed().items()}
    spelt = {"github": "GitHub", "line": "LINE"}
    assert names == {name: spelt.get(name, name.capitalize()) for name in ("guest", *providers.TABLE)}


def test_what_each_takes_follows_from_its_settings(settings: Settings) -> None:
    for name in providers.TABLE:
        switch_on(settings, name, "client")
    settings.CLIENT_IDS = {**settings.CLIENT_IDS, "github": []}
    kinds = {name: (row["kinds"], row["web_login"]) for name, row in listed().items()}
    assert kinds == {
        "guest": ([], False),
        "google": (["id_token"], False),
        "apple": (["id_token"], False),
        "naver": (["id_token"], False),
        "facebook": (["id_token"], False),
        "microsoft": (["id_token"], False),
        "kakao": (["id_token"], True),
        "line": (["id_token", "access_token"], False),
    }
    for name in providers.TABLE:
        switch_on(settings, name, "client", "another", secret=SECRET)
    settings.KAKAO_APP_ID, settings.APPLE_PRIVATE_KEY = "777", "key"
    settings.LOGIN_REDIRECT_URIS = ["app://login"]
    kinds = {name: (row["kinds"], row["web_login"]) for name, row in listed().items()}
    assert kinds == {
        "guest": ([], False),
        "google": (["id_token", "code"], True),
        "apple": (["id_token", "code"], True),
        "naver": (["id_token", "code"], True),
        "microsoft": (["id_token", "code"], True),
        "kakao": (["id_token", "access_token", "code"], True),
        "line": (["id_token", "access_token", "code"], True),
        "facebook": (["id_token", "access_token", "code"], True),
        "github": (["access_token", "code"], True),
    }
    assert listed()["google"]["client_ids"] == ["client", "another"]
    assert SECRET not in repr(providers.offered())


def google(**changed: Any) -> str:
    return id_token("alice", **{"iss": "https://accounts.google.com", "aud": "web", **changed})


@pytest.fixture
def _google(world: World, settings: Settings) -> None:
    switch_on(settings, "google", "web", "android", "old-ios")
    show_keys(world, "www.googleapis.com/oauth2/v3/certs")


@pytest.mark.usefixtures("_google")
class TestGoogle:
    @pytest.mark.parametrize("issuer", ["https://accounts.google.com", "accounts.google.com"])
    def test_with_and_without_the_scheme(self, issuer: str) -> None:
        assert login("google", id_token=google(iss=issuer)).status == 201

    def test_on_android_azp_is_the_other_client(self) -> None:
        assert login("google", id_token=google(azp="android")).status == 201
        assert login("google", id_token=google(azp="another app")).status == 401

    @pytest.mark.parametrize(
        ("said", "verified"),
        [
            ({"email": "a@gmail.com", "email_verified": True}, True),
            ({"email": "a@gmail.com", "email_verified": False}, False),
            ({"email": "a@work.test", "email_verified": True, "hd": "work.test"}, True),
            ({"email": "a@elsewhere.test", "email_verified": True}, False),
        ],
    )
    def test_for_which_addresses_it_answers(self, said: dict[str, Any], verified: bool) -> None:
        assert me(login("google", id_token=google(**said)))["email_verified"] is verified

    def test_a_nonce_that_nobody_can_see_is_forgiven_one_client(self, settings: Settings) -> None:
        hidden = {"nonce": "made up inside", "azp": "old-ios"}
        assert login("google", id_token=google(**hidden)).status == 401
        settings.GOOGLE_HIDDEN_NONCE_CLIENT_IDS = ["old-ios"]
        assert login("google", id_token=google(**hidden)).status == 201
        assert login("google", id_token=google(**hidden), nonce="raw").status == 401
        assert login("google", id_token=google(nonce="made up inside", azp="android")).status == 401


def microsoft(tid: Any = TENANT, **changed: Any) -> str:
    issuer = f"https://login.microsoftonline.com/{tid}/v2.0"
    return id_token("alice", **{"iss": issuer, "aud": "app", "tid": tid, **changed})


class TestMicrosoft:
    @pytest.fixture(autouse=True)
    def _keys(self, world: World, settings: Settings) -> None:
        switch_on(settings, "microsoft", "app")
        show_keys(world, "login.microsoftonline.com/common/discovery/v2.0/keys")

    def test_every_tenant_signs_for_itself(self) -> None:
        assert login("microsoft", id_token=microsoft()).status == 201
        assert login("microsoft", id_token=microsoft(OTHER)).status == 200
        for bad in (
            microsoft(tid=OTHER, iss=f"https://login.microsoftonline.com/{TENANT}/v2.0"),
            microsoft(tid=None),
            microsoft(tid="{tid}"),
            microsoft(tid="common"),
            microsoft(tid=f"{TENANT}/../{OTHER}"),
        ):
            assert login("microsoft", id_token=bad).status == 401

    def test_tenants_can_be_pinned(self, settings: Settings) -> None:
        settings.MICROSOFT_TENANTS = [TENANT]
        assert login("microsoft", id_token=microsoft()).status == 201
        assert login("microsoft", id_token=microsoft(OTHER)).status == 401

    def test_a_key_signs_only_for_its_issuer(self, world: World) -> None:
        consumers = f"https://login.microsoftonline.com/{TENANT}/v2.0"
        show_keys(world, "login.microsoftonline.com/common/discovery/v2.0/keys", issuer=consumers)
        assert login("microsoft", id_token=microsoft()).status == 201
        assert login("microsoft", id_token=microsoft(OTHER)).status == 401

    def test_a_key_set_may_lack_alg(self, world: World) -> None:
        document = jwks(("RS256", "one"))
        del document["keys"][0]["alg"]
        world.answers["GET login.microsoftonline.com/common/discovery/v2.0/keys"] = (200, document)
        assert login("microsoft", id_token=microsoft()).status == 201

    def test_its_addresses_are_never_verified(self) -> None:
        token = microsoft(email="ceo@bank.test", email_verified=True)
        assert me(login("microsoft", id_token=token))["email_verified"] is False


def test_line_signs_in_two_ways(world: World, settings: Settings) -> None:
    switch_on(settings, "line", "channel", secret=SECRET)
    show_keys(world, "api.line.me/oauth2/v2.1/certs")
    said = {"iss": "https://access.line.me", "aud": "channel"}
    assert login("line", id_token=by_hand({"alg": "HS256"}, claims(**said), SECRET.encode())).status == 201
    assert login("line", id_token=by_hand({"alg": "HS256"}, claims(**said), b"x" * 32)).status == 401
    assert login("line", id_token=sign(claims(**said), "ES256", "two")).status == 200
    assert login("line", id_token=sign(claims(**said))).status == 401  # RS256, which LINE does not use
    settings.CLIENT_SECRETS = {**settings.CLIENT_SECRETS, "line": ""}
    assert login("line", id_token=by_hand({"alg": "HS256"}, claims(**said, jti="2"), b"")).status == 401


@pytest.mark.parametrize(
    ("name", "issuer", "keys"),
    [
        ("kakao", "https://kauth.kakao.com", "kauth.kakao.com/.well-known/jwks.json"),
        ("facebook", "https://www.facebook.com", "limited.facebook.com/.well-known/oauth/openid/jwks/"),
        ("naver", "https://nid.naver.com", "nid.naver.com/oauth2/jwks"),
    ],
)
def test_the_others_id_tokens(world: World, settings: Settings, name: str, issuer: str, keys: str) -> None:
    switch_on(settings, name, "app", "native")
    show_keys(world, keys)
    answer = login(name, id_token=id_token("alice", iss=issuer, aud="native", email="a@example.com"))
    assert answer.status == 201
    assert me(answer)["email_verified"] is None
    assert login(name, id_token=id_token("alice", iss=issuer, aud="another app")).status == 401
    assert login(name, id_token=id_token("alice", iss="https://issuer.test", aud="native")).status == 401


def test_one_providers_token_is_none_of_anothers(world: World, settings: Settings) -> None:
    switch_on(settings, "google", "app")
    switch_on(settings, "kakao", "app")
    show_keys(world, "www.googleapis.com/oauth2/v3/certs")
    show_keys(world, "kauth.kakao.com/.well-known/jwks.json")
    token = id_token("alice", iss="https://accounts.google.com", aud="app")
    assert login("kakao", id_token=token).status == 401
    assert login("google", id_token=token).status == 201
    assert Identity.of("identity:kakao:alice") is None


def test_naver_exchanges_codes(world: World, settings: Settings) -> None:
    switch_on(settings, "naver", "app", secret="shh")
    settings.LOGIN_REDIRECT_URIS = ["app://login"]
    show_keys(world, "nid.naver.com/oauth2/jwks")
    token = id_token("naver-sub", iss="https://nid.naver.com", aud="app", nonce=hashed("raw"))

    def exchange(call: Call) -> tuple[int, Any]:
        good = call.form["code"] == "good" and call.form["client_secret"] == "shh"
        return 200, {"access_token": "a", "id_token": token} if good else {"error": "invalid_request"}

    world.answers["POST nid.naver.com/oauth2/token"] = exchange
    fields = {"code_verifier": "v" * 43, "redirect_uri": "app://login", "nonce": "raw"}
    assert login("naver", code="bad", **fields).code == "invalid_credential"
    assert login("naver", code="good", **fields).status == 201
    assert Identity.of("identity:naver:naver-sub")
