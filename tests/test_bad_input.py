"""Whatever nonsense comes in: a 4xx that points to it, and nothing is changed."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from lib.clock import days_from_now
from lib.parsers import MAX_JSON_BYTES
from lib.problems import MOST_ERRORS
from tests.client import Answer, Client, declare, sha256
from tests.project.wsgi import call
from tests.state import snapshot

AUDIO = b"RIFF, more or less" * 10
HASH = sha256(AUDIO)
LONG = "x" * 256
CONTROLS = ["a\x00b", "a\nb", "a\x7fb", "a\x85b", "\x1b[31m", "a\rb", "a\tb"]
SURROGATES = ["a\ud800b", "\udfff"]
NAMES: list[Any] = [LONG, *CONTROLS, *SURROGATES, "", "   ", None, True, 0, 1.5, ["a"], {"a": "b"}]
SIZES: list[Any] = [0, -1, "1e3", "5", "", True, None, 1.5, [1], {}, "9" * 2000, -(2**63)]
HASHES: list[Any] = [HASH.upper(), HASH[:-1], HASH + "0", "g" * 64, HASH + "\n", "\n" + HASH, f" {HASH}", "", None, 0]
HASHES += [f"{HASH[:-1]}\x00", "\uff10" * 64, [HASH]]
PLAYLISTS = [
    *("audio/mpegurl", "Audio/X-MpegURL", "audio/vnd.apple.mpegurl", "audio/mpeg-url", "audio/x-mpeg-url"),
    *("audio/x-mpequrl", "audio/m3u", "audio/x-m3u8", "audio/scpls", "audio/x-scpls", "audio/x-pls", "audio/pls"),
    *("audio/x-ms-wax", "audio/x-ms-wvx", "audio/x-ms-wmx", "audio/x-ms-asx", "audio/asx", "audio/wax"),
    *("audio/x-pn-realaudio", "audio/x-pn-realaudio-plugin", "audio/vnd.pn-realaudio", "audio/x-ram"),
    *("audio/xspf", "audio/smil", "audio/x-playlist", "audio/vnd.apple.mpegurl; charset=utf-8"),
]
CONTENT_TYPES: list[Any] = [
    *PLAYLISTS,
    *("text/html", "nonsense", "audio/", "audio/*", "", "image/png", "application/octet-stream", "audio", "/"),
    *("audio/wav\nX: y", "audio/wav; a=\x00", "audio/wav, text/html", "audio/wav\x00", "audio/" + LONG, "audio/ö"),
    *("audio/wav;", "video/quicktime", "xaudio/wav", None, 5, ["audio/wav"]),
    *("audio/../html", "audio/x; text/html", "text/html; audio/wav", "image/svg+xml", "audio/x\ttext/html"),
    *("audio/svg+xml", "audio/html+XML", "audio/x+xml; charset=utf-8"),
]
MOMENTS: list[Any] = ["", "x", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T25:00:00Z"]
MOMENTS += [
    "9999-12-31T23:59:59.999-14:00",
    "0001-01-01T00:00:00+14:00",
    "2026-01-01 noon",
    None,
    1767225600,
    [],
    LONG,
]
TAGS: list[Any] = ["a", None, {"0": "a"}, 5]


def refused(answer: Answer, *pointers: str, status: int = 400, code: str = "invalid") -> None:
    """A whole problem with these pointers."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.code == code, answer
    assert answer.json["status"] == status
    assert list(dict.fromkeys(answer.pointers)) == list(pointers), answer
    for error in answer.json.get("errors", []):
        assert set(error) == {"pointer", "code", "detail"}
        assert error["code"]
        assert error["detail"]


@pytest.fixture
def unchanged(alice: Client) -> Iterator[Client]:
    """Alice, and afterwards everything is stored as it was."""
    before = snapshot()
    yield alice
    assert snapshot() == before


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", NAMES),
        ("size", SIZES),
        ("sha256", HASHES),
        ("content_type", CONTENT_TYPES),
        ("recorded_at", MOMENTS),
        ("tags", TAGS),
        ("notes", ["x" * 4001, "a\x00b", *SURROGATES, None, 5, ["a"]]),
    ],
)
def test_create(unchanged: Client, subtests: pytest.Subtests, field: str, values: list[Any]) -> None:
    for value in values:
        with subtests.test(msg=field, value=repr(value)[:60]):
            refused(unchanged.create(AUDIO, **{field: value}), f"/{field}")


@pytest.mark.parametrize("kind", ["audio/vnd.apple.mpegurl", "audio/html+xml", "text/html"])
def test_a_refused_type_is_told_what_is_allowed(unchanged: Client, kind: str) -> None:
    (error,) = unchanged.create(AUDIO, content_type=kind).json["errors"]
    assert (error["pointer"], error["code"]) == ("/content_type", "content_type")
    assert error["detail"].startswith("Only audio/* except playlists, video/mp4")


@pytest.mark.parametrize(
    "kind",
    [
        "audio/mpeg",
        "audio/mpeg; a=mpegurl",
        "audio/vnd.wave",
        "audio/x-ms-wma",
        "audio/vnd.rn-realaudio",
        "audio/x-own",
    ],
)
def test_any_other_audio_is_taken(alice: Client, kind: str) -> None:
    assert alice.create(AUDIO, content_type=kind).status == 201


def test_create_too_large(unchanged: Client, subtests: pytest.Subtests) -> None:
    for size in (2**63, 2**64, 5 * 2**30 + 1, 10**30):
        with subtests.test(size=size):
            answer = unchanged.create(AUDIO, size=size)
            assert answer.status in (400, 413)
            assert answer.code in ("invalid", "too_large")


def test_tags(unchanged: Client, subtests: pytest.Subtests) -> None:
    for tags, pointer in (
        (["x" * 51], "/tags/0"),
        (["ok", "a\nb"], "/tags/1"),
        ([""], "/tags/0"),
        (["ok", None], "/tags/1"),
        (["ok", 5], "/tags/1"),
        (["ok", ["a"]], "/tags/1"),
        (["\ud800"], "/tags/0"),
        ([f"{number}" for number in range(21)], "/tags"),
    ):
        with subtests.test(tags=repr(tags)[:60]):
            refused(unchanged.create(AUDIO, tags=tags), pointer)


def test_several_faults_are_all_named(unchanged: Client) -> None:
    refused(unchanged.post("recordings/", {}), "/name", "/size", "/sha256", "/content_type")
    refused(unchanged.post("recordings/", declare(AUDIO, size=0, tags=[""], nmae="x")), "/nmae")


def test_another_size_for_stored_content(alice: Client) -> None:
    alice.record(AUDIO)
    before = snapshot()
    answer = alice.create(AUDIO, size=len(AUDIO) + 1)
    assert (answer.status, answer.code) == (409, "size_conflict")
    assert snapshot() == before


@pytest.mark.parametrize("field", ["name", "tags", "notes", "favorite"])
def test_change(alice: Client, subtests: pytest.Subtests, field: str) -> None:
    id = alice.record(AUDIO)["id"]
    before = snapshot()
    values = {
        "name": NAMES,
        "tags": TAGS,
        "notes": ["x" * 4001, "a\x00b", *SURROGATES, None, 5, ["a"]],
        "favorite": ["maybe", "true", None, 1, 2, [], ""],
    }
    for value in values[field]:
        with subtests.test(field=field, value=repr(value)[:60]):
            refused(alice.patch(f"recordings/{id}/", {field: value}), f"/{field}")
    assert snapshot() == before


@pytest.mark.parametrize(
    "field", ["id", "user_id", "size", "sha256", "status", "version", "trashed_at", "attempt", "shelf", "due_at"]
)
def test_what_cannot_be_set(alice: Client, field: str) -> None:
    id = alice.record(AUDIO)["id"]
    before = snapshot()
    refused(alice.patch(f"recordings/{id}/", {"name": "new", field: "x"}), f"/{field}")
    assert snapshot() == before


BODIES: list[tuple[str, bytes, str | None]] = [
    ("cut off", b'{"name": "a', None),
    ("nothing", b"", "/name"),
    ("null", b"null", ""),
    ("a list", b"[]", ""),
    ("a list of objects", b'[{"name": "a"}]', ""),
    ("a string", b'"name"', ""),
    ("a number", b"1", ""),
    ("false", b"false", ""),
    ("NaN", b'{"size": NaN}', None),
    ("Infinity", b'{"size": -Infinity}', None),
    ("not UTF-8", b'{"name": "\xff\xfe"}', None),
    ("UTF-16", '{"name": "a"}'.encode("utf-16"), None),
    ("a byte order mark", b'\xef\xbb\xbf{"name": "a"}', None),
    ("two documents", b"{}{}", None),
    ("single quotes", b"{'name': 'a'}", None),
    ("a number of 5,000 digits", b'{"size": ' + b"9" * 5000 + b"}", None),
    ("a float out of range", b'{"size": 1e400}', "/name"),
    ("deep nesting", b"[" * 100_000, None),
    ("deep nesting in a field", b'{"tags": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", None),
    ("form data", b"name=a&size=1", None),
]


def test_bodies(unchanged: Client, subtests: pytest.Subtests) -> None:
    for title, body, pointer in BODIES:
        with subtests.test(msg=title):
            answer = unchanged.post("recordings/", body)
            if pointer is None:
                assert (answer.status, answer.code) == (400, "parse_error"), answer
                assert answer.headers["Content-Type"] == "application/problem+json"
            else:
                assert answer.status == 400
                assert answer.pointers[0] == pointer


def test_bodies_of_other_endpoints(unchanged: Client, subtests: pytest.Subtests) -> None:
    for method, path in (("PATCH", "accounts/me/"), ("POST", "recordings/check/"), ("POST", "accounts/login/")):
        for title, body, _ in BODIES:
            with subtests.test(msg=f"{method} {path}: {title}"):
                answer = unchanged.call(method, path, body)
                assert answer.status == 400, answer
                assert answer.headers["Content-Type"] == "application/problem+json"


def test_bodies_that_are_too_long(unchanged: Client) -> None:
    for size in (MAX_JSON_BYTES + 1, 5 * 2**20):
        refused(unchanged.post("recordings/", b'"' + b"x" * (size - 2) + b'"'), status=413, code="too_large")
    assert unchanged.post("recordings/", b" " * (MAX_JSON_BYTES - 2) + b"{}").status == 400


def test_unknown_fields_are_named(unchanged: Client, subtests: pytest.Subtests) -> None:
    for field, pointer in (
        ("nmae", "/nmae"),
        ("a/b~c", "/a~1b~0c"),
        ("", "/"),
        ("size ", "/size "),
        ("a\ud800", "/a?"),
        ("🎧", "/🎧"),
    ):
        with subtests.test(field=repr(field)):
            answer = unchanged.post("recordings/", declare(AUDIO) | {field: 1})
            refused(answer, pointer)
            assert answer.json["errors"][0]["code"] == "unknown_field"


def test_a_field_twice_is_named(unchanged: Client, subtests: pytest.Subtests) -> None:
    """RFC 8259, section 4: what a duplicate means is anybody's guess, so it means nothing here."""
    whole = json.dumps(declare(AUDIO))[:-1].encode()
    for again, pointer in ((b', "size": 1}', "/size"), (b', "name": "Talk.wav"}', "/name")):
        with subtests.test(again=again):
            refused(unchanged.post("recordings/", whole + again), pointer)


QUERIES = [
    *(("limit", value) for value in ("0", "201", "x", "-1", "1.5", "", "9" * 50)),
    *(("shelf", value) for value in ("", "all", "Library", "uploading ", "library#x")),
    *(("tag", value) for value in ("x" * 51, "a\nb", "a\x00b")),
    *(("search", value) for value in ("x" * 101, "a\nb", "a\x00b")),
    *((name, value) for name in ("from", "to") for value in ("", "x", "2026-02-30T00:00:00Z", "2026")),
    *(("cursor", value) for value in ("x", "x:y:z", "é", "\ud7ff", "a" * 1001, ":", "::", "." * 10)),
    ("nonsense", "1"),
    ("Limit", "1"),
    ("page", "2"),
    ("format", "json"),
]


def test_lists(unchanged: Client, subtests: pytest.Subtests) -> None:
    for name, value in QUERIES:
        with subtests.test(name=name, value=value[:40]):
            refused(unchanged.get(f"recordings/?{name}={quote(value)}"), f"/{name}")


def test_a_list_that_ends_before_it_begins(unchanged: Client) -> None:
    """DynamoDB refuses BETWEEN with its bounds the wrong way round."""
    refused(unchanged.get("recordings/?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z"), "/to")


def test_cursors_of_other_lists(alice: Client, charlie: Client, subtests: pytest.Subtests) -> None:
    for client in (alice, charlie):
        for number in range(3):
            client.create(b"%d" % number, tags=["t"], name="n")
    mine = "shelf=uploading&limit=1"
    cursor = alice.get(f"recordings/?{mine}").json["next_cursor"]
    assert alice.get(f"recordings/?{mine}&cursor={cursor}").status == 200
    tagged = alice.get(f"recordings/?{mine}&tag=t").json["next_cursor"]
    dated = alice.get(f"recordings/?{mine}&from=2020-01-01T00:00:00Z").json["next_cursor"]
    changes = alice.get("recordings/changes/?limit=1").json["cursor"]
    head, _, signature = cursor.rpartition(":")
    before = snapshot()
    for title, path in {
        "another account's": f"{mine}&cursor={charlie.get(f'recordings/?{mine}').json['next_cursor']}",
        "another shelf": f"shelf=library&cursor={cursor}",
        "a tag": f"{mine}&tag=t&cursor={cursor}",
        "another tag": f"{mine}&tag=u&cursor={tagged}",
        "no tag": f"{mine}&cursor={tagged}",
        "a search": f"{mine}&search=n&cursor={cursor}",
        "tag for search": f"{mine}&search=t&cursor={tagged}",
        "no dates": f"{mine}&cursor={dated}",
        "other dates": f"{mine}&to=2020-01-01T00:00:00Z&cursor={dated}",
        "of changes": f"{mine}&cursor={changes}",
        "truncated": f"{mine}&cursor={cursor[:-1]}",
        "half": f"{mine}&cursor={cursor[: len(cursor) // 2]}",
        "longer": f"{mine}&cursor={cursor}x",
        "tampered": f"{mine}&cursor={'B' if head[0] == 'A' else 'A'}{head[1:]}:{signature}",
        "another signature": f"{mine}&cursor={head}:{signature.swapcase()}",
        "no signature": f"{mine}&cursor={head}:",
    }.items():
        with subtests.test(msg=title):
            answer = alice.get(f"recordings/?{path}")
            refused(answer, "/cursor")
            assert answer.json["errors"][0]["code"] == "invalid_cursor"
    with subtests.test(msg="changes takes no list's cursor"):
        refused(alice.get(f"recordings/changes/?cursor={cursor}"), "/cursor")
    with subtests.test(msg="changes takes no other account's cursor"):
        refused(charlie.get(f"recordings/changes/?cursor={changes}"), "/cursor")
    assert snapshot() == before


def test_other_queries(alice: Client, subtests: pytest.Subtests) -> None:
    id = alice.record(AUDIO)["id"]
    before = snapshot()
    for method, path, pointer in (
        ("DELETE", "recordings/", "/shelf"),
        ("DELETE", "recordings/?shelf=library", "/shelf"),
        ("DELETE", "recordings/?shelf=trash&x=1", "/x"),
        ("DELETE", f"recordings/{id}/?permanent=maybe", "/permanent"),
        ("DELETE", f"recordings/{id}/?permanent=", "/permanent"),
        ("DELETE", f"recordings/{id}/?permanant=true", "/permanant"),
        ("GET", f"recordings/{id}/download/?redirect=maybe", "/redirect"),
        ("GET", f"recordings/{id}/download/?disposition=x", "/disposition"),
        ("GET", f"recordings/{id}/download/?name=x", "/name"),
        ("GET", "recordings/changes/?limit=101", "/limit"),
        ("GET", "recordings/changes/?since=1", "/since"),
    ):
        with subtests.test(msg=f"{method} {path}"):
            refused(alice.call(method, path), pointer)
    assert snapshot() == before


def test_feeds(unchanged: Client, subtests: pytest.Subtests) -> None:
    cases: list[tuple[str, list[Any]]] = [
        ("tag", ["", "   ", "x" * 51, *CONTROLS, *SURROGATES, None, True, ["a"], {}]),
        ("title", ["", "   ", "x" * 101, *CONTROLS, *SURROGATES, None, True, ["a"], {}]),
        *((name, ["x"]) for name in ("id", "url", "user_id", "created_at", "tags")),
    ]
    for field, values in cases:
        for value in values:
            with subtests.test(msg=field, value=repr(value)[:60]):
                refused(unchanged.post("accounts/feeds/", {field: value}), f"/{field}")
    for id in [*IDS, *SLASHES, "0" * 64, "feed:" + "0" * 64]:
        with subtests.test(msg="id", id=id[:40]):
            refused(unchanged.delete(f"accounts/feeds/{id}/"), status=404, code="not_found")


def test_check(unchanged: Client, subtests: pytest.Subtests) -> None:
    cases: list[tuple[Any, str]] = [
        ([HASH] * 501, "/sha256"),
        (HASH, "/sha256"),
        (None, "/sha256"),
        ({}, "/sha256"),
        *(([HASH, wrong], "/sha256/1") for wrong in HASHES),
    ]
    for value, pointer in cases:
        with subtests.test(value=repr(value)[:80]):
            refused(unchanged.post("recordings/check/", {"sha256": value}), pointer)


def test_small_uploads(unchanged: Client, subtests: pytest.Subtests) -> None:
    for name in (LONG, *CONTROLS, "   "):
        with subtests.test(msg="name", name=repr(name)[:40]):
            refused(unchanged.upload(AUDIO, name), "/name")
    for value in HASHES:
        if isinstance(value, str):
            with subtests.test(msg="sha256", value=repr(value)):
                refused(unchanged.upload(AUDIO, query=f"?sha256={quote(value)}"), "/sha256")
    for value in MOMENTS:
        if isinstance(value, str):
            with subtests.test(msg="recorded_at", value=value[:40]):
                refused(unchanged.upload(AUDIO, query=f"?recorded_at={quote(value)}"), "/recorded_at")
    hostile = [kind for kind in CONTENT_TYPES if isinstance(kind, str) and kind.isprintable() and kind.isascii()]
    for kind in (*filter(None, hostile), "application/json", "multipart/form-data"):
        with subtests.test(msg="content_type", kind=kind[:40]):
            refused(unchanged.upload(AUDIO, content_type=kind), "/content_type")
    for query in ("?x=1", "?size=1", "?user_id=x"):
        with subtests.test(query=query):
            refused(unchanged.upload(AUDIO, query=query), f"/{query[1:].partition('=')[0]}")


def test_bodies_of_another_length_than_announced(unchanged: Client, subtests: pytest.Subtests) -> None:
    """As a WSGI server hands them over; Django's test client always announces the right one."""
    path = "/api/v1/recordings/upload/Talk.wav/"
    key = f"Bearer {unchanged.auth_key}"
    for announced, status, code in (
        (str(len(AUDIO) + 1), 400, "incomplete_body"),
        (None, 411, "length_required"),
        ("", 411, "length_required"),
        ("-1", 411, "length_required"),
        ("x", 411, "length_required"),
        ("1e2", 411, "length_required"),
        ("²", 411, "length_required"),
        ("9" * 5000, 413, "too_large"),
        (str(4 * 2**20 + 1), 413, "too_large"),
        ("0", 400, "invalid"),
    ):
        with subtests.test(announced=str(announced)[:20]):
            answer = call("PUT", path, AUDIO, content_length=announced, content_type="audio/wav", authorization=key)
            assert (answer.status, answer.code) == (status, code), answer
    with subtests.test(msg="behind Lambda, where the caller's own word counts"):
        answer = call(
            "PUT",
            path,
            AUDIO + b"!",
            content_length=str(len(AUDIO) + 1),
            said=str(len(AUDIO)),
            content_type="audio/wav",
            authorization=key,
        )
        assert (answer.status, answer.code) == (400, "incomplete_body")


IDS = ["x", "0" * 31, "0" * 33, "F" * 32, "x" * 5000, "0" * 32 + "%0A", "%2e%2e", "a%00b", "é" * 32, "%ED%A0%80"]
IDS += ["account:" + "0" * 32, "trash:x", "\uff10" * 32]
SLASHES = ["a%2Fb", "..%2F..%2Fetc%2Fpasswd", "%2F", "0" * 32 + "%2F" + "0" * 32]


def test_ids(unchanged: Client, subtests: pytest.Subtests) -> None:
    for id in [*IDS, *SLASHES]:
        for method, tail in (
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", "?permanent=true"),
            ("GET", "download/"),
            ("POST", "complete/"),
            ("POST", "restore/"),
        ):
            with subtests.test(msg=f"{method} {id[:40]} {tail}"):
                body = {"name": "x"} if method == "PATCH" else None
                refused(unchanged.call(method, f"recordings/{id}/{tail}", body), status=404, code="not_found")


def test_ids_of_work_that_waits(unchanged: Client) -> None:
    """The sweep's orders stand in the same table; they are no recordings."""
    id = f"account:{unchanged.user_id}"
    assert unchanged.get(f"recordings/{id}/").status == 404
    assert unchanged.delete(f"recordings/{quote(id)}/?permanent=true").status == 404


def test_shares(alice: Client, subtests: pytest.Subtests) -> None:
    id = alice.record(AUDIO)["id"]
    seconds: list[Any] = [-1, -0.001, "x", "", None, [], {}, "NaN", "Infinity", 1e9, 10**400]
    passwords: list[Any] = ["", "x", "x" * 7, "x" * 129, None, ["a"], {}, *SURROGATES, "a\x00b"]
    cases: list[tuple[dict[str, Any], str]] = [
        *(({"at": value}, "/at") for value in seconds),
        *(({"start": value, "end": 5}, "/start") for value in seconds),
        *(({"start": 1, "end": value}, "/end") for value in seconds),
        ({"start": 1}, "/end"),
        ({"end": 1}, "/start"),
        ({"start": 5, "end": 5}, "/end"),
        ({"start": 5, "end": 5.0001}, "/end"),
        ({"start": 5, "end": 4}, "/end"),
        ({"start": 0, "end": 10800.001}, "/end"),
        ({"start": 1, "end": 2, "at": 0.5}, "/at"),
        ({"start": 1, "end": 2, "at": 2}, "/at"),
        *(({"expires_at": value}, "/expires_at") for value in MOMENTS),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "9999-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": days_from_now(0)}, "/expires_at"),
        ({"expires_at": days_from_now(367)}, "/expires_at"),
        *(({"password": value}, "/password") for value in passwords),
        ({"password": "open sesame", "generate_password": True}, "/password"),
        ({"generate_password": "yes"}, "/generate_password"),
        ({"generate_password": None}, "/generate_password"),
        ({"expires": "2020-01-01T00:00:00Z"}, "/expires"),
        ({"token": "x"}, "/token"),
    ]
    before = snapshot()
    for wanted, pointer in cases:
        with subtests.test(wanted=repr(wanted)[:80]):
            refused(alice.post(f"recordings/{id}/shares/", wanted), pointer)
    assert snapshot() == before


SHORT = 64 * 1024  # bytes of an answer that says no


@pytest.mark.parametrize(
    ("method", "path", "field", "item"),
    [
        ("POST", "recordings/", "tags", 0),
        ("POST", "recordings/check/", "sha256", 0),
        ("POST", "recordings/0/parts/", "parts", {}),
        ("PATCH", "recordings/0/", "markers", {}),
    ],
)
def test_long_lists_are_refused_unread(unchanged: Client, method: str, path: str, field: str, item: Any) -> None:
    """Not by saying of each of 80,000 items what is wrong with it."""
    body = json.dumps(declare(AUDIO) | {field: [item] * 80_000} if path == "recordings/" else {field: [item] * 80_000})
    answer = unchanged.call(method, path, body.replace(" ", "").encode())
    refused(answer, f"/{field}")
    assert [error["code"] for error in answer.json["errors"]] == ["max_length"]


def test_no_answer_to_nonsense_is_long(unchanged: Client) -> None:
    """Lambda takes no answer above 6 MB, and nobody reads 25,000 errors."""
    for fields in (
        {f"{number:x}": 0 for number in range(20_000)},
        {"/" * 200_000: 0},
        declare(AUDIO) | {"tags": [0] * 20, "\x00" * 30_000: 1},
        {"sha256": [0] * 500},
    ):
        path = "recordings/check/" if "sha256" in fields and len(fields) == 1 else "recordings/"
        answer = unchanged.post(path, json.dumps(fields).replace(" ", "").encode())
        assert answer.status == 400
        assert 0 < len(answer.pointers) <= MOST_ERRORS
        assert len(answer.content) < SHORT


def test_a_query_of_more_parameters_than_anybody_has(unchanged: Client) -> None:
    """Django's own bound, which counts them before it reads them."""
    refused(unchanged.get("recordings/?" + "&".join(["a=b"] * 1001)), status=400, code="bad_request")
