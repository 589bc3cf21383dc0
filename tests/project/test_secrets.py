"""Every secret that Recorder gives out or is given, followed through a whole life: it is in no log, even at DEBUG, in
no table, in no other answer than the one that hands it out, and in no repr.
"""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import yaml
from django.conf import settings
from pytest_django.fixtures import Settings

from accounts.authentication import COOKIE
from accounts.providers import prove
from accounts.providers import table as providers
from tests.accounts.conftest import id_token, offer, switch_on
from tests.client import HOST, Answer, Client, send, sign_up
from tests.signer import jwks, pem, private_key
from tests.state import failing, snapshot
from tests.web.test_uppy import SMALL, Uppy, submit
from tests.world import World, standing_in

CODE, REFRESH, ACCESS = "the-code-of-apple", "apples-refresh-token", "kakaos-access-token"
CLIENT_SECRET, ADMIN_KEY, PASSWORD = "corps-client-secret-" + "s" * 20, "kakaos-admin-key", "open sesame 열려라"
AUDIO = b"said in confidence" * 10


class Diary(Client):
    """A client that keeps every answer."""

    answers: list[tuple[str, Answer]]

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        answer = super().call(method, path, body, **headers)
        self.answers.append((f"{method} {path}", answer))
        return answer


@pytest.fixture
def answers() -> list[tuple[str, Answer]]:
    Diary.answers = []
    return Diary.answers


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the server would write with its root at DEBUG, through its own filters and its own form of lines."""
    stream, root = io.StringIO(), logging.getLogger()
    (handler,) = [each for each in root.handlers if each.get_name() == "stderr"]
    assert isinstance(handler, logging.StreamHandler)
    before, level = handler.setStream(stream), root.level
    root.setLevel(logging.DEBUG)
    logging.getLogger("moto").setLevel(logging.WARNING)  # AWS itself, as far as these tests go
    yield stream
    root.setLevel(level)
    handler.setStream(before)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[World]:
    """corp, Apple and Kakao, with all that they have to hide."""
    with standing_in(monkeypatch) as world:
        offer(settings, world, algorithms=["RS256"], secret=CLIENT_SECRET)
        switch_on(settings, "apple", "com.example")
        settings.APPLE_TEAM_ID, settings.APPLE_KEY_ID = "TEAM", "KEY"
        settings.APPLE_PRIVATE_KEY = pem(private_key("ES256", "apple's")).decode()
        world.answers["GET appleid.apple.com/auth/keys"] = (200, jwks(("RS256", "one")))
        world.answers["POST appleid.apple.com/auth/revoke"] = (500, {"error": "not now"})
        switch_on(settings, "kakao", "kakao-app")
        settings.KAKAO_ADMIN_KEY, settings.KAKAO_APP_ID = ADMIN_KEY, "777"
        yield world


class Life:
    """Everything that can be done once, right and wrong. `own` secrets have one answer each, `told` ones none."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.own: dict[str, str] = {}
        self.told: dict[str, str] = {
            "the server's key": settings.SECRET_KEY,
            "Apple's key": settings.APPLE_PRIVATE_KEY.splitlines()[1],
            "corp's secret": CLIENT_SECRET,
            "Kakao's admin key": ADMIN_KEY,
            "a code": CODE,
            "a refresh token": REFRESH,
            "an access token": ACCESS,
            "a password": PASSWORD,
        }
        self.signatures: list[str] = []  # two of the same address are equal within a second

    def lead(self) -> None:
        owner = self.sign_in()
        self.sign_in_at_apple(owner)
        self.record(owner)
        self.share(owner)
        self.go_wrong(owner)
        self.export(owner)
        self.leave(owner)

    def sign_in(self) -> Diary:
        self.told["an id_token"] = token = id_token("alice")
        answer = Diary().post("accounts/login/", {"provider": "corp", "id_token": token})
        assert answer.status == 201, answer
        self.own["a key"] = answer.json["auth_key"].partition(".")[2]
        Diary().post("accounts/login/", {"provider": "corp", "id_token": token})
        Diary().post("accounts/login/", {"provider": "corp", "id_token": token[:-8] + "AAAAAAAA"})
        Diary().post("accounts/login/", {"provider": "corp", "device_name": token, "nonce": token})
        Diary().post("accounts/login/", {"provider": "kakao", "access_token": ACCESS})
        return Diary(answer.json["auth_key"], answer.json["user_id"], answer.json["session_id"])

    def sign_in_at_apple(self, owner: Client) -> None:
        self.told["Apple's id_token"] = token = id_token("001", iss="https://appleid.apple.com", aud="com.example")
        again = id_token("001", iss="https://appleid.apple.com", aud="com.example")
        self.world.answers["POST appleid.apple.com/auth/token"] = (200, {"id_token": again, "refresh_token": REFRESH})
        linked = owner.post("accounts/identities/", {"provider": "apple", "id_token": token, "code": CODE})
        assert linked.status == 201, linked
        self.world.answers["POST appleid.apple.com/auth/token"] = (400, {"error": "invalid_grant"})
        owner.post("accounts/identities/", {"provider": "apple", "id_token": token, "code": CODE})
        Diary().get(f"/login/apple/callback/?code={CODE}&state=x")
        Diary().get(f"/login/corp/callback/?code={CODE}&state=x")
        Diary().call(
            "POST",
            "accounts/kakao/unlink/",
            urlencode({"app_id": "1", "user_id": "1"}).encode(),
            content_type="application/x-www-form-urlencoded",
            authorization=f"KakaoAK {ADMIN_KEY}",
        )

    def record(self, owner: Client) -> None:
        created = owner.create(AUDIO).json
        self.sign(created["upload"]["url"])
        send(created["upload"], AUDIO)
        self.id = created["recording"]["id"]
        assert owner.post(f"recordings/{self.id}/complete/").status == 200
        self.sign(owner.get(f"recordings/{self.id}/download/").headers["Location"])
        uppy = Uppy(owner)
        self.own["a grant"] = uppy.base.rpartition("/")[2]
        uppy.http = Diary()
        given = uppy.params(SMALL).json
        self.signatures.append(given["fields"]["x-amz-signature"])
        submit(given, SMALL)
        uppy.call("GET", {"key": given["fields"]["key"], "uploadId": "x"})

    def sign(self, url: str) -> None:
        self.signatures.append(parse_qs(urlsplit(url).query)["X-Amz-Signature"][0])

    def share(self, owner: Client) -> None:
        shared = owner.post(f"recordings/{self.id}/shares/", {"password": PASSWORD})
        feed = owner.post("accounts/feeds/", {})
        assert (shared.status, feed.status) == (201, 201)
        self.own["a share"] = share = shared.json["url"].rpartition("/")[2]
        self.own["a feed"] = feed.json["url"].rpartition("/")[2].removesuffix(".xml")
        owner.get(f"recordings/{self.id}/shares/")
        owner.get("accounts/feeds/")
        listener = Client()  # not kept: a feed holds its own address, and a password's form the share's
        listener.get(f"/s/{share}")
        csrf = listener.http.cookies["csrftoken"].value
        for password in ("wrong", PASSWORD):
            form = {"csrfmiddlewaretoken": csrf, "password": password}
            headers = {"referer": f"https://{HOST}/s/{share}"}
            done = listener.http.post(f"/s/{share}", form, secure=True, headers=headers)
        assert done.status_code == 303
        self.sign(listener.get(f"/s/{share}/audio").headers["Location"])
        listener.get(f"/feed/{self.own['a feed']}.xml")
        feed_audio = f"/feed/{self.own['a feed']}/{self.id}/audio.wav"
        self.sign(listener.get(feed_audio).headers["Location"])

    def go_wrong(self, owner: Client) -> None:
        """Secrets where they do not belong, and faults where they are at hand."""
        key, share, feed, grant = (self.own[each] for each in ("a key", "a share", "a feed", "a grant"))
        places = [f"recordings/{key}/", f"recordings/?search={key}", f"recordings/?cursor={key}", f"{key}/"]
        places += [f"/{key}", f"/login/{key}/", f"/s/{share}x", f"/s/{share}/x", f"/feed/{feed}", f"/uppy/{grant}/x"]
        for place in places:
            owner.get(place)
            Diary(f"{owner.user_id}.{key}x").get(place)
            Diary().get(place, host="evil.test")
        owner.post("recordings/", {"name": key, "size": key, "sha256": key, "content_type": key})
        owner.patch("accounts/me/", {"name": [key]})
        owner.call("POST", "recordings/", f'{{"{key}'.encode())
        for operation in ("GetItem", "BatchGetItem", "Query", "TransactWriteItems", "HeadObject"):
            with failing(operation, code="AccessDeniedException", status=400):
                self.again(owner)
            with failing(operation):
                self.again(owner)

    def again(self, owner: Client) -> None:
        owner.get(f"recordings/{self.id}/")
        owner.get("recordings/changes/")
        owner.post("recordings/uppy/")
        owner.post(f"recordings/{self.id}/shares/", {"password": PASSWORD})
        owner.post("accounts/login/", {"provider": "corp", "id_token": self.told["an id_token"]})
        for path in (f"/s/{self.own['a share']}", f"/feed/{self.own['a feed']}.xml", "/"):
            client = Client()
            client.http.cookies[COOKIE] = owner.auth_key
            client.get(path)
        Uppy(owner, f"https://{HOST}/uppy/{self.own['a grant']}").params(SMALL)

    def export(self, owner: Client) -> None:
        page = owner.get("accounts/me/export/")
        for recording in page.json["recordings"]:
            if recording["download_url"]:
                self.sign(recording["download_url"])

    def leave(self, owner: Client) -> None:
        owner.post("accounts/logout/")
        owner.get("accounts/me/")


@pytest.mark.check
def test_secrets_stay_where_they_are(world: World, log: io.StringIO, answers: list[tuple[str, Answer]]) -> None:
    life = Life(world)
    life.lead()
    said, stored = log.getvalue(), repr(snapshot())
    assert '"level": "ERROR"' in said
    assert len(life.signatures) >= 5
    for what, secret in {**life.own, **life.told}.items():
        for form in (secret, json.dumps(secret).strip('"'), urlencode({"": secret})[1:]):
            assert form not in said, f"{what} is in the log"
            assert form not in stored, f"{what} is in a table"
    for signature in life.signatures:
        assert signature not in said, "a signature is in the log"
    for what, secret in life.own.items():
        holding = [call for call, answer in answers if secret in shown(answer)]
        if what == "a grant":  # the same for a second, in which it may have been asked for twice
            holding = [*{*holding}]
        assert len(holding) == 1, f"{what} is in {holding}"
    for what, secret in life.told.items():
        assert not any(secret in shown(answer) for _, answer in answers), f"{what} is in an answer"


def shown(answer: Answer) -> str:
    return answer.content.decode(errors="replace") + repr(dict(answer.headers))


def test_a_closed_account_leaves_no_word_of_it(world: World, log: io.StringIO) -> None:
    """The revocation that Apple puts off is told without the token, which waits sealed."""
    Diary.answers = []
    life = Life(world)
    owner = life.sign_in()
    life.sign_in_at_apple(owner)
    assert owner.delete("accounts/me/").status == 202
    assert "appleid.apple.com answers 500" in log.getvalue()
    assert REFRESH not in log.getvalue() + repr(snapshot())


def test_reprs_hold_no_secret(world: World) -> None:
    proof = prove.Proof("apple", "001", "app", refresh_token=REFRESH)
    assert REFRESH not in repr(proof)
    shown = repr(list(providers.offered().values()))
    assert CLIENT_SECRET not in shown
    owner = sign_up()
    sessions = repr(owner.get("accounts/sessions/").json)
    assert owner.auth_key.partition(".")[2] not in sessions


def test_no_call_wants_a_secret_in_its_query() -> None:
    """Where histories, proxies and access logs would keep it. What providers put into a callback's is theirs."""
    document = yaml.safe_load((Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text())
    named = {
        parameter["name"]
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    }
    assert "limit" in named
    assert not [name for name in named if re.search("key|token|secret|password|code|auth|nonce", name)]
