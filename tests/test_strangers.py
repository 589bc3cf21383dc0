"""Every endpoint as nobody, with keys that are worth nothing, and as a stranger. The list comes from the router.

Whoever adds an endpoint says in MATRIX what it is; until then these tests fail.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from accounts import login
from accounts.models import Account, Identity
from accounts.providers.prove import Proof
from lib.paging import dump_cursor
from lib.secrets import hashed, new_token
from recordings.keys import RecordingId
from recordings.models import Ledger, Recording
from tests.accounts.test_sessions import another_device, expire
from tests.client import Answer, Client, declare, sign_up
from tests.state import calls, snapshot
from tests.web.test_uppy import Uppy

ROOT = "api/v1/"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
CONTENT = b"RIFF, more or less"
PART = {"parts": [{"number": 1, "sha256": "0" * 64}]}


@dataclass(frozen=True)
class Endpoint:
    """`open` to everybody; about the caller's `own` account; or `foreign`, about what the path names.

    `status` is what an open one answers to `body` from nobody, and an own one from the stranger.
    """

    kind: Literal["open", "own", "foreign"]
    status: int = 404
    body: Any = None
    query: str = ""


MATRIX = {
    "GET accounts/providers/": Endpoint("open", 200),
    "POST accounts/login/": Endpoint("open", 400, {}),
    "GET accounts/kakao/unlink/": Endpoint("open", 404),
    "POST accounts/kakao/unlink/": Endpoint("open", 404),
    "GET schema/": Endpoint("open", 200),
    "GET docs/": Endpoint("open", 200),
    "GET accounts/me/": Endpoint("own", 200),
    "GET accounts/me/export/": Endpoint("own", 200),
    "PATCH accounts/me/": Endpoint("own", 200, {"name": "mine"}),
    "DELETE accounts/me/": Endpoint("own", 202),
    "POST accounts/logout/": Endpoint("own", 204),
    "GET accounts/sessions/": Endpoint("own", 200),
    "DELETE accounts/sessions/": Endpoint("own", 204, query="?scope=others"),
    "DELETE accounts/sessions/{session_id}/": Endpoint("foreign"),
    "GET accounts/identities/": Endpoint("own", 200),
    "POST accounts/identities/": Endpoint("own", 400, {"provider": "example"}),
    "DELETE accounts/identities/{id}/": Endpoint("foreign"),
    "GET accounts/feeds/": Endpoint("own", 200),
    "POST accounts/feeds/": Endpoint("own", 201, {"tag": "feed"}),
    "DELETE accounts/feeds/{id}/": Endpoint("foreign"),
    "GET recordings/": Endpoint("own", 200),
    "POST recordings/": Endpoint("own", 201, declare(CONTENT)),
    "DELETE recordings/": Endpoint("own", 202, query="?shelf=trash"),
    "PUT recordings/upload/{name}/": Endpoint("own", 201, CONTENT),
    "GET recordings/changes/": Endpoint("own", 200),
    "POST recordings/check/": Endpoint("own", 200, {"sha256": [declare(CONTENT)["sha256"]]}),
    "POST recordings/uppy/": Endpoint("own", 200),
    "GET recordings/{id}/": Endpoint("foreign"),
    "PATCH recordings/{id}/": Endpoint("foreign", body={"name": "mine", "favorite": True}),
    "DELETE recordings/{id}/": Endpoint("foreign", query="?permanent=true"),
    "GET recordings/{id}/download/": Endpoint("foreign"),
    "GET recordings/{id}/markers/": Endpoint("foreign"),
    "GET recordings/{id}/waveform/": Endpoint("foreign"),
    "GET recordings/{id}/shares/": Endpoint("foreign"),
    "POST recordings/{id}/shares/": Endpoint("foreign", body={"at": 1}),
    "DELETE recordings/{id}/shares/{share_id}/": Endpoint("foreign"),
    "POST recordings/{id}/parts/": Endpoint("foreign", body=PART),
    "POST recordings/{id}/complete/": Endpoint("foreign"),
    "POST recordings/{id}/restore/": Endpoint("foreign"),
}


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Each path below /api/v1/ as people write it, and the methods that it has."""
    for pattern in patterns:
        path = prefix + str(pattern.pattern).removeprefix("^")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        elif path.startswith(ROOT):
            actions = getattr(pattern.callback, "actions", {"get": ""})
            template = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", path.removeprefix(ROOT).removesuffix("$"))
            yield template, {method.upper() for method in actions}


ROUTES = dict(routes(get_resolver().url_patterns))
# What DRF's Views answer beyond what they were made for.
OTHERS = [(path, method) for path, has in ROUTES.items() for method in METHODS if method not in has]


def send(client: Client, call: str, **names: str) -> Answer:
    """The call of an entry, the path's names filled in."""
    method, _, path = call.partition(" ")
    known = {"id": "0" * 32, "session_id": "0" * 64, "share_id": "0" * 64, "name": "Talk.wav"} | names
    entry = MATRIX[call]
    kind = {"content_type": "audio/wav"} if isinstance(entry.body, bytes) else {}
    return client.call(method, path.format(**known) + entry.query, entry.body, **kind)


def calls_of(kind: str) -> list[str]:
    return [call for call, entry in MATRIX.items() if entry.kind == kind]


@dataclass(frozen=True)
class Possessions:
    """What Alice has, in each state that it can be in."""

    recordings: dict[str, str]
    session_id: str
    identity_id: str
    share_id: str  # of the ready recording


@pytest.fixture
def hers(alice: Client) -> Possessions:
    ready, trashed, purging = (alice.record(CONTENT + extra)["id"] for extra in (b"", b"1", b"2"))
    uploading = alice.create(CONTENT + b"3").json["recording"]["id"]
    large = alice.create(CONTENT + b"4", size=32 * 2**20).json["recording"]["id"]
    share_id = alice.post(f"recordings/{ready}/shares/").json["id"]
    alice.delete(f"recordings/{trashed}/")
    Recording(purging, alice.user_id).update([Recording.status.set("purging"), Recording.shelf.remove()])
    alice.post("accounts/feeds/", {})
    identity = Identity("identity:example:1", user_id=alice.user_id)
    identity.save()
    Account(alice.user_id).update([Account.identities.set([identity.id])])
    recordings = {"ready": ready, "trashed": trashed, "uploading": uploading, "large": large, "purging": purging}
    return Possessions(recordings, alice.session_id, identity.identity_id, share_id)


def feed_of(client: Client) -> str:
    id: str = client.get("accounts/feeds/").json["results"][0]["id"]
    return id


def of(user_id: str, stored: dict[str, Any]) -> list[str]:
    """The part of a snapshot that is this account's."""
    lines = [repr(item) for name, found in stored.items() for item in (found.items() if name == "objects" else found)]
    return sorted(line for line in lines if user_id in line)


def test_every_endpoint_is_in_the_matrix() -> None:
    assert set(MATRIX) == {f"{method} {path}" for path, methods in ROUTES.items() for method in methods}
    assert all("{" in call for call in calls_of("foreign"))


def unauthorized(answer: Answer, call: str) -> None:
    assert answer.status == 401, call
    assert answer.headers["WWW-Authenticate"] == "Bearer", call
    if not call.startswith("HEAD"):
        assert answer.code in ("not_authenticated", "invalid_key"), call
        assert set(answer.json) == {"type", "title", "status", "detail", "code", "request_id"}, call


def test_nobody(hers: Possessions, nobody: Client) -> None:
    before = snapshot()
    for call, entry in MATRIX.items():
        answer = send(nobody, call, id=hers.recordings["ready"], session_id=hers.session_id)
        if entry.kind == "open":
            assert answer.status == entry.status, call
        else:
            unauthorized(answer, call)
    assert snapshot() == before


def test_nobody_learns_from_other_methods(nobody: Client) -> None:
    """Also of what a path could do: OPTIONS of an endpoint that wants a key wants it too."""
    opened = {call.partition(" ")[2] for call in calls_of("open")}
    before = snapshot()
    for path, method in OTHERS:
        if path not in opened:
            filled = path.format(id="0" * 32, session_id="0" * 64, share_id="0" * 64, name="Talk.wav")
            unauthorized(nobody.call(method, filled), f"{method} {path}")
    assert snapshot() == before


def evicted() -> Client:
    """A device whose session has made room for the 21st."""
    proof = Proof("example", "evicted", "app")
    first, *_, last = [login.enter_with(proof, device_name="")["auth_key"] for _ in range(login.SESSIONS + 1)]
    assert Client(last).get("accounts/me/").status == 200
    return Client(first)


def test_keys_that_are_worth_nothing(hers: Possessions, alice: Client) -> None:
    expired, revoked = another_device(alice, "expired"), another_device(alice, "revoked")
    expire(expired)
    assert revoked.post("accounts/logout/").status == 204
    closed = sign_up()
    assert closed.delete("accounts/me/").status == 202
    id, _, secret = alice.auth_key.partition(".")
    broken = [
        "nonsense",
        f"{id}.{new_token()}",
        f"{'0' * 32}.{secret}",
        f"{id}.{hashed(secret)}",
        f"{id}.",
        secret,
    ]
    clients = [expired, revoked, evicted(), closed, *map(Client, [*broken, f"{alice.auth_key}x", alice.auth_key[:-1]])]
    before = snapshot()
    for client in clients:
        for call, entry in MATRIX.items():
            answer = send(client, call, id=hers.recordings["ready"], session_id=hers.session_id)
            if entry.kind == "open":
                assert answer.status == entry.status, call
            else:
                unauthorized(answer, call)
    assert snapshot() == before


def told_apart(charlie: Client, call: str, real: dict[str, str]) -> None:
    """404, and nothing about the answer says whether what it names is there."""
    with calls() as missing_calls:
        missing = send(charlie, call)
    with calls() as found_calls:
        found = send(charlie, call, **real)
    assert (found.status, missing.status) == (404, 404), call
    assert found.json == missing.json | {"request_id": found.json["request_id"]}, call
    assert {**found.headers, "X-Request-Id": ""} == {**missing.headers, "X-Request-Id": ""}, call
    assert found_calls == missing_calls, call


def test_a_stranger_and_what_is_not_his(hers: Possessions, alice: Client, charlie: Client) -> None:
    feed_id = feed_of(alice)
    before = snapshot()
    for call in calls_of("foreign"):
        if "{session_id}" in call:
            told_apart(charlie, call, {"session_id": hers.session_id})
        elif "identities" in call:
            told_apart(charlie, call, {"id": hers.identity_id})
        elif "feeds" in call:
            told_apart(charlie, call, {"id": feed_id})
        else:
            for id in hers.recordings.values():
                told_apart(charlie, call, {"id": id, "share_id": hers.share_id})
    assert snapshot() == before


def test_a_stranger_and_other_methods(hers: Possessions, charlie: Client) -> None:
    before = snapshot()
    for path, method in OTHERS:
        names = {"session_id": hers.session_id, "share_id": hers.share_id, "id": hers.recordings["ready"]}
        answer = charlie.call(method, path.format(**names, name="Talk.wav"))
        if method == "HEAD" and "GET" in ROUTES[path]:
            assert answer.status in (200, 404), path
            assert answer.status == 404 or f"GET {path}" not in calls_of("foreign"), path
        elif method == "OPTIONS" and path not in ("schema/", "docs/"):
            assert answer.status == 200, path
        else:
            code = None if method == "HEAD" else "method_not_allowed"
            assert (answer.status, answer.code) == (405, code), (method, path)
            assert set(answer.headers["Allow"].split(", ")) >= ROUTES[path], (method, path)
    assert snapshot() == before


@pytest.mark.parametrize("call", calls_of("own"))
def test_a_stranger_acts_on_what_is_his(hers: Possessions, alice: Client, charlie: Client, call: str) -> None:
    """The same content, the same trash, the same words: nothing of Alice's moves, nothing of hers is told."""
    before = of(alice.user_id, snapshot())
    answer = send(charlie, call)
    assert answer.status == MATRIX[call].status, answer
    told = answer.content.decode()
    for secret in (alice.user_id, hers.session_id, hers.identity_id, hers.share_id, *hers.recordings.values()):
        assert secret not in told
    assert of(alice.user_id, snapshot()) == before


def test_a_cursor_is_for_whom_it_was_made(alice: Client, charlie: Client) -> None:
    """Hers tells him no more than nonsense does, on each list; nor does one list's cursor count on another."""
    for client in (alice, charlie):
        client.record(CONTENT)
        client.record(CONTENT + b"1")
    hers = {
        "recordings/?limit=1&cursor=": alice.get("recordings/?limit=1").json["next_cursor"],
        "recordings/changes/?cursor=": alice.get("recordings/changes/").json["cursor"],
        "accounts/me/export/?cursor=": dump_cursor(1, alice.user_id, "export"),
    }
    before = snapshot()
    for path, own in hers.items():
        assert alice.get(path + own).status == 200
        with calls() as nonsense_calls:
            nonsense = charlie.get(path + "x" * len(own))
        assert (nonsense.status, nonsense.pointers) == (400, ["/cursor"])
        for cursor in hers.values():
            with calls() as sent:
                answer = charlie.get(path + cursor)
            assert answer.json == nonsense.json | {"request_id": answer.json["request_id"]}
            assert sent == nonsense_calls
            assert cursor == own or alice.get(path + cursor).pointers == ["/cursor"]
    assert snapshot() == before


def test_a_share_is_ended_under_its_own_recording(hers: Possessions, alice: Client, charlie: Client) -> None:
    """Her share's id under his recording, or under another of hers, is no share."""
    his = charlie.record(CONTENT)["id"]
    before = snapshot()
    told_apart(charlie, "DELETE recordings/{id}/shares/{share_id}/", {"id": his, "share_id": hers.share_id})
    for state in ("trashed", "large"):
        path = f"recordings/{hers.recordings[state]}/shares/{hers.share_id}/"
        assert alice.delete(path).status == 404
    assert snapshot() == before


# Who holds a grant of Alice's, and knows the hash of what she or somebody else has.


def a_mismatch(alice: Client) -> str:
    id = str(alice.record(CONTENT)["id"])
    Recording(RecordingId(id), alice.user_id).update(
        [Recording.status.set("mismatch"), Recording.verified_at.remove()]
    )
    return id


def purging(alice: Client) -> str:
    id = str(alice.record(CONTENT)["id"])
    Recording(RecordingId(id), alice.user_id).update([Recording.status.set("purging"), Recording.shelf.remove()])
    return id


def deleted(alice: Client, query: str = "") -> str:
    id = str(alice.record(CONTENT)["id"])
    assert alice.delete(f"recordings/{id}/{query}").status == 204
    return id


def in_parts(alice: Client, *, bytes_too: bool) -> str:
    """Under another grant of hers."""
    uppy = Uppy(alice)
    upload = uppy.begin(CONTENT).json
    if bytes_too:
        assert uppy.complete(upload, uppy.send(upload, CONTENT)).status == 200
    return str(upload["key"].split("/")[2])


# What there is of CONTENT. Each returns the id of the recording, for others than Alice with their own.
STATES: dict[str, Callable[[Client, Client], str]] = {
    "absent": lambda alice, charlie: "0" * 32,
    "ready": lambda alice, charlie: str(alice.record(CONTENT)["id"]),
    "in the trash": lambda alice, charlie: deleted(alice),
    "uploading": lambda alice, charlie: str(alice.create(CONTENT).json["recording"]["id"]),
    "uploading, large": lambda alice, charlie: str(alice.create(CONTENT, size=32 * 2**20).json["recording"]["id"]),
    "mismatch": lambda alice, charlie: a_mismatch(alice),
    "purging": lambda alice, charlie: purging(alice),
    "purged": lambda alice, charlie: deleted(alice, "?permanent=true"),
    "of another account": lambda alice, charlie: str(charlie.record(CONTENT)["id"]),
    "under another grant": lambda alice, charlie: in_parts(alice, bytes_too=True),
    "uploading under another grant": lambda alice, charlie: in_parts(alice, bytes_too=False),
}
ABSENT: list[Any] = []  # what comes back where there is nothing of it
VARIES = re.compile(r"[0-9a-f]{32,64}")  # ids and signatures
NAMES = ("policy", "uploadId", "x-amz-date", "x-amz-signature", "url", "1")


def plain(what: Any) -> Any:
    """An answer without what no two have in common."""
    if isinstance(what, dict):
        return {name: "#" if name in NAMES else plain(value) for name, value in what.items()}
    if isinstance(what, list):
        return [plain(each) for each in what]
    return VARIES.sub("#", what) if isinstance(what, str) else what


class Holder:
    """Notes all that comes back from each call, and which calls to AWS were made for it."""

    def __init__(self, uppy: Uppy) -> None:
        self.uppy, self.notes = uppy, list[Any]()

    def note(self, call: Callable[..., Answer], *args: Any) -> Answer:
        with calls() as made:
            answer = call(*args)
        headers = {**answer.headers, "X-Request-Id": "", "Content-Length": ""}  # as long as moto's upload id is
        self.notes.append((answer.status, headers, plain(answer.json), made))
        return answer

    def name(self, key: str, upload_id: str) -> None:
        """All that a key and an upload id lead to."""
        upload, parts = {"key": key, "uploadId": upload_id}, [{"PartNumber": 1, "ETag": "x"}]
        answers = [
            self.note(self.uppy.received, upload),
            self.note(self.uppy.call, "GET", upload, "/1"),
            self.note(lambda: self.uppy.call("GET", upload, "/batch", query="&partNumbers=1")),
            self.note(self.uppy.complete, upload, parts),
            self.note(self.uppy.abort, upload),
        ]
        assert {answer.code for answer in answers} == {"not_found"}

    def upload(self) -> None:
        """In one form that is never sent, given up, then in parts to the end, and all of it once more."""
        for begin in (self.uppy.params, self.uppy.begin, self.uppy.begin):
            begun = self.note(begin, CONTENT).json
        self.note(self.uppy.abort, begun)
        upload = self.note(self.uppy.begin, CONTENT).json
        self.note(self.uppy.complete, upload, [{"PartNumber": 1, "ETag": "x"}])
        parts = self.uppy.send(upload, CONTENT)
        self.note(self.uppy.received, upload)
        for _ in range(2):
            self.note(self.uppy.complete, upload, parts)
        self.note(lambda: self.uppy.call("GET", upload, "/1"))
        self.note(self.uppy.received, upload)
        for begin in (self.uppy.params, self.uppy.begin):
            assert self.note(begin, CONTENT).code == "already_here"
        self.note(self.uppy.abort, upload)


def held(alice: Client, charlie: Client, state: str) -> list[Any]:
    """What the holder gets to see where the hash is in this state. What is there does not change by it."""
    Ledger(alice.user_id, 0).update([Ledger.is_guest.set(False)])
    id = STATES[state](alice, charlie)
    owner = charlie if state == "of another account" else alice
    row = Recording.find(RecordingId(id), owner.user_id)
    key = row.key if row else f"recordings/{owner.user_id}/{id}/{'0' * 32}"
    before = of(id, snapshot())
    holder = Holder(Uppy(alice))
    own = Uppy(alice).begin(CONTENT + b"own").json
    s3s = row.upload_id if row and row.upload_id and not row.any_parts else "x"
    for upload_id in (s3s, own["uploadId"]):
        holder.name(key, upload_id)
    holder.upload()
    assert of(id, snapshot()) == before
    return holder.notes


@pytest.mark.parametrize("state", list(STATES)[1:])
def test_a_grant_and_foreign_hashes(alice: Client, charlie: Client, state: str) -> None:
    """Each endpoint under a grant answers alike, whatever there is of a hash that the grant has not brought."""
    seen = held(alice, charlie, state)
    if not ABSENT:  # once for all of them
        ABSENT.extend(held(sign_up(), sign_up(), "absent"))
    assert [status for status, *_ in ABSENT].count(404) == 10
    for found, missing in zip(seen, ABSENT, strict=True):
        assert found == missing
