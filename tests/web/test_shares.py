"""What a share's link gives to whoever has it, and that it gives nothing to anybody else, nor for longer."""

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.utils.html import escape
from pytest_django.fixtures import Settings

from accounts import throttles
from accounts.authentication import COOKIE
from accounts.models import Guesses
from accounts.throttles import DAY, FREE
from lib.secrets import hashed
from recordings.models import Ledger, Recording, Share
from recordings.shares import links
from tests.client import HOST, Answer, Client, declare, send
from tests.recordings.test_budget import spent
from tests.recordings.test_sharing import expire, make, token_of
from tests.state import calls, failing, kept, objects, put, snapshot
from tests.test_bad_input import PLAYLISTS
from web.shares import UNLOCKED

AUDIO = b"RIFF, more or less" * 10
NAME = '강의 1 <img src=x onerror=alert(1)> "neu".wav'
KOREAN = "fr, ko-KR;q=0.9, en;q=0.8"


class Listener(Client):
    """A browser with cookies, and no account."""

    def unlock(self, token: str, password: str, *, referer: str = f"https://{HOST}/", **headers: str) -> Any:
        self.get(f"/s/{token}")
        form = {"csrfmiddlewaretoken": self.http.cookies["csrftoken"].value, "password": password}
        return self.http.post(f"/s/{token}", form, secure=True, headers={"referer": referer, **headers})

    def hear(self, token: str, how: str = "audio") -> requests.Response:
        """The bytes, as a player gets them: through the redirect, without cookies."""
        answer = self.get(f"/s/{token}/{how}")
        assert answer.status == 302, answer
        assert answer.headers["Cache-Control"] == "no-store"
        return requests.get(answer.headers["Location"], timeout=20)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def id(alice: Client) -> str:
    found: str = alice.record(AUDIO, name=NAME, recorded_at="2026-03-01T10:05:00+09:00")["id"]
    kept(alice.user_id, found).update([Recording.duration.set(3723.4), Recording.playable.set(True)])
    return found


@pytest.fixture
def token(alice: Client, id: str) -> str:
    return token_of(make(alice, id))


def text(answer: Answer) -> str:
    return answer.content.decode()


def gone(listener: Client, token: str) -> bool:
    """Whether the link and what is under it say what an unknown one says."""
    for tail in ("", "/audio", "/download"):
        unknown, found = listener.get(f"/s/{'x' * 43}{tail}"), listener.get(f"/s/{token}{tail}")
        assert unknown.status == 404
        if (found.status, found.content) != (404, unknown.content):
            return False
        assert {**found.headers, "X-Request-Id": ""} == {**unknown.headers, "X-Request-Id": ""}
    return True


def test_the_page(listener: Listener, token: str) -> None:
    answer = listener.get(f"/s/{token}")
    assert answer.status == 200
    page = text(answer)
    assert NAME not in page
    assert NAME in unescape(page)
    assert "<img" not in page
    assert "1 March 2026, 01:05 UTC" in page
    assert "1:02:03" in page
    assert re.search(rf'<audio controls preload="none" src="/s/{token}/audio">', page)
    assert f'href="/s/{token}/download"' in page
    assert NAME not in unescape(page.partition("</title>")[0])
    assert "og:" not in page
    assert '<html lang="en">' in page
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page.replace(escape(NAME), ""))


def test_the_page_in_korean(listener: Listener, token: str) -> None:
    page = text(listener.get(f"/s/{token}", accept_language=KOREAN))
    assert '<html lang="ko">' in page
    assert "2026년 3월 1일 01:05 UTC" in page
    assert "다운로드" in page
    assert "Download" not in page
    assert "공유된 것이 없습니다" in text(listener.get("/s/x", accept_language=KOREAN))
    assert '<html lang="en">' in text(listener.get(f"/s/{token}", accept_language="de, fr;q=0.5, " + "x" * 5000))


def test_the_bytes(listener: Listener, token: str) -> None:
    played, saved = listener.hear(token), listener.hear(token, "download")
    assert played.content == saved.content == AUDIO
    assert played.headers["Content-Type"] == "audio/wav"
    assert played.headers["Content-Disposition"].startswith("inline")
    assert saved.headers["Content-Disposition"].startswith("attachment")
    assert "%EA%B0%95%EC%9D%98" in saved.headers["Content-Disposition"]


NO_SOUND = [("audio/wav", None), ("audio/wav", False), ("audio/x-own", True), *((kind, True) for kind in PLAYLISTS)]


def test_what_is_not_found_to_be_sound_is_a_file(
    alice: Client, listener: Listener, id: str, token: str, subtests: pytest.Subtests
) -> None:
    """Also a playlist that was taken before they were refused: no visitor's player opens it by itself."""
    row = kept(alice.user_id, id)
    for kind, playable in NO_SOUND:
        with subtests.test(kind=kind, playable=playable):
            known = Recording.playable.remove() if playable is None else Recording.playable.set(playable)
            row.update([Recording.content_type.set(kind), Recording.name.set("evil.m3u8"), known])
            for how in ("audio", "download"):
                got = listener.hear(token, how)
                assert (got.content, got.headers["Content-Type"]) == (AUDIO, "application/octet-stream")
                end = "wav" if kind == "audio/wav" else "audio"
                assert got.headers["Content-Disposition"] == f'attachment; filename="evil.m3u8.{end}"'


def test_the_url_of_the_bytes_lives_a_quarter_of_an_hour(listener: Listener, token: str) -> None:
    for tail in ("audio", "download"):
        url = listener.get(f"/s/{token}/{tail}").headers["Location"]
        assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["900"]


def test_where_playing_starts(alice: Client, listener: Listener, id: str) -> None:
    token = token_of(make(alice, id, at=61.5))
    assert f'src="/s/{token}/audio#t=61.5"' in text(listener.get(f"/s/{token}"))


def test_it_needs_nobodys_session_and_takes_none(alice: Client, listener: Listener, token: str) -> None:
    """The owner's own cookie makes no difference, and is not even looked up."""
    anonymous = listener.get(f"/s/{token}")
    listener.http.cookies[COOKIE] = alice.auth_key
    with calls() as sent:
        assert listener.get(f"/s/{token}").content == anonymous.content
    assert sent == ["GetItem", "BatchGetItem"]


def test_head(listener: Listener, token: str) -> None:
    for path, status in (
        (f"/s/{token}", 200),
        (f"/s/{token}/audio", 302),
        (f"/s/{token}/download", 302),
        ("/s/x", 404),
    ):
        answer = listener.call("HEAD", path)
        assert (answer.status, answer.content) == (status, b"")
    url = listener.call("HEAD", f"/s/{token}/audio").headers["Location"]
    head = requests.head(url, timeout=20, stream=True)  # moto would send the bytes too
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(AUDIO)))


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_nothing_else_can_be_done(listener: Listener, token: str, method: str) -> None:
    before = snapshot()
    paths = [f"/s/{token}/audio", f"/s/{token}/download", *([f"/s/{token}"] if method != "POST" else [])]
    for path in paths:
        assert listener.call(method, path).status in (403, 405)
    assert snapshot() == before


@pytest.mark.parametrize("path", ["", "/audio", "/download", "/nothing", "/"])
@pytest.mark.parametrize("of", ["this", "another"])
def test_search_engines_and_other_sites_learn_nothing(listener: Listener, token: str, path: str, of: str) -> None:
    headers = listener.get(f"/s/{token if of == 'this' else 'x' * 43}{path}").headers
    assert (headers["X-Robots-Tag"], headers["Referrer-Policy"]) == ("noindex", "no-referrer")
    assert "no-store" in headers["Cache-Control"]
    assert "Set-Cookie" not in headers


def test_robots_are_told_in_the_page_too(listener: Listener, token: str) -> None:
    for path in (f"/s/{token}", "/s/x"):
        assert '<meta name="robots" content="noindex">' in text(listener.get(path))


@pytest.mark.parametrize(
    "wrong", ["x", "x" * 42, "x" * 44, "x" * 42 + "%0A", "%00" * 43, "é" * 43, "..%2F" * 9, "x" * 5000, "share:x"]
)
def test_what_is_no_token_asks_nothing_of_aws(listener: Listener, wrong: str) -> None:
    assert spent(lambda: listener.get(f"/s/{wrong}"), 404) == []


def test_the_hash_that_the_owner_knows_opens_nothing(alice: Client, listener: Listener, id: str) -> None:
    made = make(alice, id)
    assert listener.get(f"/s/{made['id']}").status == 404
    assert listener.get(f"/s/{made['id'][:43]}").status == 404


def test_revoked(alice: Client, listener: Listener, id: str) -> None:
    made, other = make(alice, id), make(alice, id)
    assert not gone(listener, token_of(made))
    alice.delete(f"recordings/{id}/shares/{made['id']}/")
    assert gone(listener, token_of(made))
    assert listener.hear(token_of(other)).content == AUDIO


def test_expired(alice: Client, listener: Listener, id: str) -> None:
    """Though DynamoDB has not taken the row out yet."""
    made = make(alice, id)
    expire(alice, id, made["id"])
    assert gone(listener, token_of(made))


def test_trashed_and_restored(alice: Client, listener: Listener, id: str, token: str) -> None:
    alice.delete(f"recordings/{id}/")
    assert gone(listener, token)
    alice.post(f"recordings/{id}/restore/")
    assert listener.hear(token).content == AUDIO


def test_purged_and_recorded_again(alice: Client, listener: Listener, id: str, token: str) -> None:
    alice.delete(f"recordings/{id}/?permanent=true")
    assert gone(listener, token)
    assert alice.record(AUDIO)["id"] == id
    assert gone(listener, token)


def test_purged_but_for_its_last_steps(alice: Client, listener: Listener, id: str, token: str) -> None:
    with failing("DeleteObject"):
        assert alice.delete(f"recordings/{id}/?permanent=true").status == 204
    assert kept(alice.user_id, id).status == "purging"
    assert gone(listener, token)


def test_closed_but_for_its_last_steps(alice: Client, listener: Listener, id: str, token: str) -> None:
    with failing("DeleteObjects", "ListObjectVersions", "ListMultipartUploads"):
        assert alice.delete("accounts/me/").status == 202
    assert kept(alice.user_id, id).shares
    assert gone(listener, token)


def test_an_account_without_its_ledger(alice: Client, listener: Listener, token: str) -> None:
    Ledger(alice.user_id).delete()
    assert gone(listener, token)


@pytest.mark.parametrize("excerpt", [{}, {"start": 0, "end": 1}])
def test_one_that_its_recording_does_not_list(
    alice: Client, listener: Listener, id: str, excerpt: dict[str, int]
) -> None:
    """As after a row was lost and recovered, or a table restored: its owner could neither see nor revoke it."""
    token = token_of(make(alice, id, **excerpt))
    other, row = make(alice, id), kept(alice.user_id, id)
    row.update([Recording.shares.set([each for each in row.shares if each["id"] == other["id"]])])
    assert Share.of(hashed(token))
    assert gone(listener, token)
    assert listener.hear(token_of(other)).content == AUDIO
    row.update([Recording.shares.remove()])
    assert gone(listener, token_of(other))


def test_recorded_again_after_its_row_was_lost(alice: Client, listener: Listener, id: str, token: str) -> None:
    kept(alice.user_id, id).delete()
    assert gone(listener, token)
    assert alice.upload(AUDIO).json["id"] == id
    assert Share.of(hashed(token))
    assert gone(listener, token)


def test_a_mismatch_plays_what_there_is(alice: Client, listener: Listener) -> None:
    """While other bytes are under way, those that are kept are given."""
    created = alice.create(AUDIO, size=len(AUDIO)).json
    assert send(created["upload"], AUDIO).status_code == 200
    id = alice.post(f"recordings/{created['recording']['id']}/complete/").json["id"]
    token = token_of(make(alice, id))
    row = kept(alice.user_id, id)
    row.update([Recording.status.set("mismatch"), Recording.kept.set(row.attempt), Recording.attempt.set("0" * 32)])
    assert listener.hear(token).content == AUDIO


# With a password


@pytest.fixture
def locked(alice: Client, id: str) -> str:
    return token_of(make(alice, id, password="비밀 sesame"))


def test_without_the_password_nothing_is_told(listener: Listener, locked: str, id: str) -> None:
    for tail in ("", "/audio", "/download"):
        answer = listener.get(f"/s/{locked}{tail}")
        assert answer.status == 401
        page = unescape(text(answer))
        assert f'<form method="post" action="/s/{locked}">' in page
        for secret in (NAME, "강의", "March", id, "X-Amz"):
            assert secret not in page


def test_the_right_password_opens_it(listener: Listener, locked: str) -> None:
    answer = listener.unlock(locked, "비밀 sesame")
    assert (answer.status_code, answer["Location"]) == (303, f"/s/{locked}")
    cookie = listener.http.cookies[UNLOCKED]
    assert UNLOCKED.startswith("__Secure-")
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["path"], cookie["domain"]) == (f"/s/{locked}", "")
    assert NAME in unescape(text(listener.get(f"/s/{locked}")))
    assert listener.hear(locked).content == AUDIO


@pytest.mark.parametrize("password", ["", "sesame", "비밀 sesam", "비밀 sesame ", "x" * 5000, "\x00"])
def test_a_wrong_one_does_not(listener: Listener, locked: str, password: str) -> None:
    answer = listener.unlock(locked, password)
    assert answer.status_code == 401
    assert "That is not the password." in answer.content.decode()
    assert UNLOCKED not in listener.http.cookies
    assert listener.get(f"/s/{locked}").status == 401


def test_the_form_wants_its_csrf_token(listener: Listener, locked: str) -> None:
    listener.get(f"/s/{locked}")
    for form in ({"password": "비밀 sesame"}, {"password": "비밀 sesame", "csrfmiddlewaretoken": "x" * 64}):
        answer = listener.http.post(f"/s/{locked}", form, secure=True, headers={"referer": f"https://{HOST}/"})
        assert answer.status_code == 403
        assert answer["X-Robots-Tag"] == "noindex"
    assert listener.unlock(locked, "비밀 sesame", referer="https://evil.test/").status_code == 403
    assert UNLOCKED not in listener.http.cookies


def test_the_form_is_sent_with_an_origin(listener: Listener, locked: str) -> None:
    """Under `no-referrer` browsers say `Origin: null`, which the CSRF check refuses: https://fetch.spec.whatwg.org/
    (append a request Origin header). The form's page says otherwise; nothing on it leads to another site.
    """
    page = text(listener.get(f"/s/{locked}"))
    assert '<meta name="referrer" content="same-origin">' in page
    assert listener.unlock(locked, "비밀 sesame", origin="null").status_code == 403
    assert listener.unlock(locked, "비밀 sesame", origin=f"https://{HOST}").status_code == 303


def test_the_cookie_opens_one_share_alone(alice: Client, listener: Listener, locked: str, id: str) -> None:
    another = token_of(make(alice, id, password="비밀 sesame"))
    listener.unlock(locked, "비밀 sesame")
    value = listener.http.cookies[UNLOCKED].value
    for forged in (value, value[:-1], value.partition(":")[0], "", "x"):
        stranger = Listener()
        stranger.http.cookies[UNLOCKED] = forged
        assert stranger.get(f"/s/{another}").status == 401
        assert stranger.get(f"/s/{locked}").status == (200 if forged == value else 401)


def test_a_posted_password_where_there_is_none(listener: Listener, token: str, locked: str) -> None:
    listener.get(f"/s/{locked}")  # for the CSRF token
    form = {"csrfmiddlewaretoken": listener.http.cookies["csrftoken"].value, "password": "x"}
    answer = listener.http.post(f"/s/{token}", form, secure=True, headers={"referer": f"https://{HOST}/"})
    assert (answer.status_code, answer["Location"]) == (303, f"/s/{token}")
    assert UNLOCKED not in listener.http.cookies


# How often


class Limits:
    """The clock of the throttles, which stands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moment = 20_000.0 * DAY
        monkeypatch.setattr(throttles, "time", self)

    def time(self) -> float:
        return self.moment


@pytest.fixture
def limits(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Limits:
    settings.THROTTLE = True
    return Limits(monkeypatch)


@pytest.fixture
def quick(alice: Client, id: str) -> str:
    """The token of a share with a password."""
    return token_of(make(alice, id, password=PASSWORD))


PASSWORD = "비밀 sesame"


def guess(token: str, password: str = PASSWORD, address: str = "192.0.2.1") -> tuple[int, int]:
    """The status that a browser at this address gets, and how long it shall wait."""
    listener = Listener()
    listener.http.defaults["REMOTE_ADDR"] = address
    answer = listener.unlock(token, password)
    return answer.status_code, int(answer.get("Retry-After", 0))


@pytest.mark.check
@pytest.mark.usefixtures("limits")
def test_a_class_with_the_right_password(quick: str) -> None:
    """All from one address, at once, and each hears it too."""
    for _ in range(101):
        listener = Listener()
        assert listener.unlock(quick, PASSWORD).status_code == 303
        assert listener.get(f"/s/{quick}").status == 200
        assert listener.get(f"/s/{quick}/audio").status == 302


def test_wrong_ones_make_their_own_address_wait_longer_and_longer(limits: Limits, quick: str, token: str) -> None:
    assert [guess(quick, "wrong") for _ in range(FREE)] == [(401, 0)] * FREE
    waits = []
    for _ in range(11):
        assert guess(quick, "wrong") == (401, 0)
        status, wait = guess(quick)  # the right one is not even looked at
        assert status == 429
        waits.append(wait)
        limits.moment += wait - 1
        assert guess(quick) == (429, 1)
        limits.moment += 1
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert guess(quick, address="192.0.2.2") == (303, 0)
    assert Listener().get(f"/s/{token}").status == 200
    assert guess(quick) == (303, 0)  # whoever waited gets in,
    assert [guess(quick, "wrong") for _ in range(FREE)] == [(401, 0)] * FREE  # and it counts from the beginning


@pytest.mark.check
@pytest.mark.usefixtures("limits")
def test_what_strangers_do_locks_nobody_out(quick: str) -> None:
    for host in range(12):
        for _ in range(FREE + 2):
            guess(quick, "wrong", f"198.51.100.{host}")
    assert guess(quick) == (303, 0)


@pytest.mark.usefixtures("limits")
def test_a_header_that_a_caller_writes_is_no_other_address(listener: Listener, quick: str) -> None:
    assert [guess(quick, "wrong") for _ in range(FREE + 1)] == [(401, 0)] * (FREE + 1)
    listener.http.defaults["REMOTE_ADDR"] = "192.0.2.1"
    assert listener.unlock(quick, PASSWORD, x_forwarded_for="203.0.113.9").status_code == 429


@pytest.mark.usefixtures("limits")
def test_an_ipv6_site_is_one_guesser(quick: str) -> None:
    for network in range(FREE + 1):
        assert guess(quick, "wrong", f"2001:db8:1:{network:x}::1") == (401, 0)
    assert guess(quick, PASSWORD, "2001:db8:1:ffff::2")[0] == 429
    assert guess(quick, PASSWORD, "2001:db8:2::2")[0] == 303


@pytest.mark.usefixtures("limits")
def test_guesses_at_once_are_no_more_than_one_by_one(quick: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guess counts before anybody looks at it."""
    statuses: list[int] = []

    def opens(share: Share, password: str) -> bool:
        if len(statuses) < 30:
            statuses.append(0)
            statuses.append(guess(quick, "wrong")[0])
        return False

    monkeypatch.setattr(links, "opens", opens)
    guess(quick, "wrong")
    assert statuses.count(0) == FREE + 1


def test_a_day_later_it_is_forgotten(limits: Limits, quick: str) -> None:
    for _ in range(FREE + 1):
        guess(quick, "wrong")
    (row,) = Guesses.scan(Guesses.wrong.exists())
    assert row.expires_at == 20_001 * DAY + 60
    limits.moment += DAY
    assert [guess(quick, "wrong") for _ in range(FREE)] == [(401, 0)] * FREE


@pytest.mark.usefixtures("limits")
def test_looking_is_throttled_by_address(listener: Listener, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(throttles.LIMITS, "share", (20, 60))
    statuses = {listener.get(f"/s/{token}/audio").status for _ in range(20)}
    assert statuses == {302}
    answer = listener.get(f"/s/{token}", accept_language=KOREAN)
    assert answer.status == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 61
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "요청이 너무 많습니다" in text(answer)
    assert listener.get("/s/x").status == 429


# When AWS is away, and what it costs


def test_when_aws_is_away(listener: Listener, token: str) -> None:
    for operation in ("GetItem", "BatchGetItem"):
        with failing(operation):
            answer = listener.get(f"/s/{token}")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "Not available just now" in text(answer)


def test_the_calls_that_it_takes(listener: Listener, token: str) -> None:
    for tail, status in (("", 200), ("/audio", 302), ("/download", 302)):
        assert spent(lambda tail=tail: listener.get(f"/s/{token}{tail}"), status) == ["GetItem", "BatchGetItem"]  # type: ignore[misc]
    assert spent(lambda: listener.get(f"/s/{'x' * 43}"), 404) == ["GetItem"]


# Excerpts


def test_an_excerpt_gives_nothing_of_the_rest(alice: Client, listener: Listener, id: str) -> None:
    made = make(alice, id, start=10, end=130.5, at=12)
    token, row = token_of(made), kept(alice.user_id, id)
    page = text(listener.get(f"/s/{token}"))
    assert "Part of a recording" in page
    assert '<meta http-equiv="refresh" content="5">' in page
    assert "<audio" not in page
    for tail in ("audio", "download"):
        answer = listener.get(f"/s/{token}/{tail}")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    put(row.excerpt_key(made["id"]), b"only this")
    Share(f"share:{made['id']}", "share").update([Share.status.set("ready")])
    page = text(listener.get(f"/s/{token}"))
    assert f'src="/s/{token}/audio#t=2"' in page
    assert "2:00" in page
    assert "refresh" not in page
    saved = listener.hear(token, "download")
    assert listener.hear(token).content == saved.content == b"only this"
    assert saved.headers["Content-Type"] == "audio/mp4"
    assert ".m4a" in saved.headers["Content-Disposition"]
    assert ".wav" not in saved.headers["Content-Disposition"]
    assert row.attempt not in listener.get(f"/s/{token}/audio").headers["Location"]
    assert row.key in objects()


def test_an_excerpt_that_could_not_be_cut(alice: Client, listener: Listener, id: str) -> None:
    made = make(alice, id, start=10, end=20)
    Share(f"share:{made['id']}", "share").update([Share.status.set("failed")])
    token = token_of(made)
    assert "could not be cut" in text(listener.get(f"/s/{token}"))
    assert listener.get(f"/s/{token}/audio").status == 404
    assert AUDIO not in listener.get(f"/s/{token}/download").content


def test_a_name_without_an_ending_is_saved_with_one(alice: Client, listener: Listener) -> None:
    created = alice.post("recordings/", declare(b"other", name="no extension")).json
    assert send(created["upload"], b"other").status_code == 200
    id = alice.post(f"recordings/{created['recording']['id']}/complete/").json["id"]
    saved = listener.hear(token_of(make(alice, id)), "download")
    assert 'filename="no extension.wav"' in saved.headers["Content-Disposition"]
