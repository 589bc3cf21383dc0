"""Providers whose access tokens we check, against what their documents say they answer."""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import Identity
from accounts.providers import http as remote
from tests.accounts.conftest import client_of, login, switch_on
from tests.client import Client
from tests.world import HANG, HANGS_FOR, Call, World

TOKEN = "the-access-token"
Fail = Callable[[World], None]


@dataclass
class Case:
    """One provider: its double when all is well, and what it looks like when it is not."""

    name: str
    set_up: Callable[[World, Settings], None]
    subject: str
    me: dict[str, Any]
    first: str  # the call that says for which app a token is
    second: str  # the call that says whose it is
    wrong_app: Any
    expired: Any
    refusals: tuple[Any, ...] = ()


def facebook(world: World, settings: Settings) -> None:
    switch_on(settings, "facebook", "1234", secret="app secret")
    world.answers["GET graph.facebook.com/debug_token"] = (200, {"data": debug_token()})
    person = {"id": "10001", "name": "Alice", "email": "a@example.com"}
    world.answers["GET graph.facebook.com/me"] = (200, person)


def debug_token(**changed: Any) -> dict[str, Any]:
    return {
        "app_id": "1234",
        "type": "USER",
        "application": "Recorder",
        "expires_at": int(time.time()) + 3600,
        "is_valid": True,
        "scopes": ["email", "public_profile"],
        "user_id": "10001",
        **changed,
    }


def kakao(world: World, settings: Settings) -> None:
    switch_on(settings, "kakao", "rest key", "native key")
    settings.KAKAO_APP_ID = "777"
    info = {"id": 123456789, "expires_in": 7199, "app_id": 777}
    world.answers["GET kapi.kakao.com/v1/user/access_token_info"] = (200, info)
    account = {
        "profile": {"nickname": "앨리스"},
        "is_email_valid": True,
        "is_email_verified": True,
        "email": "a@example.com",
    }
    world.answers["GET kapi.kakao.com/v2/user/me"] = (200, {"id": 123456789, "kakao_account": account})


def line(world: World, settings: Settings) -> None:
    switch_on(settings, "line", "1440057261", secret="c" * 32)
    info = {"scope": "profile", "client_id": "1440057261", "expires_in": 2591659}
    world.answers["GET api.line.me/oauth2/v2.1/verify"] = (200, info)
    world.answers["GET api.line.me/v2/profile"] = (200, {"userId": "U4af4980629", "displayName": "Alice"})


def github(world: World, settings: Settings) -> None:
    switch_on(settings, "github", "Iv1.client", secret="shh")
    person = {"login": "alice", "id": 583231, "name": "Alice"}
    answer = (200, {"id": 1, "token": TOKEN, "app": {"client_id": "Iv1.client"}, "user": person})
    world.answers["POST api.github.com/applications/Iv1.client/token"] = answer
    emails = [
        {"email": "b@example.com", "verified": True, "primary": False},
        {"email": "a@example.com", "verified": True, "primary": True},
    ]
    world.answers["GET api.github.com/user/emails"] = (200, emails)


ALICE = {"name": "Alice", "email": "a@example.com"}
CASES = [
    Case(
        "facebook",
        facebook,
        "10001",
        {**ALICE, "email_verified": None},
        "GET graph.facebook.com/debug_token",
        "GET graph.facebook.com/me",
        (200, {"data": debug_token(app_id="9999")}),
        (200, {"data": debug_token(expires_at=int(time.time()) - 5)}),
        (
            (200, {"data": {"error": {"code": 190, "message": "Malformed access token"}, "is_valid": False}}),
            (200, {"data": debug_token(type="PAGE")}),
        ),
    ),
    Case(
        "kakao",
        kakao,
        "123456789",
        {"name": "앨리스", "email": "a@example.com", "email_verified": True},
        "GET kapi.kakao.com/v1/user/access_token_info",
        "GET kapi.kakao.com/v2/user/me",
        (200, {"id": 123456789, "expires_in": 7199, "app_id": 778}),
        (401, {"msg": "this access token is already expired", "code": -401}),
        ((400, {"msg": "given token is invalid", "code": -2}), (200, {"id": 1, "expires_in": 0, "app_id": 777})),
    ),
    Case(
        "line",
        line,
        "U4af4980629",
        {"name": "Alice", "email": None, "email_verified": None},
        "GET api.line.me/oauth2/v2.1/verify",
        "GET api.line.me/v2/profile",
        (200, {"scope": "profile", "client_id": "1", "expires_in": 2591659}),
        (200, {"scope": "profile", "client_id": "1440057261", "expires_in": 0}),
        ((400, {"error": "invalid_request", "error_description": "access token expired"}),),
    ),
    Case(
        "github",
        github,
        "583231",
        {**ALICE, "email_verified": True},
        "POST api.github.com/applications/Iv1.client/token",
        "POST api.github.com/applications/Iv1.client/token",
        (404, {"message": "Not Found"}),
        (404, {"message": "Not Found"}),
        ((422, {"message": "Validation Failed"}),),
    ),
]
each = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each
def test_our_apps_token_signs_in(case: Case, world: World, settings: Settings) -> None:
    case.set_up(world, settings)
    first = login(case.name, access_token=TOKEN)
    assert first.status == 201
    again = login(case.name, access_token=TOKEN)
    assert (again.status, again.json["user_id"]) == (200, first.json["user_id"])
    me = client_of(first).get("accounts/me/").json
    assert {name: me[name] for name in case.me} == case.me
    assert Identity.of(f"identity:{case.name}:{case.subject}")
    assert case.name in [row["provider"] for row in Client().get("accounts/providers/").json]


@each
def test_another_apps_token_does_not(case: Case, world: World, settings: Settings) -> None:
    case.set_up(world, settings)
    for answer in (case.wrong_app, case.expired, *case.refusals):
        world.answers[case.first] = answer
        refused = login(case.name, access_token=TOKEN)
        assert (refused.status, refused.code) == (401, "invalid_credential"), answer
    if case.second != case.first:
        assert world.count(case.second.split()[1]) == 0


NONSENSE: list[Any] = [
    (500, {"error": "internal"}),
    (503, b""),
    (429, {"message": "slow down"}),
    (200, b"<html>Bad gateway</html>"),
    (200, b"[]"),
    (200, {}),
    (200, b"[" * 5000),
    (302, b""),
    (200, {"data": debug_token(user_id="\ud800"), "user": {"id": "\ud800"}, "id": "\ud800", "userId": "\ud800"}),
    (200, {"data": [], "user": "alice", "id": None, "client_id": "1440057261", "app_id": 777}),
    (200, {"data": {"is_valid": True, "app_id": "1234"}, "user": {"id": True}, "app_id": 777, "expires_in": "1"}),
]


@each
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_a_provider_that_is_down_or_talks_nonsense_is_503(
    case: Case, world: World, settings: Settings, nonsense: Any
) -> None:
    for where in dict.fromkeys((case.first, case.second)):
        case.set_up(world, settings)
        world.answers[where] = nonsense
        answer = login(case.name, access_token=TOKEN)
        assert (answer.status, answer.code) == (503, "provider_unavailable"), (where, answer)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("facebook", (400, {"error": {"message": "Invalid OAuth access token signature.", "code": 190}})),
        ("kakao", (400, {"msg": "internal", "code": -1})),
        ("line", (403, {"message": "not authorized"})),
        ("github", (401, {"message": "Bad credentials"})),
    ],
)
def test_a_provider_that_refuses_this_server_is_503(world: World, settings: Settings, name: str, answer: Any) -> None:
    """What is wrong is our registration there, and not the person's login."""
    case = next(case for case in CASES if case.name == name)
    case.set_up(world, settings)
    world.answers[case.first] = answer
    assert login(name, access_token=TOKEN).code == "provider_unavailable"


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=[pytest.mark.check] * bool(number)) for number, case in enumerate(CASES)],
)
def test_a_provider_that_hangs_is_503(
    case: Case, world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SECONDS", 3.0)
    case.set_up(world, settings)
    world.answers[case.second] = HANG
    assert login(case.name, access_token=TOKEN).code == "provider_unavailable"
    assert world.calls[-1].given_up.wait(HANGS_FOR)


@pytest.mark.parametrize("case", [case for case in CASES if case.name in ("facebook", "kakao")], ids=lambda c: c.name)
def test_two_answers_about_two_people_are_503(case: Case, world: World, settings: Settings) -> None:
    case.set_up(world, settings)
    world.answers[case.second] = (200, {"id": 5})
    assert login(case.name, access_token=TOKEN).code == "provider_unavailable"


def test_facebook_gets_a_proof_that_we_hold_the_secret(world: World, settings: Settings) -> None:
    facebook(world, settings)
    login("facebook", access_token=TOKEN)
    debug, me = world.calls
    assert debug.query == {"input_token": TOKEN, "access_token": "1234|app secret"}
    assert me.query["appsecret_proof"] == hmac.new(b"app secret", TOKEN.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(("valid", "verified"), [(True, True), (False, True), (True, False)])
def test_kakaos_email_counts_when_it_is_valid_and_verified(
    world: World, settings: Settings, valid: bool, verified: bool
) -> None:
    kakao(world, settings)
    account = {"email": "a@example.com", "is_email_valid": valid, "is_email_verified": verified}
    world.answers["GET kapi.kakao.com/v2/user/me"] = (200, {"id": 123456789, "kakao_account": account})
    me = client_of(login("kakao", access_token=TOKEN)).get("accounts/me/").json
    assert me["email_verified"] is (valid and verified)


def test_what_a_provider_tells_is_kept_only_in_a_decent_form(world: World, settings: Settings) -> None:
    facebook(world, settings)
    person = {"id": "10001", "name": "A\x00li\nce" + "e" * 200, "email": "not an address"}
    world.answers["GET graph.facebook.com/me"] = (200, person)
    me = client_of(login("facebook", access_token=TOKEN)).get("accounts/me/").json
    assert (me["name"], me["email"]) == (("Alice" + "e" * 200)[:100], None)


def test_github_exchanges_codes(world: World, settings: Settings) -> None:
    github(world, settings)
    settings.LOGIN_REDIRECT_URIS = ["app://login"]
    reply: dict[str, Any] = {"access_token": TOKEN, "scope": "user:email", "token_type": "bearer"}

    def exchange(call: Call) -> tuple[int, Any]:
        good = call.form["code"] == "good" and call.form["code_verifier"] == "v" * 43
        return 200, reply if good else {"error": "bad_verification_code", "error_description": "expired"}

    world.answers["POST github.com/login/oauth/access_token"] = exchange
    fields = {"code": "good", "code_verifier": "v" * 43, "redirect_uri": "app://login"}
    assert login("github", **fields).status == 201
    assert world.calls[0].form["client_secret"] == "shh"
    assert login("github", **{**fields, "code": "used"}).code == "invalid_credential"
    assert login("github", **{**fields, "redirect_uri": "https://evil.test/"}).pointers == ["/redirect_uri"]
    assert login("github", **{**fields, "code_verifier": "short"}).pointers == ["/code_verifier"]
    for fault in ((200, {"error": "incorrect_client_credentials"}), (500, {}), (200, {}), (200, {"access_token": 5})):
        world.answers["POST github.com/login/oauth/access_token"] = fault
        assert login("github", **fields).code == "provider_unavailable", fault


def test_naver_takes_no_access_tokens(world: World, settings: Settings) -> None:
    switch_on(settings, "naver", "client", secret="shh")
    answer = login("naver", access_token=TOKEN)
    assert (answer.status, answer.pointers) == (400, ["/access_token"])
    assert world.calls == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"id_token": "a", "access_token": "b"}, ""),
        ({"access_token": "with space"}, "/access_token"),
        ({"access_token": "line\r\nbreak"}, "/access_token"),
        ({"access_token": "토큰"}, "/access_token"),
        ({"access_token": "a" * 4097}, "/access_token"),
        ({"access_token": ["a"]}, "/access_token"),
        ({"accesstoken": "a"}, "/accesstoken"),
        ({"code": "a"}, "/code"),  # without LOGIN_REDIRECT_URIS
        ({"provider": "myspace", "access_token": "a"}, "/provider"),
    ],
)
def test_a_body_that_makes_no_sense_is_400(
    world: World, settings: Settings, body: dict[str, Any], pointer: str
) -> None:
    facebook(world, settings)
    answer = login(**{"provider": "facebook", **body})
    assert (answer.status, answer.pointers) == (400, [pointer])
    assert world.calls == []
