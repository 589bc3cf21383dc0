"""What a stranger can put into a request, for Hypothesis: every part that a gateway hands on as it came."""

import json
import string
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

import tests.project.loaded  # noqa: F401 - for what Hypothesis tries
from accounts.authentication import COOKIE
from lib.parsers import MAX_JSON_BYTES
from tests.client import HOST, declare

AUDIO = b"RIFF, more or less"
ID = "0123456789abcdef" * 2
ODD = [
    *(
        "",
        " ",
        "\x00",
        "\r\nSet-Cookie: a=b",
        "\n",
        "\ud800",
        "\udfff\ud800",
        "\ufeff",
        "\U0010ffff",
        "한글",
        "é",
        "İ",
    ),
    *("%", "%0", "%00", "%2F", "%2f..%2f", "%c0%af", "%e0%80%af", "%f4%90%80%80", "%ED%A0%80", "%ff", "%25", "+", ";"),
    *(
        "..",
        "/",
        "//evil.test",
        "\\",
        "?",
        "#",
        "&",
        "=",
        ",",
        '"',
        '"*',
        "W/",
        "*",
        "{}",
        "${7*7}",
        "<script>",
        "'--",
    ),
    *("1e999", "NaN", "-1", "9" * 400, "0" * 40, "a" * 300, "a" * 12_000, "null", "None", "true", "undefined"),
]
odd = st.one_of(st.sampled_from(ODD), st.text(max_size=20), st.lists(st.sampled_from(ODD), max_size=3).map("".join))

ODD_METHODS = [
    "TRACE",
    "CONNECT",
    "get",
    "PROPFIND",
    "X" * 300,
    "",
    "GET /",
    "G\u0130T",
    "\ud800",
    "DISPATCH",
    "__init__",
]
methods = st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", *ODD_METHODS])

DECLARED = declare(AUDIO)
PARTS = {"parts": [{"number": 1, "sha256": "0" * 64}]}
EDIT = {"name": "x", "tags": ["a"], "notes": "n", "favorite": True, "markers": [{"at": 1, "label": "x"}]}
GUEST = {"provider": "guest", "device_name": "x"}
# Method, path (its gap for an id, a name or the like), a right body.
ENDPOINTS: list[tuple[str, str, Any]] = [
    *(("GET", f"accounts/{path}/", None) for path in ("providers", "me", "me/export", "sessions", "identities")),
    ("POST", "accounts/login/", GUEST),
    ("POST", "accounts/identities/", {"provider": "google", "id_token": "x"}),
    ("PATCH", "accounts/me/", {"name": "x"}),
    ("DELETE", "accounts/sessions/{}/", None),
    ("DELETE", "accounts/identities/{}/", None),
    ("GET", "accounts/kakao/unlink/", None),
    ("POST", "recordings/", DECLARED),
    ("POST", "recordings/", DECLARED | {"size": 2**24}),
    *(("GET", f"recordings/{path}", None) for path in ("", "changes/", "{}/", "{}/waveform/", "{}/markers/")),
    *(("POST", f"recordings/{{}}/{word}/", None) for word in ("complete", "restore", "complete")),
    ("GET", "recordings/{}/download/", None),
    ("POST", "recordings/{}/parts/", PARTS),
    ("PATCH", "recordings/{}/", EDIT),
    ("DELETE", "recordings/{}/", None),
    ("DELETE", "recordings/", None),
    ("POST", "recordings/check/", {"sha256": ["0" * 64]}),
    ("POST", "recordings/uppy/", None),
    ("PUT", "recordings/upload/{}/", AUDIO),
    ("GET", "{}", None),
]
ENDPOINTS = [(method, f"/api/v1/{path}", body) for method, path, body in ENDPOINTS]
UPPY = {"filename": "x.wav", "type": "audio/wav", "metadata": {"size": "5", "sha256": "0" * 64}}
ENDPOINTS += [("GET", path, None) for path in ("/", "/login/", "/login/{}/", "/login/{}/callback/", "/sw.js", "/{}")]
ENDPOINTS += [("POST", "/login/", b"provider=guest"), ("POST", "/logout/", b""), ("GET", "/static/{}", None)]
ENDPOINTS += [("GET", "/uppy/{}/s3/params", None), ("POST", "/uppy/{}/s3/multipart", UPPY)]
ENDPOINTS += [("GET", f"/uppy/{{}}/s3/multipart/x{tail}", None) for tail in ("", "/batch", "/1")]
ENDPOINTS += [("POST", "/uppy/{}/s3/multipart/x/complete", {"parts": [{"PartNumber": 1, "ETag": "x"}]})]
NAMES = ["limit", "cursor", "shelf", "tag", "search", "from", "to", "permanent", "redirect", "disposition", "scope"]
NAMES += ["as", "recorded_at", "sha256", "next", "deep", "code", "state", "filename", "type", "metadata[size]", "key"]


def query_strings() -> st.SearchStrategy[str]:
    """As they were sent, and some that nobody may send."""
    names = st.one_of(st.sampled_from(NAMES), odd)
    pairs = st.lists(st.tuples(names, odd), max_size=4)
    sent = pairs.map(lambda pairs: "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs))
    raw = st.builds(lambda name, value: f"{name}={value}", names, odd)
    return st.one_of(st.just(""), sent, sent, raw, st.just("&".join("a=b" for _ in range(1500))))


def quoted(text: str) -> str:
    return quote(text.encode(errors="surrogatepass"), safe="%&=")


HEADERS = ["accept", "accept-language", "if-match", "if-none-match", "origin", "range", "referer", "x-csrftoken"]
HEADERS += ["content-length", "content-type", "authorization", "cookie", "x-forwarded-for", "x-forwarded-proto"]
HEADERS += ["x_forwarded_for", "x-http-method-override", "access-control-request-method", "expect", "forwarded", "te"]
HEADERS += ["transfer-encoding", "x-forwarded-host", "x-forwarded-port", "x-amzn-trace-id", "host", "content-encoding"]
TYPES = [
    *(
        "*/*",
        "text/html",
        "text/html;q=0.9, application/json",
        "application/json; indent=99999999",
        "a/b/c",
        "/",
        ";;=",
    ),
    *("application/json; charset=\x00", "application/json; charset=nonsense", "text/plain; a*=nonsense'x'%ff"),
    *("application/json; charset=utf-16", "audio/wav; charset*=utf-8''%ff%fe", "application/x-www-form-urlencoded"),
    *("multipart/form-data; boundary=a", "multipart/form-data", "application/json; indent=x", "a/b; c" + ";d" * 3000),
    *("application/json; charset*=utf-7''%00", "audio/wav; a*0*=x", "audio/wav; a*1*=x; a*0=y", 'audio/wav; a="\\'),
    *("application/json; charset=idna", "application/json; charset=hex", "text/plain; a*=\x00'x'y", "audio/wav; ="),
    *("text/html; a*=b'c", "application/json, text/html", "text/html; charset=\udfff", "text/html;" * 500),
]
types = st.one_of(
    st.sampled_from(["application/json", "text/html", "*/*"]),
    st.sampled_from(TYPES),
    st.text(max_size=20).map("application/json; ".__add__),
)
VALUES = [
    *TYPES,
    *(
        "Bearer",
        "Bearer x",
        "Bearer \u0130",
        "Basic eDp4",
        "Bearer " + "0" * 32 + "." + "A" * 43,
        f"{COOKIE}=x; {COOKIE}=y",
    ),
    *(
        f"{COOKIE}=\ud800",
        f"{COOKIE}=한글",
        f'{COOKIE}="\\303\\277"',
        "csrftoken=" + "a" * 32,
        "; ; =; =a",
        "a=b;" * 1200,
    ),
    *(
        "https://app.test",
        "null",
        "bytes=0-,0-,0-",
        "bytes=9" * 500,
        '"1"',
        'W/"1", "2"',
        '"' * 3000,
        "evil.test",
        HOST,
    ),
    *(f"{HOST}:99999", f"user@{HOST}", "[::1", "1.2.3.4, ::ffff:1.2.3.4%eth0", "https, http", "a, " * 3000),
]
values = st.one_of(st.sampled_from(VALUES), odd)
header_names = st.one_of(st.sampled_from(HEADERS), odd)
headers = st.dictionaries(header_names, values, max_size=5)

numbers = st.one_of(st.sampled_from([10**400, -(2**63) - 1, 1e308, float("nan"), float("inf"), -0.0]), st.integers())
scalars = st.one_of(st.none(), st.booleans(), numbers, odd)
FIELDS = [*declare(AUDIO), "tags", "notes", "recorded_at", "favorite", "markers", "parts", "provider", "device_name"]
FIELDS += [
    "id_token",
    "nonce",
    "access_token",
    "code",
    "code_verifier",
    "redirect_uri",
    "filename",
    "type",
    "metadata",
]
FIELDS += ["number", "at", "label"]
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.sampled_from(FIELDS), odd), inner, max_size=4)
    ),
    max_leaves=12,
)
DEEP = [
    b"[" * 100_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b'{"size": 1e999}',
    b'{"size": ' + b"9" * 5000 + b"}",
]
DEEP += [
    b" " * (MAX_JSON_BYTES + 1),
    b'"\\ud800"',
    b'{"name": "\\udfff"}',
    b'{"\\ud800": 1}',
    b"\xff\xfe",
    b"\xc0\xaf",
    b"{",
]


def as_sent(body: Any) -> bytes | None:
    return body if body is None or isinstance(body, bytes) else json.dumps(body).encode()


def bodies(right: Any) -> st.SearchStrategy[bytes | None]:
    """Any document, one that is deep, large or no text, or the right one with one value put in another's place."""
    other = st.one_of(documents.map(as_sent), st.sampled_from(DEEP), st.binary(max_size=40), st.none())
    if not isinstance(right, dict):
        return other
    near = st.builds(lambda name, value: as_sent(right | {name: value}), st.sampled_from([*right, *FIELDS]), documents)
    return st.one_of(near, near, other)


NOT_BASE64 = ["=", "====", "a", "abc", "ab=c", "é", "\ud800", "\x00", "%%%", "YQ", "YQ==YQ==", "Y\nQ=="]


PLACES = ["method", "path", "query", "headers", "cookies", "body", "frame"]


@st.composite
def events(draw: st.DrawFn, factory: Callable[..., dict[str, Any]], key: str, words: Sequence[str]) -> dict[str, Any]:
    """A call of some endpoint as one gateway hands it over, with one or two of its parts made up. `words` fit gaps."""
    method, path, right = draw(st.sampled_from(ENDPOINTS))
    made_up = draw(st.sets(st.sampled_from(PLACES), min_size=1, max_size=2))
    word = draw(st.one_of(odd, odd.map(quoted)) if "path" in made_up else st.sampled_from(words))
    sent = {"content-type": "audio/wav" if right == AUDIO else "application/json"}
    if key and draw(st.integers(0, 4)):
        sent["authorization"] = f"Bearer {key}"
    if "headers" in made_up:
        sent |= {"content-type": draw(types), "accept": draw(types)} | draw(headers)
    event = factory(
        method=draw(methods) if "method" in made_up else method,
        path=path.replace("{}", word),
        content=draw(bodies(right)) if "body" in made_up else as_sent(right),
        as_text="body" in made_up and draw(st.booleans()),
        cookies=draw(st.lists(values, min_size=1, max_size=3)) if "cookies" in made_up else None,
        **sent,
    )
    if "frame" in made_up:  # a body that is not what its gateway says of it
        event |= {"body": draw(st.one_of(st.sampled_from(NOT_BASE64), odd)), "isBase64Encoded": draw(st.booleans())}
    return with_query(event, draw(query_strings())) if "query" in made_up else event


def with_query(event: dict[str, Any], query: str) -> dict[str, Any]:
    """The query as this gateway hands it on."""
    if "rawQueryString" in event:
        return event | {"rawQueryString": query}
    words = dict(pair.partition("=")[::2] for pair in query.split("&")) if query else None
    if "multiValueQueryStringParameters" not in event:
        return event | {"queryStringParameters": words or {}}
    many = {name: [word, word] for name, word in words.items()} if words else None
    return event | {"queryStringParameters": words, "multiValueQueryStringParameters": many}


TOKEN = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")
