"""Who is calling: Bearer keys and the pages' cookie. Everything else is 401, with the scheme that is wanted."""

import time
from collections.abc import Iterator

import pytest

from accounts.authentication import COOKIE
from accounts.models import Session
from tests.accounts.test_sessions import another_device, expire
from tests.client import Answer, Client
from tests.state import snapshot

AUDIO = b"RIFF, more or less"


def refused(answer: Answer, code: str) -> None:
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.code == code


def with_cookie(auth_key: str) -> Client:
    """A browser that holds this key."""
    browser = Client()
    browser.http.cookies[COOKIE] = auth_key
    return browser


def csrf(browser: Client) -> dict[str, str]:
    """What the page's own JavaScript sends along."""
    browser.get("/login/")
    return {"X_CSRFToken": browser.http.cookies["csrftoken"].value, "referer": "https://recorder.test/"}


def wrong_keys(alice: Client, charlie: Client) -> Iterator[str]:
    user_id, _, secret = alice.auth_key.partition(".")
    yield "x"
    yield user_id
    yield secret
    yield f"{user_id}."
    yield f".{secret}"
    yield f"{user_id}.account"
    yield f"{user_id}.{alice.session_id}"  # what is stored, as if the table had leaked
    yield f"{user_id}.{alice.session_id[:43]}"
    yield f"{user_id}.{secret[:-1]}"
    yield f"{user_id}.{secret}="
    yield f"{user_id}.{secret}a"
    yield f"{user_id}.{secret.swapcase()}"
    yield f"{user_id.upper()}.{secret}" if user_id.upper() != user_id else "x"
    yield f"{charlie.user_id}.{secret}"  # her secret, his account
    yield f"{user_id}.{charlie.auth_key.partition('.')[2]}"
    yield f"{user_id}.{secret}, Bearer {alice.auth_key}"
    yield f"{user_id} {secret}"
    yield "x" * 100_000
    yield "\xe9\xff"


def test_a_key_opens_its_account_and_no_other(alice: Client, charlie: Client) -> None:
    assert alice.get("accounts/me/").json["user_id"] == alice.user_id
    assert charlie.get("accounts/me/").json["user_id"] == charlie.user_id


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
def test_the_scheme_is_written_in_any_case(alice: Client, scheme: str) -> None:
    """RFC 9110, section 11.1."""
    assert alice.get("accounts/me/", authorization=scheme + alice.auth_key).status == 200


def test_without_a_key(nobody: Client) -> None:
    refused(nobody.get("accounts/me/"), "not_authenticated")


def test_wrong_keys(alice: Client, charlie: Client) -> None:
    before = snapshot()
    for key in wrong_keys(alice, charlie):
        refused(alice.get("accounts/me/", authorization=f"Bearer {key}"), "invalid_key")
    assert snapshot() == before


def test_other_schemes(alice: Client) -> None:
    for header in ("Bearer", "Basic eDp5", "Token x", f"Token {alice.auth_key}", alice.auth_key, "Bearer: x", "é"):
        refused(alice.get("accounts/me/", authorization=header), "invalid_key")


def test_an_expired_key(alice: Client) -> None:
    expire(alice)
    refused(alice.get("accounts/me/"), "invalid_key")


def test_a_key_ends_in_the_second_that_it_says(alice: Client) -> None:
    session = Session(alice.user_id, alice.session_id)
    session.update([Session.expires_at.set(int(time.time()) + 60)])
    assert alice.get("accounts/me/").status == 200
    session.update([Session.expires_at.set(int(time.time()))])
    refused(alice.get("accounts/me/"), "invalid_key")


def test_a_revoked_key(alice: Client) -> None:
    tablet = another_device(alice, "Tablet")
    alice.delete(f"accounts/sessions/{tablet.session_id}/")
    refused(tablet.get("accounts/me/"), "invalid_key")


def test_the_key_of_a_closed_account(alice: Client) -> None:
    alice.delete("accounts/me/")
    refused(alice.get("accounts/me/"), "invalid_key")


def test_a_key_in_the_query_or_the_body_is_none(alice: Client, nobody: Client) -> None:
    for path in (f"recordings/?auth_key={alice.auth_key}", f"recordings/?access_token={alice.auth_key}"):
        refused(nobody.get(path), "not_authenticated")
    refused(nobody.post("recordings/", {"auth_key": alice.auth_key}), "not_authenticated")


def test_a_cookie_reads(alice: Client) -> None:
    assert with_cookie(alice.auth_key).get("accounts/me/").json["user_id"] == alice.user_id


def test_a_cookie_writes_only_with_the_csrf_token(alice: Client) -> None:
    browser = with_cookie(alice.auth_key)
    before = snapshot()
    for method, path in (("POST", "recordings/"), ("PATCH", "accounts/me/"), ("DELETE", "accounts/me/")):
        answer = browser.call(method, path, {"name": "x"})
        assert (answer.status, answer.code) == (403, "csrf_failed")
    answer = browser.upload(AUDIO)
    assert (answer.status, answer.code) == (403, "csrf_failed")
    assert snapshot() == before
    assert browser.patch("accounts/me/", {"name": "new"}, **csrf(browser)).json["name"] == "new"
    assert browser.upload(AUDIO, **csrf(browser)).status == 201


def test_the_csrf_token_of_another_origin_does_not_help(alice: Client) -> None:
    browser = with_cookie(alice.auth_key)
    token = csrf(browser)
    for wrong in (
        token | {"referer": "https://evil.test/"},
        token | {"origin": "https://evil.test"},
        token | {"X_CSRFToken": "x" * 64},
        {"referer": token["referer"]},
    ):
        answer = browser.patch("accounts/me/", {"name": "x"}, **wrong)
        assert (answer.status, answer.code) == (403, "csrf_failed")


def test_a_wrong_cookie_is_nobody(alice: Client) -> None:
    for key in ("", "x", alice.auth_key[:-1], f"{alice.user_id}.{alice.session_id}"):
        refused(with_cookie(key).get("accounts/me/"), "not_authenticated")


def test_the_header_comes_before_the_cookie(alice: Client, charlie: Client) -> None:
    browser = with_cookie(alice.auth_key)
    browser.auth_key = charlie.auth_key
    assert browser.get("accounts/me/").json["user_id"] == charlie.user_id
    assert browser.patch("accounts/me/", {"name": "his"}).status == 200  # a header is no CSRF
    browser.auth_key = "nonsense"
    refused(browser.get("accounts/me/"), "invalid_key")
