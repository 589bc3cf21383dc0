"""Rotating SECRET_KEY: what the earlier key has signed or sealed counts while it is among the fallbacks, no longer."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client as Browser
from pytest_django.fixtures import Settings

from accounts import keys
from tests.client import HOST, Client
from tests.project.test_secrets import world
from tests.state import snapshot
from tests.web.test_signin import begin, come_back
from tests.web.test_uppy import SMALL, Uppy
from tests.world import World
from web.shares import UNLOCKED
from web.signin import FLOW

__all__ = ["world"]  # a fixture
Works = Callable[[], bool]


def lists_cursor(alice: Client) -> Works:
    for content in (b"one", b"two"):
        alice.upload(content)
    cursor = alice.get("recordings/?limit=1").json["next_cursor"]
    return lambda: alice.get(f"recordings/?limit=1&cursor={cursor}").status == 200


def syncs_cursor(alice: Client) -> Works:
    cursor = alice.get("recordings/changes/").json["cursor"]
    return lambda: alice.get(f"recordings/changes/?cursor={cursor}").status == 200


def grant(alice: Client) -> Works:
    uppy = Uppy(alice)
    return lambda: uppy.params(SMALL).status == 200


def unlocked_share(alice: Client) -> Works:
    id = alice.upload(b"shared").json["id"]
    url = alice.post(f"recordings/{id}/shares/", {"password": "open sesame"}).json["url"]
    path, listener = urlsplit(url).path, Client()
    listener.get(path)
    form = {"csrfmiddlewaretoken": listener.http.cookies["csrftoken"].value, "password": "open sesame"}
    listener.http.post(path, form, secure=True, headers={"referer": f"https://{HOST}/"})
    assert UNLOCKED in listener.http.cookies
    return lambda: listener.get(f"{path}/audio").status == 302


def sealed_token(alice: Client) -> Works:
    token = keys.sealed("a refresh token")
    return lambda: keys.unsealed(token) == "a refresh token"


def login_under_way(alice: Client) -> Works:
    browser = Browser(headers={"host": HOST})
    asked = begin(browser)
    cookie = browser.cookies[FLOW].value

    def works() -> bool:
        browser.cookies[FLOW] = cookie
        said = come_back(browser, asked, code=None, error="access_denied").content
        return b"Nothing came of signing in" in said  # its own flow; another would not have been begun here

    return works


def key_of_an_app(alice: Client) -> Works:
    return lambda: alice.get("accounts/me/").status == 200


@pytest.mark.parametrize(
    ("make", "needs_the_key"),
    [
        (lists_cursor, True),
        (syncs_cursor, True),
        (grant, True),
        (unlocked_share, True),
        (sealed_token, True),
        (login_under_way, True),
        (key_of_an_app, False),
    ],
)
def test_rotation(alice: Client, world: World, settings: Settings, make: Any, needs_the_key: bool) -> None:
    works = make(alice)
    assert works()
    earlier, settings.SECRET_KEY = settings.SECRET_KEY, "the next one" + "1" * 32
    settings.SECRET_KEY_FALLBACKS = ["a third" + "2" * 32, earlier]
    assert works()
    settings.SECRET_KEY_FALLBACKS = []
    before = snapshot()
    assert works() is not needs_the_key
    assert snapshot() == before
