"""GET recordings/{id}/download/: a redirect to the bytes, under the recording's name."""

import unicodedata
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from lib.clock import days_from_now
from lib.media_types import BY_TYPE, OPAQUE, file_name, plain_type
from recordings.models import Recording
from tests.client import Client
from tests.state import kept, snapshot
from tests.test_bad_input import PLAYLISTS

AUDIO = bytes(range(256)) * 4


def fetch(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=20)


def test_redirects_to_the_bytes(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    before = snapshot()
    answer = alice.get(f"recordings/{id}/download/")
    url = answer.headers["Location"]
    assert (answer.status, answer.headers["Cache-Control"]) == (302, "no-store")
    assert urlsplit(url).netloc == "test-recordings-bucket.s3.ap-northeast-2.amazonaws.com"
    assert urlsplit(url).path == f"/{kept(alice.user_id, id).key}"
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["21600"]
    got = fetch(url)
    assert (got.status_code, got.content, got.headers["Content-Type"]) == (200, AUDIO, "audio/wav")
    part = fetch(url, Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, AUDIO[10:20])
    assert snapshot() == before


def test_the_url_is_for_the_method_that_asked(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    got, headed = (alice.call(method, f"recordings/{id}/download/").headers["Location"] for method in ("GET", "HEAD"))
    signatures = [parse_qs(urlsplit(url).query)["X-Amz-Signature"] for url in (got, headed)]
    assert signatures[0] != signatures[1]  # S3 takes a signature for one method alone


def test_tells_the_url_to_pages_that_cannot_follow(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    answer = alice.get(f"recordings/{id}/download/?redirect=false")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert set(answer.json) == {"url", "expires_at"}
    assert days_from_now(0.24) < answer.json["expires_at"] < days_from_now(0.26)
    assert fetch(answer.json["url"]).content == AUDIO


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("Talk.wav", 'attachment; filename="Talk.wav"'),
        ("강의.wav", "attachment; filename*=utf-8''%EA%B0%95%EC%9D%98.wav"),
        ('say "hi" there', r'attachment; filename="say \"hi\" there.wav"'),
        ("a; filename=evil", 'attachment; filename="a; filename=evil.wav"'),
        ("../../etc/passwd", 'attachment; filename="_.._etc_passwd.wav"'),
        ("..\\..\\boot.ini", 'attachment; filename="_.._boot.ini.wav"'),
        ("setup.exe", 'attachment; filename="setup.exe.wav"'),
        ("page.HTML. .", 'attachment; filename="page.HTML.wav"'),
        ("24.11", 'attachment; filename="24.11.wav"'),
        ("Talk.WAV", 'attachment; filename="Talk.WAV"'),
        ("Talk.wave", 'attachment; filename="Talk.wave"'),
        ("Talk.m4a", 'attachment; filename="Talk.m4a.wav"'),
        ("Dr. Kim: on sound", 'attachment; filename="Dr. Kim: on sound.wav"'),
        (".bashrc", 'attachment; filename="bashrc.wav"'),
        ("...", 'attachment; filename="recording.wav"'),
        ("talk\u202egpj.exe", 'attachment; filename="talkgpj.exe.wav"'),
        ("\u2066a\u2069\u200f\u2028b.wav", 'attachment; filename="ab.wav"'),
        ("<img src=x onerror=alert(1)>", 'attachment; filename="<img src=x onerror=alert(1)>.wav"'),
    ],
)
def test_under_its_name(alice: Client, name: str, disposition: str) -> None:
    """RFC 6266 and RFC 8187."""
    id = alice.record(AUDIO, name=name)["id"]
    for query, kind in (("", "attachment"), ("?disposition=inline", "inline")):
        got = fetch(alice.get(f"recordings/{id}/download/{query}").headers["Location"])
        assert got.headers["Content-Disposition"] == disposition.replace("attachment", kind)


KINDS = ["audio/wav", "audio/webm;codecs=opus", "video/mp4", "application/ogg", "audio/x-own", *PLAYLISTS]


@pytest.mark.parametrize("playable", [None, True, False])
def test_only_sound_goes_under_its_own_type(alice: Client, playable: bool | None, subtests: pytest.Subtests) -> None:
    """Its owner may play what nobody has listened to yet. What was taken before its type was refused can be had."""
    id = alice.record(AUDIO)["id"]
    known = Recording.playable.remove() if playable is None else Recording.playable.set(playable)
    for kind in KINDS:
        with subtests.test(kind=kind):
            kept(alice.user_id, id).update([Recording.content_type.set(kind), known])
            assert alice.get(f"recordings/{id}/").json["content_type"] == kind
            own = plain_type(kind) in BY_TYPE and playable is not False
            (exported,) = alice.get("accounts/me/export/").json["recordings"]
            for url, inline in (
                (alice.get(f"recordings/{id}/download/").headers["Location"], False),
                (alice.get(f"recordings/{id}/download/?disposition=inline").headers["Location"], own),
                (exported["download_url"], False),
            ):
                got = fetch(url)
                assert (got.content, got.headers["Content-Type"]) == (AUDIO, kind if own else OPAQUE)
                assert got.headers["Content-Disposition"].startswith("inline" if inline else "attachment")


# Endings by which a system does something else than play, and disguises of them. Each came through a list of what is
# not allowed.
HOSTILE = [
    *("application", "appinstaller", "mobileconfig", "msixbundle", "library-ms", "settingcontent-ms", "appref-ms"),
    *("exe", "EXE", "html", "svg", "lnk", "url", "scr", "m3u8", "pls", "wax", "ram", "mov", "wav.exe", "audio"),
    *(
        "exe\u00ad",
        "exe\u200b",
        "exe\u2060",
        "exe\ufeff",
        "exe\U000e0020",
        "exe\u180e",
        "exe\u3000",
        "e\u00adxe",
        "exe:",
    ),
]


@pytest.mark.parametrize("ending", HOSTILE)
@pytest.mark.parametrize(("kind", "end"), [("audio/wav", ".wav"), ("audio/mp4", ".m4a"), ("audio/x-own", ".audio")])
def test_always_ends_as_sound_does(ending: str, kind: str, end: str) -> None:
    name = file_name(f"evil.{ending}", kind)
    assert name.endswith(end)
    assert not [each for each in name if unicodedata.category(each) == "Cf"]


def test_format_characters_are_dropped(alice: Client) -> None:
    id = alice.record(AUDIO, name="evil.exe\u00ad")["id"]
    got = fetch(alice.get(f"recordings/{id}/download/").headers["Location"])
    assert got.headers["Content-Disposition"] == 'attachment; filename="evil.exe.wav"'


@pytest.mark.parametrize("length", range(228, 256))
def test_no_cut_makes_another_ending(length: int) -> None:
    """What saves a file cuts its name at 255 bytes; the name is shorter."""
    name = file_name("가" * 10 + "x" * (length - 14) + ".exe", "audio/wav")
    assert name.endswith(".wav")
    assert len(name.encode()) <= 240


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Talk.m4a", "audio/x-m4a"),
        ("Talk.M4A", "audio/mp4;codecs=mp4a.40.2"),
        ("Talk.mp4", "audio/mp4"),
        ("Talk.opus", "audio/ogg; codecs=opus"),
        ("Talk.weba", "video/webm"),
        ("Talk.mp3", "audio/mpeg"),
        ("Talk.3gp", "audio/3gpp"),
        ("Talk.mka", "audio/x-matroska"),
        ("Talk.wma", "audio/x-ms-wma"),
        ("강의 1. 소리.flac", "audio/flac"),
    ],
)
def test_an_ending_that_fits_stays(name: str, kind: str) -> None:
    assert file_name(name, kind) == name


def test_under_its_new_name(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    alice.patch(f"recordings/{id}/", {"name": "new.wav"})
    assert (
        "new.wav" in fetch(alice.get(f"recordings/{id}/download/").headers["Location"]).headers["content-disposition"]
    )


def test_also_from_the_trash(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    alice.delete(f"recordings/{id}/")
    assert fetch(alice.get(f"recordings/{id}/download/").headers["Location"]).content == AUDIO


def test_not_before_it_is_there(alice: Client) -> None:
    id = alice.create(AUDIO).json["recording"]["id"]
    answer = alice.get(f"recordings/{id}/download/")
    assert (answer.status, answer.code) == (409, "upload_incomplete")
