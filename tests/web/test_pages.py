"""The pages: signing a browser in and out, the browsable API, health, the API's own document."""

from html import unescape
from typing import Any

import pytest
from django.conf import settings

from accounts.authentication import COOKIE
from tests.client import HOST, Answer, Client
from tests.state import calls, failing, sessions, snapshot

HEALTHY = {"status": "ok", "version": settings.VERSION}
HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"  # as browsers send it


class Browser(Client):
    """It has cookies and no key, asks for HTML, and sends forms with the token of the page."""

    def open(self, path: str) -> Answer:
        return self.get(path, accept=HTML)

    def submit(self, path: str, referer: str = f"https://{HOST}/login/", **fields: str) -> Any:
        self.open("/login/")
        token = self.http.cookies["csrftoken"].value
        form = {"csrfmiddlewaretoken": token} | fields
        return self.http.post(path, form, secure=True, headers={"referer": referer})

    @property
    def key(self) -> str:
        return self.http.cookies[COOKIE].value


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def guest(browser: Browser) -> Browser:
    browser.submit("/login/", provider="guest")
    return browser


def test_signing_in_as_a_guest_sets_a_cookie_that_scripts_cannot_read(browser: Browser) -> None:
    answer = browser.submit("/login/", provider="guest", next="/api/v1/recordings/")
    cookie = browser.http.cookies[COOKIE]
    assert (answer.status_code, answer["Location"]) == (302, "/api/v1/recordings/")
    assert COOKIE == "__Host-recorder"  # browsers take such a name only with Secure, Path=/ and no Domain
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["path"], cookie["domain"], cookie["max-age"]) == ("/", "", 400 * 86400)
    (session,) = sessions(browser.key.partition(".")[0])
    assert session.device_name == "Browser"


def test_signing_in_with_the_key_of_an_app(browser: Browser, alice: Client) -> None:
    answer = browser.submit("/login/", auth_key=f" {alice.auth_key} ")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert alice.user_id in browser.open("/").content.decode()


def test_a_guest_who_continues_as_a_guest_stays_the_same(guest: Browser) -> None:
    """As in a tab that was left open on the sign-in page."""
    key, before = guest.key, snapshot()
    answer = guest.submit("/login/", provider="guest", next="/api/v1/recordings/")
    assert (answer.status_code, answer["Location"]) == (302, "/api/v1/recordings/")
    assert guest.key == key
    assert snapshot() == before


def test_a_guest_whose_session_has_ended_begins_anew(guest: Browser) -> None:
    user_id = guest.key.partition(".")[0]
    sessions(user_id)[0].delete()
    assert guest.submit("/login/", provider="guest").status_code == 302
    assert guest.key.partition(".")[0] != user_id


def test_a_guest_is_asked_before_a_key_takes_the_browser(guest: Browser, alice: Client) -> None:
    key = guest.key
    guest_id = key.partition(".")[0]
    for leave in ("", alice.user_id):
        page = guest.submit("/login/", auth_key=alice.auth_key, next="/api/v1/docs/", leave=leave)
        content = page.content.decode()
        assert page.status_code == 200
        assert "Leave it behind and sign in with the key" in content
        assert f'name="leave" value="{guest_id}"' in content
        assert 'name="next" value="/api/v1/docs/"' in content
        assert alice.auth_key not in content
        assert guest.key == key
    assert guest.submit("/login/", auth_key="x").status_code == 401
    assert guest.submit("/login/", auth_key=key).status_code == 302
    assert guest.key == key
    assert guest.submit("/login/", auth_key=alice.auth_key, leave=guest_id).status_code == 302
    assert guest.key == alice.auth_key


@pytest.mark.parametrize("fields", [{}, {"auth_key": "x"}, {"auth_key": ""}, {"provider": "nonsense"}])
def test_wrong_keys_sign_nobody_in(browser: Browser, fields: dict[str, str]) -> None:
    before = snapshot()
    answer = browser.submit("/login/", **fields)
    assert answer.status_code == 401
    assert "not valid" in answer.content.decode()
    assert COOKIE not in browser.http.cookies
    assert snapshot() == before


def test_forms_want_their_csrf_token(browser: Browser, guest: Browser) -> None:
    before = snapshot()
    for path, form in (("/login/", {"provider": "guest"}), ("/logout/", {})):
        for extra in ({}, {"csrfmiddlewaretoken": "x" * 64}):
            answer = browser.http.post(path, form | extra, secure=True, headers={"referer": f"https://{HOST}/"})
            assert answer.status_code == 403
    assert browser.submit("/login/", referer="https://evil.test/", provider="guest").status_code == 403
    assert snapshot() == before
    assert guest.open("/api/v1/accounts/me/").status == 200


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/",
        "//evil.test/",
        "///evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "http:evil.test",
        f"http://{HOST}/",
        "javascript:alert(1)",
        "data:text/html,x",
        f"https://{HOST}@evil.test/",
        f"https://{HOST}.evil.test/",
        "/\t/evil.test",
        "\x00//evil.test",
    ],
)
def test_nobody_is_sent_to_another_site(browser: Browser, target: str) -> None:
    page = browser.http.get("/login/", {"next": target}, secure=True).content.decode()
    assert 'name="next" value="/"' in page
    assert browser.submit("/login/", provider="guest", next=target)["Location"] == "/"


def test_what_comes_in_is_escaped(browser: Browser) -> None:
    page = browser.http.get("/login/", {"next": '/"><script>x'}, secure=True).content.decode()
    assert "<script>x" not in page
    assert 'value="/"><script>x"' in unescape(page)


def test_signing_out_ends_the_session_and_takes_the_cookie(guest: Browser) -> None:
    user_id = guest.key.partition(".")[0]
    answer = guest.submit("/logout/")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert guest.http.cookies[COOKIE].value == ""
    assert guest.http.cookies[COOKIE]["secure"]
    assert sessions(user_id) == []
    assert guest.open("/api/v1/accounts/me/").status == 401
    assert guest.submit("/logout/").status_code == 302


def test_home(browser: Browser, alice: Client) -> None:
    page = browser.open("/")
    assert page.status == 200
    assert "Sign in" in page.content.decode()
    browser.http.cookies[COOKIE] = alice.auth_key
    assert "Sign out" in browser.open("/").content.decode()


def test_whoever_comes_back_keeps_the_cookie(guest: Browser) -> None:
    """It has to outlive the session, which each day of use moves on; and browsers keep none for longer than this."""
    key = guest.key
    guest.http.cookies.clear()
    guest.http.cookies[COOKIE] = key
    guest.open("/")
    cookie = guest.http.cookies[COOKIE]
    assert (cookie.value, cookie["max-age"]) == (key, 400 * 86400)
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Lax")


def test_a_key_that_opens_nothing_is_not_kept(guest: Browser) -> None:
    key = guest.key
    guest.submit("/logout/")
    guest.http.cookies[COOKIE] = key
    assert COOKIE not in guest.http.get("/", secure=True).cookies
    assert COOKIE not in Browser().http.get("/", secure=True).cookies


@pytest.mark.parametrize("path", ["recordings/", "recordings/?shelf=trash", "accounts/me/", "accounts/sessions/"])
def test_the_api_is_a_page_for_a_browser_that_is_signed_in(guest: Browser, path: str) -> None:
    page = guest.open(f"/api/v1/{path}")
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Sign out" in page.content.decode()
    assert "HTTP 200 OK" in page.content.decode()


def test_the_page_of_one_recording(guest: Browser) -> None:
    app = Client(guest.key)
    id = app.record(b"one", name="<script>alert(1)</script>")["id"]
    page = guest.open(f"/api/v1/recordings/{id}/")
    assert page.status == 200
    assert "<script>alert(1)" not in page.content.decode()


def test_the_api_tells_a_browser_to_sign_in(browser: Browser) -> None:
    page = browser.open("/api/v1/recordings/")
    assert (page.status, page.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "/login/?next=/api/v1/recordings/" in page.content.decode()


def test_a_problem_is_a_page_for_a_browser(guest: Browser) -> None:
    page = guest.open("/api/v1/recordings/?limit=0")
    assert (page.status, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")


@pytest.mark.parametrize("path", ["recordings/", "recordings/{id}/"])
def test_the_page_is_not_the_json_that_the_browser_has(guest: Browser, path: str) -> None:
    path = f"/api/v1/{path.format(id=Client(guest.key).upload(b'one').json['id'])}"
    tag = guest.get(path, accept="application/json").headers["ETag"]
    assert guest.get(path, accept="application/json", if_none_match=tag).status == 304
    page = guest.get(path, accept=HTML, if_none_match=tag)
    assert (page.status, page.headers.get("ETag")) == (200, None)
    assert page.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_programs_get_json(guest: Browser, accept: str) -> None:
    answer = guest.get("/api/v1/recordings/", accept=accept)
    assert answer.headers["Content-Type"] == "application/json"


def test_pages_cannot_be_framed_nor_sniffed(browser: Browser) -> None:
    for path in ("/", "/login/", "/api/v1/recordings/", "/api/v1/docs/"):
        headers = browser.open(path).headers
        assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
        assert headers["Strict-Transport-Security"] == f"max-age={365 * 86400}"


def test_health_asks_nobody(nobody: Client) -> None:
    with calls() as sent:
        answer = nobody.get("/health/")
    assert (answer.status, answer.json, sent) == (200, HEALTHY, [])


def test_deep_health_asks_dynamodb_and_s3(nobody: Client) -> None:
    with calls() as sent:
        answer = nobody.get("/health/?deep=1")
    assert (answer.status, answer.json) == (200, HEALTHY)
    assert sorted(set(sent)) == ["GetItem", "HeadBucket"]


@pytest.mark.parametrize("operation", ["GetItem", "HeadBucket"])
@pytest.mark.parametrize(("code", "status"), [("ServiceUnavailable", 503), ("AccessDeniedException", 403)])
def test_deep_health_says_so_when_one_fails(nobody: Client, operation: str, code: str, status: int) -> None:
    with failing(operation, code=code, status=status):
        answer = nobody.get("/health/?deep=1")
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "unavailable", "1")
    assert code not in answer.content.decode()


def test_schema(nobody: Client) -> None:
    answer = nobody.get("schema/", accept="application/vnd.oai.openapi+json")
    assert answer.status == 200
    assert answer.json["openapi"].startswith("3.1")
    assert answer.json["components"]["schemas"]["Problem"]
    assert answer.json["paths"]["/api/v1/recordings/{id}/complete/"]["post"]["responses"].keys() >= {"200", "default"}
    assert nobody.get("schema/").content.startswith(b"openapi: 3.1")


def test_docs(browser: Browser) -> None:
    page = browser.open("/api/v1/docs/")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "swagger-ui" in page.content.decode()
    assert "//cdn" not in page.content.decode()


def test_the_pages_in_korean(browser: Browser) -> None:
    home, login = (browser.get(path, accept=HTML, accept_language="ko-KR, en;q=0.8") for path in ("/", "/login/"))
    assert '<html lang="ko">' in home.content.decode()
    assert "로그인" in home.content.decode()
    assert "게스트로 계속하기" in login.content.decode()
    assert "guest" not in login.content.decode().replace('value="guest"', "")
