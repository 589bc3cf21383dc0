"""What is outside of /api/v1/, as nobody and as a stranger: pages, Uppy's addresses, shares and feeds.

The list comes from the router. Whoever adds a route says in PLACES who may come there; until then these tests fail.
"""

import re
import time
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import pytest
from django.core import signing
from django.urls import URLPattern, URLResolver, get_resolver

from accounts import grants
from accounts.authentication import COOKIE
from recordings.models import Ledger
from tests.client import Answer, Client, sha256
from tests.recordings.test_sharing import make, token_of
from tests.state import calls, kept, snapshot
from tests.test_strangers import CONTENT, METHODS, ROOT
from tests.web.test_uppy import SMALL, Uppy, granted

LARGE = b"0123456789abcdef" * (11 * 2**16)  # 11 MiB
TOKEN = "x" * 43
# `page` is for everybody, `link` for who knows its token, `grant` for the one it was given to; and what nobody gets
# for each method that does not need Django's CSRF token.
PLACES: dict[str, tuple[Literal["page", "link", "grant"], dict[str, int]]] = {
    "": ("page", {"GET": 200, "HEAD": 200}),
    "login/": ("page", {"GET": 200, "HEAD": 200}),
    "login/{name}/": ("page", {"GET": 404}),
    "login/{name}/callback/": ("page", {"GET": 404, "POST": 404, "PUT": 405, "PATCH": 405, "DELETE": 405}),
    "logout/": ("page", {"GET": 405}),
    "health/": ("page", {"GET": 200, "HEAD": 200}),
    "sw.js": ("page", {}),  # 404 where the page has not been built
    "s/{token}": ("link", {"GET": 404, "HEAD": 404}),
    "s/{token}/audio": ("link", {"GET": 404, "HEAD": 404}),
    "s/{token}/download": ("link", {"GET": 404, "HEAD": 404}),
    "feed/{token}.xml": ("link", {"GET": 404, "HEAD": 404}),
    "feed/{token}/{id}/audio.{extension}": ("link", {"GET": 404, "HEAD": 404}),
    "feed/{token}/{id}/chapters.json": ("link", {"GET": 404, "HEAD": 404}),
    "uppy/{grant}/s3/params": ("grant", dict.fromkeys(METHODS, 401)),
    "uppy/{grant}/s3/multipart": ("grant", dict.fromkeys(METHODS, 401)),
    "uppy/{grant}/s3/multipart/{upload_id}": ("grant", dict.fromkeys(METHODS, 401)),
    "uppy/{grant}/s3/multipart/{upload_id}/batch": ("grant", dict.fromkeys(METHODS, 401)),
    "uppy/{grant}/s3/multipart/{upload_id}/complete": ("grant", dict.fromkeys(METHODS, 401)),
    "uppy/{grant}/s3/multipart/{upload_id}/{number}": ("grant", dict.fromkeys(METHODS, 401)),
    "(?:api|uppy)/": ("page", dict.fromkeys(METHODS, 404)),
}


def places(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern).removeprefix("^")
        if isinstance(pattern, URLResolver):
            yield from places(pattern.url_patterns, path)
        elif not path.startswith(ROOT):
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)


def fill(place: str, **names: str) -> str:
    made_up = {"grant": "nonsense", "token": TOKEN, "id": "0" * 32, "upload_id": "u", "number": "1"}
    known = made_up | {"extension": "wav", "name": "google"} | names
    return "/uppy/nonsense" if place.startswith("(?:") else "/" + place.format(**known)


def of_kind(kind: str) -> list[str]:
    return [place for place, (found, _) in PLACES.items() if found == kind]


def same(one: Answer, other: Answer) -> bool:
    """But for what names the request, and the form's token, of which each page has its own."""

    def shown(answer: Answer) -> Any:
        headers = {name: value for name, value in answer.headers.items() if name not in ("X-Request-Id", "Set-Cookie")}
        body = answer.json | {"request_id": ""} if isinstance(answer.json, dict) else answer.content
        return answer.status, headers, body

    return bool(shown(one) == shown(other))


def test_every_route_is_in_the_list() -> None:
    assert set(PLACES) == set(places(get_resolver().url_patterns))


def test_nobody(alice: Client) -> None:
    """Also with a key, which counts for nothing here: no method that could change anything gets past CSRF."""
    alice.record(CONTENT)
    before = snapshot()
    for place, (_, statuses) in PLACES.items():
        for method in METHODS:
            expected = statuses.get(method, 403 if method in ("POST", "PUT", "PATCH", "DELETE") else 405)
            for client in (Client(), alice):
                answer = client.call(method, fill(place))
                if place != "sw.js" or method not in ("GET", "HEAD"):
                    assert answer.status == expected, (method, place)
    assert snapshot() == before


@pytest.mark.parametrize("place", of_kind("page"))
def test_pages_tell_nobody_anything_about_anybody(alice: Client, place: str) -> None:
    alice.record(CONTENT, name="Interview")
    for client in (Client(), Client(alice.auth_key)):
        told = client.get(fill(place), accept="text/html").content.decode()
        for secret in (alice.user_id, alice.session_id, "Interview", alice.auth_key):
            assert secret not in told, place


@pytest.mark.parametrize("token", ["", "x", TOKEN, "x" * 44, "%00", "é", "..", "0" * 64, "a" * 42 + "="])
@pytest.mark.parametrize("place", of_kind("link"))
def test_links_that_lead_nowhere(nobody: Client, place: str, token: str) -> None:
    """The same for all, and asked of DynamoDB only where it could be one."""
    with calls() as sent:
        answer = nobody.get(fill(place, token=token))
    assert answer.status == 404
    assert sent == (["GetItem"] if token == TOKEN else [])
    if token not in ("", ".."):
        assert same(answer, nobody.get(fill(place)))


@pytest.fixture
def hers(alice: Client) -> dict[str, str]:
    """A share's and a feed's token of Alice's, and the ids by which she knows them; and what is not in them."""
    id, other = alice.record(CONTENT, tags=["a"])["id"], alice.record(CONTENT + b"1")["id"]
    share, feed = make(alice, id), alice.post("accounts/feeds/", {"tag": "a"}).json
    return {
        "id": id,
        "other": other,
        "share": token_of(share),
        "share_id": share["id"],
        "feed": feed["url"].rpartition("/")[2].removesuffix(".xml"),
        "feed_id": feed["id"],
    }


def test_a_token_is_for_its_own_kind_and_an_id_for_none(hers: dict[str, str], nobody: Client) -> None:
    """What her list shows of a share or a feed opens neither, nor does one's token the other."""
    for place in of_kind("link"):
        own = "share" if place.startswith("s/") else "feed"
        assert nobody.get(fill(place, token=hers[own], id=hers["id"])).status in (200, 302), place
        wrong = {*hers.values()} - {hers[own]}
        for token in wrong:
            answer = nobody.get(fill(place, token=token, id=hers["id"]))
            assert same(answer, nobody.get(fill(place))), place


def test_a_feed_is_for_its_own_recordings(hers: dict[str, str], nobody: Client, charlie: Client) -> None:
    his = charlie.record(CONTENT, tags=["a"])["id"]
    for place in [place for place in of_kind("link") if "{id}" in place]:
        missing = nobody.get(fill(place, token=hers["feed"]))
        assert missing.status == 404
        for id in (his, hers["other"], hers["feed_id"], "x", ".."):
            assert same(nobody.get(fill(place, token=hers["feed"], id=id)), missing), (place, id)


def test_a_cookie_opens_no_link(hers: dict[str, str], alice: Client) -> None:
    browser = Client()
    browser.http.cookies[COOKIE] = alice.auth_key
    for place in of_kind("link"):
        assert browser.get(fill(place, id=hers["id"])).status == 404


# Grants.


def grant_of(client: Client) -> str:
    return urlsplit(granted(client)).path.rpartition("/")[2]


def worthless(alice: Client, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Grants that were never good, or are no longer."""
    session = [alice.user_id, alice.session_id]
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - grants.SECONDS - 1)
    expired = grant_of(alice)
    monkeypatch.setattr(time, "time", real)
    good = grant_of(alice)
    signature = good.rpartition(":")[2]
    swapped = signing.dumps([alice.user_id, "0" * 64], salt=grants.SALT).rpartition(":")[0]
    return {
        "nonsense": "nonsense",
        "a key": alice.auth_key,
        "expired": expired,
        "cut": good[:-1],
        "tampered": f"{swapped}:{signature}",
        "of no session": signing.dumps([alice.user_id, "0" * 64], salt=grants.SALT),
        "of another salt": signing.dumps(session, salt="web.signin"),
        "a cursor": alice.get("recordings/changes/").json["cursor"],
        "of another form": signing.dumps({"id": alice.user_id}, salt=grants.SALT),
        "of too many": signing.dumps([*session, "more", "still more"], salt=grants.SALT),
        "of numbers": signing.dumps([1, 2], salt=grants.SALT),
    }


def test_grants_that_are_worth_nothing(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = worthless(alice, monkeypatch)
    before = snapshot()
    for what, grant in bad.items():
        for place in of_kind("grant"):
            for method in METHODS:
                answer = alice.call(method, fill(place, grant=quote(grant, safe="")))
                assert answer.status == 401, (what, method, place)
                assert method == "HEAD" or answer.code == "invalid_grant"
    assert snapshot() == before


@pytest.mark.parametrize("end", ["logout", "others", "close", "expire"])
def test_a_grant_ends_with_its_session(alice: Client, end: str) -> None:
    from tests.accounts.test_sessions import another_device, expire

    device = another_device(alice, "Tablet")
    grant = grant_of(device)
    place = fill("uppy/{grant}/s3/multipart/{upload_id}", grant=grant)
    assert Client().get(f"{place}?key=x").status == 404
    if end == "logout":
        device.post("accounts/logout/")
    elif end == "others":
        alice.delete("accounts/sessions/?scope=others")
    elif end == "close":
        alice.delete("accounts/me/")
    else:
        expire(device)
    for each in of_kind("grant"):
        assert Client().get(fill(each, grant=grant)).status == 401


def test_other_methods_of_a_good_grant(alice: Client) -> None:
    grant = grant_of(alice)
    before = snapshot()
    allowed = {place: actions_of(place) for place in of_kind("grant")}
    for place, actions in allowed.items():
        for method in {"POST", "PUT", "PATCH", "DELETE", "GET"} - actions:
            answer = Client().call(method, fill(place, grant=grant))
            assert (answer.status, answer.code) == (405, "method_not_allowed"), (method, place)
    assert snapshot() == before


def actions_of(place: str) -> set[str]:
    for pattern in get_resolver().url_patterns:
        if re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern)) == place:
            return {method.upper() for method in getattr(pattern.callback, "actions")}  # noqa: B009 - mypy knows none
    raise AssertionError(place)


def uppy_calls(uppy: Uppy, upload: dict[str, str]) -> list[tuple[list[str], Answer]]:
    """Everything that can be done with an upload, and the calls to AWS that it costs."""
    parts = {"parts": [{"PartNumber": 1, "ETag": "x"}]}
    acts: list[tuple[str, str, Any, str]] = [
        ("GET", "", None, ""),
        ("GET", "/1", None, ""),
        ("GET", "/batch", None, "&partNumbers=1,2"),
        ("POST", "/complete", parts, ""),
        ("DELETE", "", None, ""),
    ]
    found = []
    for method, path, body, query in acts:
        with calls() as sent:
            answer = uppy.call(method, upload, path, body, query)
        found.append((list(sent), answer))
    return found


def test_a_grant_reaches_no_upload_of_somebody_else(alice: Client, charlie: Client) -> None:
    """Nor tells whether there is one, whichever of key and upload id is hers."""
    for client in (alice, charlie):
        Ledger(client.user_id, 0).update([Ledger.is_guest.set(False)])
    upload = Uppy(alice).begin(LARGE).json
    his, uppy = Uppy(charlie), Uppy(charlie).begin(LARGE + b"1").json
    hers = kept(alice.user_id, upload["key"].split("/")[2])
    own = f"recordings/{charlie.user_id}"
    tail = f"{'0' * 32}/{'0' * 32}"
    before = snapshot()
    pairs = [
        (upload["key"], f"recordings/{alice.user_id}/{tail}", upload["uploadId"]),
        (f"{own}/{hers.id}/{hers.attempt}", f"{own}/{tail}", upload["uploadId"]),
        (f"recordings/{alice.user_id}/{uppy['key'].split('/')[2]}/{'2' * 32}", f"recordings/{'1' * 32}/{tail}", "u"),
    ]
    for real, made_up, upload_id in pairs:
        found = uppy_calls(his, {"key": real, "uploadId": upload_id})
        missing = uppy_calls(his, {"key": made_up, "uploadId": "nothing"})
        for (sent, answer), (others_sent, other) in zip(found, missing, strict=True):
            assert (answer.status, answer.code) == (404, "not_found")
            assert same(answer, other)
            assert sent == others_sent
    foreign_upload = uppy_calls(his, {"key": uppy["key"], "uploadId": upload["uploadId"]})
    no_upload = uppy_calls(his, {"key": uppy["key"], "uploadId": "nothing"})
    for (sent, answer), (others_sent, other) in zip(foreign_upload, no_upload, strict=True):
        assert answer.status == 404
        assert same(answer, other)
        assert sent == others_sent
    assert snapshot() == before


def test_a_grant_uploads_into_its_own_account_whatever_else_is_sent(alice: Client, charlie: Client) -> None:
    """Charlie's key and cookie beside Alice's grant change nothing: the bytes are hers."""
    uppy = Uppy(alice)
    uppy.http = Client(charlie.auth_key)
    uppy.http.http.cookies[COOKIE] = charlie.auth_key
    given = uppy.params(SMALL)
    assert given.status == 200
    assert given.json["fields"]["key"].split("/")[1] == alice.user_id
    assert charlie.used_bytes() == 0
    assert charlie.post("recordings/check/", {"sha256": [sha256(SMALL)]}).json["results"][0]["status"] == "missing"
