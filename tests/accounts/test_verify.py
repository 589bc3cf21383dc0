"""id_tokens through POST accounts/login/: which are accepted, and why the others are not."""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from jwt import jwks_client
from pytest_django.fixtures import Settings

from accounts.models import Replay
from accounts.providers import http as remote
from accounts.providers import id_tokens
from accounts.providers.table import offered
from lib import deadline
from tests.accounts.conftest import login, offer
from tests.client import Answer, Client
from tests.signer import b64, by_hand, claims, hashed, jwk, jwks, private_key, public_pem, sign
from tests.world import HANG, HANGS_FOR, World

KEYS = "issuer.test/keys"
SECRET = "s" * 40
Post = Callable[..., Answer]


@pytest.fixture
def post(world: World, settings: Settings) -> Post:
    """Logs in at the made-up issuer, which signs with the RS256 key `one` and the ES256 key `two`."""
    offer(settings, world, algorithms=["RS256", "ES256"])
    return lambda id_token, **fields: login("corp", id_token=id_token, **fields)


@pytest.mark.parametrize(("kind", "name"), [("RS256", "one"), ("ES256", "two")])
def test_a_good_token_signs_up_and_then_logs_in(post: Post, kind: str, name: str) -> None:
    first = post(sign(claims(email="a@example.com", email_verified=True, name="Alice"), kind, name))
    assert (first.status, first.json["is_new"]) == (201, True)
    again = post(sign(claims(jti="2"), kind, name))
    assert (again.status, again.json["is_new"]) == (200, False)
    assert again.json["user_id"] == first.json["user_id"]
    assert again.json["auth_key"] != first.json["auth_key"]
    me = Client(again.json["auth_key"]).get("accounts/me/").json
    assert (me["name"], me["email"], me["email_verified"], me["is_guest"]) == ("Alice", "a@example.com", True, False)


BAD: dict[str, Callable[[], str]] = {
    "wrong aud": lambda: sign(claims(aud="another app")),
    "ours and another aud": lambda: sign(claims(aud=["app", "another app"], azp="app")),
    "two of ours without azp": lambda: sign(claims(aud=["app", "app2"])),
    "no aud": lambda: sign(claims(aud=None)),
    "empty aud": lambda: sign(claims(aud=[])),
    "aud that is a number": lambda: sign(claims(aud=[1])),
    "wrong azp": lambda: sign(claims(azp="another app")),
    "azp that is a list": lambda: sign(claims(azp=["app"])),
    "wrong iss": lambda: sign(claims(iss="https://issuer.test.evil.test")),
    "iss with a slash more": lambda: sign(claims(iss="https://issuer.test/")),
    "no iss": lambda: sign(claims(iss=None)),
    "iss that is a list": lambda: sign(claims(iss=["https://issuer.test"])),
    "expired": lambda: sign(claims(exp=int(time.time()) - 60)),
    "no exp": lambda: sign(claims(exp=None)),
    "exp that is a word": lambda: sign(claims(exp="tomorrow")),
    "no iat": lambda: sign(claims(iat=None)),
    "issued tomorrow": lambda: sign(claims(iat=int(time.time()) + 86400, exp=int(time.time()) + 90000)),
    "not yet valid": lambda: sign(claims(nbf=int(time.time()) + 3600)),
    "no sub": lambda: sign(claims(sub=None)),
    "empty sub": lambda: sign(claims(sub="")),
    "sub that no table takes": lambda: sign(claims(sub="\ud800")),
    "sub of 256 characters": lambda: sign(claims(sub="a" * 256)),
    "sub with a line break": lambda: sign(claims(sub="alice\n")),
    "a logout token": lambda: sign(claims(events={"http://schemas.openid.net/event/backchannel-logout": {}})),
    "an access token": lambda: sign(claims(), typ="at+jwt"),
    "a nonce that nobody posts": lambda: sign(claims(nonce=hashed("raw"))),
    "no kid": lambda: sign(claims(), kid=None),
    "unknown kid": lambda: sign(claims(), kid="three"),
    "attacker's key": lambda: sign(claims(), name="attacker", kid="one"),
    "the other key's kid": lambda: sign(claims(), "RS256", "one", kid="two"),
    "inlined jwk": lambda: sign(claims(), name="attacker", kid="one", jwk=jwk("RS256", "attacker")),
    "jku": lambda: sign(claims(), name="attacker", jku="https://attacker.test/keys"),
    "x5u": lambda: sign(claims(), name="attacker", kid="one", x5u="https://attacker.test/cert"),
    "crit": lambda: sign(claims(), crit=["exp"]),
    "crit b64": lambda: sign(claims(), crit=["b64"], b64=False),
    "HS256 with the public key": lambda: by_hand(
        {"alg": "HS256", "kid": "one"}, claims(), public_pem(private_key("RS256", "one"))
    ),
    "HS256 with the key set": lambda: by_hand(
        {"alg": "HS256", "kid": "one"}, claims(), json.dumps(jwk("RS256", "one")).encode()
    ),
    "HS256 with no secret": lambda: by_hand({"alg": "HS256", "kid": "one"}, claims(), b""),
    **{
        f"alg {alg!r}": lambda alg=alg: by_hand({"alg": alg, "kid": "one"}, claims())  # type: ignore[misc]
        for alg in ("none", "None", "NONE", "nOnE", "", None, "none ", "HS256", "RS512", ["RS256"], {"a": 1})
    },
    "no alg": lambda: by_hand({"kid": "one"}, claims()),
    "no signature": lambda: sign(claims()).rpartition(".")[0] + ".",
    "two parts": lambda: sign(claims()).rpartition(".")[0],
    "another payload": lambda: ".".join([sign(claims()).split(".")[0], b64(b"{}"), sign(claims()).split(".")[2]]),
    "words": lambda: "not-a-token",
    "deep header": lambda: b64(b'{"alg":' + b"[" * 5000) + ".e30.e30",
    "payload that is a list": lambda: ".".join([sign(claims()).split(".")[0], b64(b"[]"), "e30"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_401_and_leaves_nothing(post: Post, world: World, name: str) -> None:
    answer = post(BAD[name]())
    assert (answer.status, answer.code) == (401, "invalid_credential"), answer
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert {call.url for call in world.calls} <= {KEYS, "issuer.test/.well-known/openid-configuration"}
    assert post(sign(claims())).status == 201  # nobody has signed up as Alice before


def test_the_subject_is_whose_it_is_not_the_email(post: Post) -> None:
    alice = post(sign(claims(email="a@example.com", email_verified=True)))
    mallory = post(sign(claims(sub="mallory", email="a@example.com", email_verified=True)))
    assert mallory.status == 201
    assert mallory.json["user_id"] != alice.json["user_id"]


def test_a_session_that_a_login_carries_changes_nothing(post: Post, alice: Client) -> None:
    answer = alice.post("accounts/login/", {"provider": "corp", "id_token": sign(claims())})
    assert (answer.status, answer.json["is_new"]) == (201, True)
    assert alice.get("accounts/me/").json["is_guest"]
    assert alice.get("accounts/identities/").json == {"results": []}


def test_the_nonce_is_posted_raw_and_was_sent_hashed(post: Post) -> None:
    token = sign(claims(nonce=hashed("raw")))
    assert post(token).status == 401
    assert post(token, nonce=hashed("raw")).status == 401  # what a thief can read in the token
    assert post(token, nonce="other").status == 401
    assert post(sign(claims()), nonce="raw").status == 401
    assert post(sign(claims(nonce="raw")), nonce="raw").status == 401  # never raw equality
    assert post(token, nonce="raw").status == 201


def test_a_used_token_is_refused_also_with_another_form_of_its_signature(post: Post) -> None:
    token = sign(claims(), "ES256", "two")
    assert post(token).status == 201
    assert post(token).code == "invalid_credential"
    head, _, signature = token.rpartition(".")
    raw = jwt.utils.base64url_decode(signature)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    for twin in (f"{head}.{b64(raw[:32] + other)}", f"{token}=="):
        assert post(twin).status == 401


def test_hs256_is_for_issuers_that_are_configured_so(world: World, settings: Settings) -> None:
    offer(settings, world, algorithms=["HS256"], secret=SECRET)
    good = by_hand({"alg": "HS256"}, claims(), SECRET.encode())
    assert login("corp", id_token=good).status == 201
    assert login("corp", id_token=by_hand({"alg": "HS256"}, claims(), b"another secret" * 3)).status == 401
    assert login("corp", id_token=sign(claims())).status == 401


def test_200_unknown_keys_cause_one_fetch(post: Post, world: World) -> None:
    assert post(sign(claims())).status == 201
    for number in range(200):
        assert post(sign(claims(), "ES256", "two", kid=f"unknown {number}")).status == 401
    assert world.count(KEYS) == 1


def test_many_threads_wait_for_one_fetch(post: Post, world: World) -> None:
    def slow(call: Any) -> tuple[int, Any]:
        time.sleep(0.3)
        return 200, jwks(("RS256", "one"))

    world.answers[f"GET {KEYS}"] = slow
    tokens, found = [sign(claims(sub=f"user {n}")) for n in range(8)], []
    threads = [threading.Thread(target=lambda t=token: found.append(sub_of(t))) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [f"user {n}" for n in range(8)]
    assert world.count(KEYS) == 1


def sub_of(id_token: str) -> str:
    """moto does not bear threads, so these go past DynamoDB."""
    subject: str = id_tokens.verify(offered()["corp"], id_token, "")["sub"]
    return subject


def test_a_new_key_is_found_and_a_withdrawn_one_is_not(
    post: Post, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post(sign(claims())).status == 201
    world.answers[f"GET {KEYS}"] = (200, jwks(("RS256", "one"), ("RS256", "next")))
    assert post(sign(claims(), name="next")).status == 401  # within the cool-down
    later(monkeypatch, 31)
    assert post(sign(claims(), name="next")).status == 200
    assert post(sign(claims(jti="overlap"))).status == 200
    world.answers[f"GET {KEYS}"] = (200, jwks(("RS256", "next")))
    later(monkeypatch, 31 + 601)
    assert post(sign(claims(jti="withdrawn"))).status == 401
    assert post(sign(claims(jti="new"), name="next")).status == 200


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Move the clock by which keys age."""

    class Clock:
        def __getattr__(self, name: str) -> Any:
            return getattr(time, name)

        @staticmethod
        def monotonic() -> float:
            return time.monotonic() + seconds

    for module in (id_tokens, jwks_client):
        monkeypatch.setattr(module, "time", Clock())


@pytest.mark.parametrize(
    "fault", [(500, {}), (404, {}), (200, b"<html>"), (200, {"keys": []}), (302, b""), (200, []), (200, {"keys": [5]})]
)
def test_old_keys_do_while_the_provider_is_down(
    post: Post, world: World, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    assert post(sign(claims())).status == 201
    world.answers[f"GET {KEYS}"] = fault
    later(monkeypatch, 700)
    assert post(sign(claims(jti="2"))).status == 200
    assert post(sign(claims(jti="3"))).status == 200
    assert world.count(KEYS) == 2  # one vain try, then a cool-down
    unknown = post(sign(claims(), name="next"))
    assert (unknown.status, unknown.code) == (503, "provider_unavailable")  # who knows, it may be a new key
    later(monkeypatch, 700 + 86400)
    assert post(sign(claims(jti="4"))).status == 503


def test_a_provider_that_hangs_is_503_and_is_left_alone_for_a_while(
    post: Post, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SECONDS", 3.0)
    world.answers[f"GET {KEYS}"] = HANG
    token = sign(claims())
    answer = post(token)
    assert (answer.status, answer.code) == (503, "provider_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert world.calls[-1].given_up.wait(HANGS_FOR)
    assert post(token).status == 503
    assert world.count(KEYS) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://another.test"},
        {"jwks_uri": "http://issuer.test/keys"},
        {"jwks_uri": None},
        {"token_endpoint": "ftp://issuer.test/token"},
        {"authorization_endpoint": "http://127.0.0.1/auth"},
    ],
)
def test_a_discovery_document_that_is_not_the_issuers_is_503(post: Post, world: World, change: dict[str, Any]) -> None:
    where = "GET issuer.test/.well-known/openid-configuration"
    good = world.answers[where]
    assert isinstance(good, tuple)
    world.answers[where] = (200, {**good[1], **change})
    assert post(sign(claims())).code == "provider_unavailable"
    assert world.count(KEYS) == 0


def test_only_the_hash_of_a_used_token_is_kept(post: Post) -> None:
    token = sign(claims())
    post(token)
    fingerprint = hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
    row = Replay.find(f"replay:{fingerprint}", "replay")
    assert row is not None
    assert row.expires_at > time.time() + 299


def test_a_token_that_is_good_for_ever_is_remembered_as_far_as_a_table_can(post: Post) -> None:
    token = sign(claims(exp=1e300))
    assert post(token).status == 201
    assert post(token).status == 401


def test_no_provider_is_called_once_it_is_too_late(post: Post, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "SECONDS", -1)
    answer = post(sign(claims()))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert world.calls == []
