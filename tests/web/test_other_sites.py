"""What pages of other sites can make a signed-in browser do: nothing. The list of calls comes from the router."""

import json
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client as Browser

from accounts.authentication import COOKIE, set_cookie
from accounts.models import Account
from tests.client import HOST, Client, declare
from tests.state import sessions, snapshot
from tests.test_strangers import CONTENT, MATRIX, Endpoint
from tests.web.test_pages import Browser as Page

UNSAFE = {call: entry for call, entry in MATRIX.items() if call.partition(" ")[0] not in ("GET", "HEAD", "OPTIONS")}
HERE = f"https://{HOST}"
ELSEWHERE = [
    "https://evil.test",
    "null",
    f"https://evil.{HOST}",
    f"https://{HOST}.evil.test",
    f"https://{HOST}@evil.test",
    f"https://{HOST}:8443",
    f"http://{HOST}",
    f"https://evil{HOST}",
    "https://app.test",  # may call with a key of its own, never with this browser's cookie
    "",
]


@pytest.fixture
def browser(alice: Client) -> Browser:
    """Alice's, with the page's cookies."""
    browser = Browser(enforce_csrf_checks=True, raise_request_exception=False, headers={"host": HOST})
    browser.cookies[COOKIE] = alice.auth_key
    browser.get("/login/", secure=True)
    assert browser.cookies["csrftoken"].value
    return browser


def send(browser: Browser, call: str, entry: Endpoint, **headers: str) -> Any:
    method, _, path = call.partition(" ")
    known = {"id": "0" * 32, "session_id": "0" * 64, "share_id": "0" * 64, "name": "Talk.wav"}
    url = f"/api/v1/{path.format(**known)}{entry.query}"
    raw = isinstance(entry.body, bytes)
    body: Any = entry.body if raw else entry.body or {}
    sent = {name.replace("_", "-"): value for name, value in headers.items() if value}
    kind = "audio/wav" if raw else "application/json"
    return browser.generic(
        method, url, body if raw else json.dumps(body).encode(), content_type=kind, secure=True, headers=sent
    )


def refused(answer: Any) -> bool:
    return bool(answer.status_code == 403 and answer.json()["code"] == "csrf_failed")


@pytest.mark.parametrize("call", [call for call, entry in UNSAFE.items() if entry.kind != "open"])
def test_a_cookie_alone_changes_nothing(browser: Browser, call: str) -> None:
    """Nor with a token that is not the page's, nor with the page's from anywhere else than the page."""
    token, entry = browser.cookies["csrftoken"].value, UNSAFE[call]
    before = snapshot()
    assert refused(send(browser, call, entry, origin=HERE))
    assert refused(send(browser, call, entry, origin=HERE, x_csrftoken="x" * len(token)))
    for origin in ELSEWHERE:
        assert refused(send(browser, call, entry, origin=origin, x_csrftoken=token)), origin
        if origin and "@" not in origin:
            assert refused(send(browser, call, entry, referer=f"{origin}/", x_csrftoken=token)), origin
    assert snapshot() == before
    assert send(browser, call, entry, origin=HERE, x_csrftoken=token).status_code != 403


@pytest.mark.parametrize("call", [call for call, entry in UNSAFE.items() if entry.kind == "open"])
def test_what_needs_no_key_takes_no_cookie_and_gives_none(browser: Browser, call: str) -> None:
    """So that no other site can sign this browser in, as somebody else."""
    body = Endpoint("open", body={"provider": "guest"})
    answer = send(browser, call, body, origin="https://evil.test")
    assert answer.status_code in (201, 404)
    assert answer.cookies == {}
    plain = browser.generic(
        "POST", "/api/v1/accounts/login/", b'{"provider":"guest"}', content_type="text/plain", secure=True
    )
    assert plain.status_code == 415  # what a form of another site can send without asking first


@pytest.mark.parametrize("origin", ELSEWHERE)
@pytest.mark.parametrize("path", ["/login/", "/logout/", "/login/corp/", f"/s/{'x' * 43}"])
def test_forms_of_other_sites_are_refused(browser: Browser, alice: Client, path: str, origin: str) -> None:
    form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value, "provider": "guest", "password": "x"}
    before = snapshot()
    assert browser.post(path, form, secure=True, headers={"origin": origin} if origin else {}).status_code == 403
    assert snapshot() == before
    assert len(sessions(alice.user_id)) == 1


@pytest.mark.parametrize("origin", ["https://evil.test", "null", f"https://evil.{HOST}", "https://app.test.evil.test"])
def test_other_origins_read_nothing(browser: Browser, origin: str) -> None:
    for path in ("recordings/", "accounts/me/", "accounts/providers/", "nothing/"):
        for method in ("GET", "OPTIONS"):
            answer = browser.generic(
                method,
                f"/api/v1/{path}",
                secure=True,
                headers={"origin": origin, "access-control-request-method": "DELETE"},
            )
            found = [name for name in answer.headers if name.lower().startswith("access-control-allow")]
            assert found == [], (method, path)


def test_named_origins_read_without_this_browsers_cookie(browser: Browser) -> None:
    """CORS_ORIGINS is for apps that send a key. Browsers give no answer to a call with cookies without this header."""
    assert settings.CORS_ALLOWED_ORIGINS == ["https://app.test"]
    for method in ("GET", "OPTIONS"):
        answer = browser.generic(
            method,
            "/api/v1/accounts/me/",
            secure=True,
            headers={"origin": "https://app.test", "access-control-request-method": "PATCH"},
        )
        assert answer["Access-Control-Allow-Origin"] == "https://app.test"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "x-csrftoken" not in answer.headers.get("Access-Control-Allow-Headers", "").lower()
    page = browser.get("/login/", secure=True, headers={"origin": "https://app.test"})
    assert "Access-Control-Allow-Origin" not in page.headers  # it holds the form's token


def test_a_cookie_and_a_key_are_not_mixed_up(browser: Browser, alice: Client, charlie: Client) -> None:
    """Whoever sends a key is asked for no token, and is who the key says."""
    headers = {"authorization": f"Bearer {charlie.auth_key}"}
    assert browser.get("/api/v1/accounts/me/", secure=True, headers=headers).json()["user_id"] == charlie.user_id
    answer = browser.post("/api/v1/recordings/", declare(CONTENT), "application/json", secure=True, headers=headers)
    assert answer.status_code == 201
    assert (alice.used_bytes(), charlie.used_bytes()) == (0, len(CONTENT))
    for scheme in ("Bearer nonsense", "Basic x", "Bearer"):
        assert browser.get("/api/v1/accounts/me/", secure=True, headers={"authorization": scheme}).status_code == 401


# Other tabs of this browser.


@pytest.mark.parametrize("call", [call for call, entry in MATRIX.items() if entry.kind != "open"])
def test_a_page_of_another_account_can_do_nothing(browser: Browser, charlie: Client, call: str) -> None:
    """Charlie's tab stays open while alice signs in in another one, so that its calls come with her cookie."""
    token, entry = browser.cookies["csrftoken"].value, MATRIX[call]
    before = snapshot()
    answer = send(browser, call, entry, origin=HERE, x_csrftoken=token, x_recorder_account=charlie.user_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "other_account")
    assert snapshot() == before


def test_a_page_of_the_same_account_can(browser: Browser, alice: Client, charlie: Client) -> None:
    """And whoever sends a key is who the key says."""
    path, name = "/api/v1/accounts/me/", "x-recorder-account"
    assert browser.get(path, secure=True, headers={name: alice.user_id}).status_code == 200
    assert alice.get("accounts/me/", x_recorder_account=charlie.user_id).status == 200


# Cookies.


def test_signing_in_replaces_the_cookie(alice: Client) -> None:
    """A cookie that somebody planted before is worth nothing to him afterwards. A guest's own stays, since it is all
    that a guest has: no other host can set one of that name.
    """
    Account(alice.user_id, "account").update([Account.identities.set(["a login"]), Account.is_guest.set(False)])
    page = Page()
    page.http.cookies[COOKIE] = alice.auth_key
    answer = page.submit("/login/", provider="guest")
    assert answer.status_code == 302
    assert page.key != alice.auth_key
    assert page.key.partition(".")[0] != alice.user_id
    assert alice.get("accounts/sessions/").json["results"][0]["current"]
    assert page.get("/api/v1/accounts/me/").json["user_id"] == page.key.partition(".")[0]


def test_no_cookie_goes_over_http_nor_to_another_host() -> None:
    page = Page()
    page.submit("/login/", provider="guest")
    assert settings.CSRF_COOKIE_SECURE
    for name, cookie in page.http.cookies.items():
        assert (cookie["secure"], cookie["domain"], cookie["path"]) == (True, "", "/"), name
        assert cookie["samesite"] == "Lax", name
    assert page.http.cookies[COOKIE]["httponly"]


def test_the_keys_cookie_is_one_that_no_other_host_can_set() -> None:
    response = HttpResponse()
    set_cookie(response, "key")
    (name,) = response.cookies
    assert name.startswith("__Host-")


# Hosts.


@pytest.mark.parametrize("host", ["evil.test", f"{HOST}.evil.test", f"evil.{HOST}", f"{HOST}@evil.test", "", "a b"])
@pytest.mark.parametrize(
    "path", ["/", "/login/", "/api/v1/recordings/", "/api/v1/docs/", f"/s/{'x' * 43}", "/nothing"]
)
def test_another_host_is_refused_and_never_told_back(host: str, path: str) -> None:
    answer = Client().get(path, host=host, x_forwarded_host=host)
    assert answer.status == 400
    assert not host or host not in answer.content.decode() + repr(dict(answer.headers))


def test_what_a_proxy_is_said_to_have_seen_makes_no_links(alice: Client) -> None:
    forged = {"x_forwarded_host": "evil.test", "forwarded": "host=evil.test", "x_original_url": "/evil.test"}
    id = alice.record(CONTENT)["id"]
    told = [
        alice.post("recordings/uppy/", **forged),
        alice.post(f"recordings/{id}/shares/", {}, **forged),
        alice.post("accounts/feeds/", {}, **forged),
        alice.get("recordings/", accept="text/html", **forged),
    ]
    for answer in told:
        assert answer.status in (200, 201), answer
        assert "evil.test" not in answer.content.decode()
