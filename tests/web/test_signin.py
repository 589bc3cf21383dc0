"""The code flow in a browser, as far as it can be seen without one: redirects, cookies, and who may come back."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.core import signing
from django.test import Client as Browser
from pytest_django.fixtures import Settings

from accounts.authentication import COOKIE
from accounts.models import Session
from accounts.providers import id_tokens
from recordings.keys import UserId
from tests.accounts.conftest import id_token, offer, switch_on
from tests.client import Client, sign_up
from tests.signer import hashed, jwks, pem, private_key
from tests.state import snapshot
from tests.world import Call, World, standing_in
from web.signin import FLOW

HTTPS: dict[str, Any] = {"secure": True}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[World]:
    """`corp`, whose token endpoint gives what the last authorization request asked for."""
    with standing_in(monkeypatch) as world:
        offer(settings, world, algorithms=["RS256"], secret="s" * 32)
        yield world


@pytest.fixture
def browser() -> Browser:
    return Browser(enforce_csrf_checks=True, headers={"host": "recorder.test"})


def begin(browser: Browser, provider: str = "corp", query: str = "") -> dict[str, str]:
    """Follow the button. Returns what the provider is asked."""
    response = browser.get(f"/login/{provider}/{query}", **HTTPS)
    assert response.status_code == 302, response.content
    return {"": response["Location"].partition("?")[0], **dict(parse_qsl(urlsplit(response["Location"]).query))}


def grant(world: World, asked: dict[str, str], subject: str = "alice", **changed: Any) -> None:
    """The person agrees: from now on the token endpoint gives out her token, once her browser proves itself."""

    def exchange(call: Call) -> tuple[int, Any]:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(call.form["code_verifier"].encode()).digest())
        same = challenge.decode().rstrip("=") == asked["code_challenge"]
        token = id_token(subject, **{"nonce": asked["nonce"], **changed})
        return (200, {"id_token": token}) if same else (400, {"error": "invalid_grant"})

    world.answers["POST issuer.test/token"] = exchange


def come_back(browser: Browser, asked: dict[str, str], **changed: Any) -> Any:
    query = {"code": "the-code", "state": asked["state"], "iss": "https://issuer.test", **changed}
    path = urlsplit(asked["redirect_uri"]).path
    return browser.get(path + "?" + urlencode({k: v for k, v in query.items() if v is not None}), **HTTPS)


def signed_in(browser: Browser) -> str:
    """The account that this browser is signed in to, or nothing."""
    response = browser.get("/api/v1/accounts/me/", **HTTPS)
    return response.json()["user_id"] if response.status_code == 200 else ""


def test_the_page_shows_what_is_on(browser: Browser, world: World, settings: Settings) -> None:
    switch_on(settings, "google", "client")  # without a secret, apps alone
    content = browser.get("/login/?next=/api/v1/recordings/", **HTTPS).content.decode()
    assert 'href="/login/corp/?next=/api/v1/recordings/"' in content
    assert "google" not in content.lower()


def test_the_page_and_its_problems_in_korean(browser: Browser, world: World) -> None:
    korean: dict[str, Any] = HTTPS | {"headers": {"accept-language": "ko"}}
    assert "Corp(으)로 계속하기" in browser.get("/login/", **korean).content.decode()
    refused = browser.get("/login/corp/callback/?code=x&state=x", **korean)
    assert refused.status_code == 400
    assert "처음부터 다시" in refused.content.decode()


def test_one_signs_in_and_lands_where_one_came_from(browser: Browser, world: World) -> None:
    asked = begin(browser, query="?next=/api/v1/recordings/")
    assert asked[""] == "https://issuer.test/auth"
    assert asked["redirect_uri"] == "https://recorder.test/login/corp/callback/"
    assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"]) == ("code", "app", "S256")
    flow = signing.loads(browser.cookies[FLOW].value, salt="web.signin")
    assert asked["nonce"] == hashed(flow["nonce"])
    grant(world, asked)
    response = come_back(browser, asked)
    assert (response.status_code, response["Location"]) == (302, "/api/v1/recordings/"), response.content
    cookie = response.cookies[COOKIE]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Lax")
    assert response.cookies[FLOW].value == ""
    assert signed_in(browser)


def test_the_flows_cookie_is_out_of_reach_and_short_lived(browser: Browser, world: World) -> None:
    begin(browser)
    cookie = browser.cookies[FLOW]
    assert FLOW.startswith("__Host-")
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"], cookie["path"]) == (True, True, "Lax", "/")
    assert cookie["max-age"] == 600


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/",
        "//evil.test/",
        "/\\evil.test",
        "javascript:alert(1)",
        "https:evil.test",
        "\thttps://e.test",
    ],
)
def test_one_never_lands_on_another_site(browser: Browser, world: World, target: str) -> None:
    asked = begin(browser, query="?" + urlencode({"next": target}))
    grant(world, asked)
    assert come_back(browser, asked)["Location"] == "/"


@pytest.mark.parametrize(
    "changed", [{"state": "another"}, {"state": None}, {"state": ""}, {"iss": "https://evil.test"}, {"state": "é"}]
)
def test_what_was_not_begun_here_does_not_end_here(browser: Browser, world: World, changed: dict[str, Any]) -> None:
    asked = begin(browser)
    grant(world, asked)
    assert come_back(browser, asked, **changed).status_code == 400
    assert world.count("issuer.test/token") == 0
    assert not signed_in(browser)


def test_another_browser_can_not_be_signed_in(browser: Browser, world: World) -> None:
    """Login CSRF: mallory sends alice the end of mallory's own sign-in."""
    asked = begin(browser)
    grant(world, asked, "mallory")
    alice = Browser(headers={"host": "recorder.test"})
    assert come_back(alice, asked).status_code == 400
    begin(alice)
    assert come_back(alice, asked).status_code == 400
    assert not signed_in(alice)


def test_the_end_of_one_providers_flow_is_none_for_another(browser: Browser, world: World, settings: Settings) -> None:
    switch_on(settings, "google", "client", secret="shh")
    asked = begin(browser)
    other = {**asked, "redirect_uri": "https://recorder.test/login/google/callback/"}
    assert come_back(browser, other, iss=None).status_code == 400


def test_ten_minutes_are_enough(browser: Browser, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = begin(browser)
    grant(world, asked)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 601)
    assert come_back(browser, asked).status_code == 400


def test_a_token_for_another_flow_is_refused(browser: Browser, world: World) -> None:
    asked = begin(browser)
    grant(world, asked, nonce=hashed("another"))
    response = come_back(browser, asked)
    assert response.status_code == 401
    assert b"nonce" in response.content
    assert not signed_in(browser)


def test_one_may_say_no(browser: Browser, world: World) -> None:
    asked = begin(browser)
    assert come_back(browser, asked, code=None, error="access_denied").status_code == 401


def test_a_provider_that_is_down_is_said_on_the_page(browser: Browser, world: World) -> None:
    asked = begin(browser)
    world.answers["POST issuer.test/token"] = (502, b"")
    response = come_back(browser, asked)
    assert response.status_code == 503
    assert response["Retry-After"] == "10"
    assert b"does not answer" in response.content
    id_tokens._discovered.cache_clear()
    world.answers.clear()
    assert browser.get("/login/corp/", **HTTPS).status_code == 503


@pytest.mark.parametrize("name", ["guest", "myspace", "google"])
def test_what_is_off_is_not_found(browser: Browser, world: World, name: str) -> None:
    assert browser.get(f"/login/{name}/", **HTTPS).status_code == 404
    assert browser.get(f"/login/{name}/callback/?code=a&state=b", **HTTPS).status_code == 404


def test_it_begins_on_the_public_address(world: World, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["recorder.test", "lambda.test"]
    response = Browser(headers={"host": "lambda.test"}).get("/login/corp/?next=/", **HTTPS)
    assert response["Location"] == "https://recorder.test/login/corp/?next=/"


def test_signing_in_again_ends_the_browsers_old_session(browser: Browser, world: World) -> None:
    for _ in range(2):
        asked = begin(browser)
        grant(world, asked)
        come_back(browser, asked)
    sessions = browser.get("/api/v1/accounts/sessions/", **HTTPS).json()["results"]
    assert [(row["device_name"], row["current"]) for row in sessions] == [("Browser", True)]


def test_a_guests_page_can_link_and_keeps_the_account(browser: Browser, world: World) -> None:
    guest = sign_up()
    browser.cookies[COOKIE] = guest.auth_key
    page = browser.get("/login/", **HTTPS)
    assert b"Link Corp to the account" in page.content
    token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value, "next": "/"}
    refused = browser.post("/login/corp/", {"next": "/"}, headers={"referer": "https://recorder.test/"}, **HTTPS)
    assert refused.status_code == 403
    response = browser.post("/login/corp/", token, headers={"referer": "https://recorder.test/login/"}, **HTTPS)
    asked = dict(parse_qsl(urlsplit(response["Location"]).query))
    grant(world, asked)
    assert come_back(browser, asked).status_code == 302
    assert browser.cookies[COOKIE].value != guest.auth_key  # a new key, and the old one is not needed any more
    assert signed_in(browser) == guest.user_id
    assert guest.get("accounts/me/").status == 401
    assert not Client(browser.cookies[COOKIE].value).get("accounts/me/").json["is_guest"]


def test_the_page_for_linking_can_do_nothing_else(browser: Browser, world: World) -> None:
    """The account page leads there. Whoever meant to link must not end up in another account."""
    query = "?link=1&next=/%23/account"
    assert b"Sign in" in browser.get(f"/login/{query}", **HTTPS).content  # nobody is signed in yet
    browser.cookies[COOKIE] = sign_up().auth_key
    page = browser.get(f"/login/{query}", **HTTPS).content.decode()
    assert "Link Corp" in page
    assert 'name="next" value="/#/account"' in page
    assert "Continue" not in page
    assert "auth_key" not in page
    assert b"evil.test" not in browser.get("/login/?link=1&next=//evil.test", **HTTPS).content


def test_a_login_is_linked_to_the_account_that_was_meant(browser: Browser, world: World) -> None:
    """The account page of one account leads there, and by then the browser is signed in to another one, or to none."""
    guest, other = sign_up(), sign_up()
    browser.cookies[COOKIE] = other.auth_key
    page = browser.get(f"/login/?link=1&account={guest.user_id}", **HTTPS).content.decode()
    assert f'name="account" value="{guest.user_id}"' in page
    form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value, "account": guest.user_id}
    for auth_key, status in ((other.auth_key, 409), ("", 409), (guest.auth_key, 302)):
        browser.cookies[COOKIE] = auth_key
        answer = browser.post("/login/corp/", form, headers={"referer": "https://recorder.test/login/"}, **HTTPS)
        assert answer.status_code == status
    browser.cookies[COOKIE] = other.auth_key
    assert f'name="account" value="{other.user_id}"' in browser.get("/login/?link=1", **HTTPS).content.decode()


def press(browser: Browser, path: str = "/login/corp/", **fields: str) -> Any:
    """Send a form of the sign-in page."""
    form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value, "next": "/", **fields}
    return browser.post(path, form, headers={"referer": "https://recorder.test/login/"}, **HTTPS)


def query_of(response: Any) -> dict[str, str]:
    assert response.status_code == 302, response.content
    return dict(parse_qsl(urlsplit(response["Location"]).query))


@pytest.fixture
def guest(browser: Browser) -> Client:
    """Who is signed in to the browser. Nobody else has the key."""
    guest = sign_up()
    browser.cookies[COOKIE] = guest.auth_key
    return guest


def test_a_guest_is_asked_before_another_account_takes_the_browser(
    browser: Browser, guest: Client, world: World
) -> None:
    """Wherever the way here began: another site can send a browser to this address too."""
    before = snapshot()
    page = browser.get("/login/corp/?next=/api/v1/recordings/", **HTTPS)
    content = page.content.decode()
    assert (page.status_code, page["Cache-Control"]) == (200, "no-store")
    assert "Leave it behind and continue with Corp" in content
    assert "Link Corp to the account" in content
    assert content.count(guest.user_id) == 2
    assert 'name="next" value="/api/v1/recordings/"' in content
    assert FLOW not in browser.cookies
    assert snapshot() == before
    assert signed_in(browser) == guest.user_id


def test_a_guest_who_is_asked_may_link(browser: Browser, guest: Client, world: World) -> None:
    browser.get("/login/corp/", **HTTPS)
    asked = query_of(press(browser, account=guest.user_id))
    grant(world, asked)
    assert come_back(browser, asked).status_code == 302
    assert browser.cookies[COOKIE].value != guest.auth_key  # a new key, and the old one is not needed any more
    assert signed_in(browser) == guest.user_id
    assert guest.get("accounts/me/").status == 401
    assert not Client(browser.cookies[COOKIE].value).get("accounts/me/").json["is_guest"]


def test_linking_takes_no_browser_that_is_another_accounts_by_now(
    browser: Browser, guest: Client, world: World
) -> None:
    browser.get("/login/corp/", **HTTPS)
    asked = query_of(press(browser, account=guest.user_id))
    grant(world, asked)
    other = sign_up()
    browser.cookies[COOKIE] = other.auth_key
    assert come_back(browser, asked).status_code == 302
    assert signed_in(browser) == other.user_id
    assert not guest.get("accounts/me/").json["is_guest"]  # it was linked all the same, and has an hour left


def test_the_page_sets_no_cookie_of_a_key_that_has_been_replaced(
    browser: Browser, guest: Client, world: World
) -> None:
    """A tab that asks beside the linking would undo what that has set."""
    browser.get("/login/corp/", **HTTPS)
    asked = query_of(press(browser, account=guest.user_id))
    grant(world, asked)
    tab = Browser(headers={"host": "recorder.test"})
    tab.cookies[COOKIE] = guest.auth_key
    assert COOKIE in tab.get("/", **HTTPS).cookies
    come_back(browser, asked)
    assert COOKIE not in tab.get("/", **HTTPS).cookies


def test_a_guest_who_is_asked_may_go(browser: Browser, guest: Client, world: World) -> None:
    browser.get("/login/corp/", **HTTPS)
    refused = browser.post("/login/corp/", {"leave": guest.user_id}, **HTTPS)
    assert refused.status_code == 403
    asked = query_of(press(browser, leave=guest.user_id))
    grant(world, asked)
    assert come_back(browser, asked).status_code == 302
    assert signed_in(browser) not in ("", guest.user_id)
    assert guest.get("accounts/me/").json["is_guest"]


@pytest.mark.parametrize("leave", ["", "0" * 32])
def test_whoever_leaves_one_account_is_asked_about_another(browser: Browser, world: World, leave: str) -> None:
    """A guest who came to be in another tab meanwhile, before the form was sent or after."""
    browser.get("/login/", **HTTPS)
    asked = query_of(press(browser, leave=leave) if leave else browser.get("/login/corp/", **HTTPS))
    guest = sign_up()
    browser.cookies[COOKIE] = guest.auth_key
    grant(world, asked)
    page = come_back(browser, asked)
    assert page.status_code == 200
    assert "Leave it behind" in page.content.decode()
    assert world.count("issuer.test/token") == 0
    assert signed_in(browser) == guest.user_id
    assert "Leave it behind" in press(browser, leave="0" * 32).content.decode()


def test_nobody_else_is_asked(browser: Browser, world: World) -> None:
    for subject in ("alice", "charlie"):  # she can sign in again, and the second time there is nobody
        asked = begin(browser)
        grant(world, asked, subject)
        come_back(browser, asked)
    charlie = signed_in(browser)
    Session.all_of(UserId(charlie))[0].delete()
    begin(browser)


def test_following_the_button_while_signed_in_links_nothing(browser: Browser, world: World) -> None:
    asked = begin(browser)
    grant(world, asked, "alice")
    come_back(browser, asked)
    alice = signed_in(browser)
    key = browser.cookies[COOKIE].value
    asked = begin(browser)
    grant(world, asked, "charlie")
    come_back(browser, asked)
    assert signed_in(browser) != alice
    assert len(Client(key).get("accounts/identities/").json["results"]) == 1


def test_the_question_in_korean(browser: Browser, guest: Client, world: World) -> None:
    korean: dict[str, Any] = HTTPS | {"headers": {"accept-language": "ko"}}
    content = browser.get("/login/corp/", **korean).content.decode()
    assert "이 계정을 버리고 Corp(으)로 계속하기" in content
    assert "Leave" not in content


@pytest.fixture
def apple(world: World, settings: Settings) -> World:
    switch_on(settings, "apple", "com.example.web")
    settings.APPLE_TEAM_ID, settings.APPLE_KEY_ID = "TEAM", "KEY"
    settings.APPLE_PRIVATE_KEY = pem(private_key("ES256", "apple's")).decode()
    world.answers["GET appleid.apple.com/auth/keys"] = (200, jwks(("RS256", "one")))
    return world


def agree(apple: World, asked: dict[str, str], subject: str = "001.a") -> None:
    token = id_token(subject, iss="https://appleid.apple.com", aud="com.example.web", nonce=asked["nonce"])
    apple.answers["POST appleid.apple.com/auth/token"] = (200, {"id_token": token, "refresh_token": "r"})


def submit(browser: Browser, form: dict[str, str]) -> Any:
    """Apple's page sends its form. As it is of another site, the browser keeps all cookies back but SameSite=None."""
    held = {
        name: browser.cookies[name] for name in list(browser.cookies) if browser.cookies[name]["samesite"] != "None"
    }
    for name in held:
        del browser.cookies[name]
    elsewhere = {"origin": "https://appleid.apple.com", "referer": "https://appleid.apple.com/"}
    response = browser.post("/login/apple/callback/", form, headers=elsewhere, **HTTPS)
    for name in set(held) - set(response.cookies):
        browser.cookies[name] = held[name]
    return response


def follow(browser: Browser, response: Any) -> Any:
    assert (response.status_code, response["Location"]) == (303, "/login/apple/callback/"), response.content
    return browser.get(response["Location"], **HTTPS)


def test_apple_comes_back_with_a_post_from_its_own_page(browser: Browser, apple: World) -> None:
    asked = begin(browser, "apple", "?next=/api/v1/docs/")
    assert (asked["response_mode"], asked["scope"]) == ("form_post", "name email")
    cookie = browser.cookies[FLOW]
    assert (cookie["samesite"], cookie["secure"]) == ("None", True)
    agree(apple, asked)
    user = json.dumps({"name": {"firstName": "Alice", "lastName": "Kim"}, "email": "a@example.com"})
    form = {"code": "the-code", "state": asked["state"], "user": user}
    assert submit(browser, {**form, "state": "x"}).status_code == 400
    response = submit(browser, form)
    kept = response.cookies[FLOW]
    assert (kept["samesite"], kept["secure"], kept["httponly"], kept["max-age"]) == ("Lax", True, True, 60)
    assert response["Cache-Control"] == "no-store"
    assert apple.count("appleid.apple.com/auth/token") == 0
    for said in ("the-code", "Alice", asked["state"]):  # nor in base64
        assert said not in kept.value
        assert base64.b64encode(said.encode()).decode().rstrip("=")[:-1] not in kept.value
    response = follow(browser, response)
    assert (response.status_code, response["Location"]) == (302, "/api/v1/docs/"), response.content
    assert Client(browser.cookies[COOKIE].value).get("accounts/me/").json["name"] == "Alice Kim"


def test_a_guest_is_asked_before_apples_login_takes_the_browser(browser: Browser, apple: World) -> None:
    """Signed in while Apple's page was open."""
    asked = begin(browser, "apple")
    guest = sign_up()
    browser.cookies[COOKIE] = guest.auth_key
    agree(apple, asked)
    page = follow(browser, submit(browser, {"code": "the-code", "state": asked["state"]}))
    assert page.status_code == 200
    assert "Leave it behind and continue with Apple" in page.content.decode()
    assert apple.count("appleid.apple.com/auth/token") == 0
    assert signed_in(browser) == guest.user_id


def test_signing_in_again_with_apple_ends_the_browsers_old_session(browser: Browser, apple: World) -> None:
    for _ in range(2):
        asked = begin(browser, "apple")
        agree(apple, asked)
        follow(browser, submit(browser, {"code": "the-code", "state": asked["state"]}))
    assert len(browser.get("/api/v1/accounts/sessions/", **HTTPS).json()["results"]) == 1


def test_what_apple_said_counts_once(browser: Browser, apple: World) -> None:
    asked = begin(browser, "apple")
    agree(apple, asked)
    assert browser.get("/login/apple/callback/", **HTTPS).status_code == 400  # nothing has been said yet
    query = urlencode({"code": "the-code", "state": asked["state"]})
    assert browser.get(f"/login/apple/callback/?{query}", **HTTPS).status_code == 400
    response = submit(browser, {"code": "the-code", "state": asked["state"]})
    browser.cookies[FLOW]["samesite"] = "None"
    assert submit(browser, {"code": "the-code", "state": asked["state"]}).status_code == 400
    browser.cookies[FLOW] = response.cookies[FLOW].value
    assert follow(browser, response).status_code == 302
    assert follow(browser, response).status_code == 400
    assert apple.count("appleid.apple.com/auth/token") == 1


def test_what_apple_said_waits_for_a_minute(browser: Browser, apple: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = begin(browser, "apple")
    response = submit(browser, {"code": "the-code", "state": asked["state"]})
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 61)
    assert follow(browser, response).status_code == 400
    assert apple.count("appleid.apple.com/auth/token") == 0


def test_what_apple_said_is_for_its_own_login_and_browser(browser: Browser, apple: World, settings: Settings) -> None:
    asked = begin(browser, "apple")
    submit(browser, {"code": "the-code", "state": asked["state"]})
    assert browser.get("/login/corp/callback/", **HTTPS).status_code == 400
    other = Browser(headers={"host": "recorder.test"})
    begin(other, "apple")
    assert other.get("/login/apple/callback/", **HTTPS).status_code == 400


def test_one_may_say_no_to_apple(browser: Browser, apple: World) -> None:
    asked = begin(browser, "apple")
    page = follow(browser, submit(browser, {"error": "user_cancelled_authorize", "state": asked["state"]}))
    assert page.status_code == 401
    assert b"Nothing came of signing in there" in page.content
    assert not signed_in(browser)


@pytest.mark.parametrize("user", ["", "[]", "{}", '{"name":null}', '{"name":{"firstName":["a"]}}', "[" * 5000])
def test_apples_name_may_be_anything(user: str) -> None:
    from django.http import QueryDict

    from web.signin import apples_name

    assert isinstance(apples_name(QueryDict(urlencode({"user": user}))), str)
