"""Podcast feeds as podcast apps read them: parsed by feedparser and by gPodder's podcastparser."""

import io
import json
from datetime import datetime
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import feedparser
import podcastparser
import pytest
import requests
from pytest_django import Settings

from recordings import podcast
from recordings.keys import RecordingId, UserId
from recordings.models import Recording
from tests.accounts.test_feeds import make, token_of
from tests.accounts.test_throttles import stop_the_clock
from tests.client import HOST, Answer, Client
from tests.state import calls, failing, kept, snapshot
from web import rss

NOBODY = Client()
MARKUP = '<img src=x onerror=alert(1)> & "more"</title>]]>'
ITUNES, PODCAST = f"{{{rss.ITUNES}}}", f"{{{rss.PODCAST}}}"


def path_of(feed: dict[str, Any]) -> str:
    return str(urlsplit(feed["url"]).path)


def read(feed: dict[str, Any], **headers: str) -> Answer:
    answer = NOBODY.get(path_of(feed), **headers)
    assert answer.status == 200, answer
    return answer


def parsed(feed: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """As both parsers understand it; neither may find fault."""
    content = read(feed).content
    ours = feedparser.parse(content)
    assert not ours.bozo, ours.get("bozo_exception")
    theirs: dict[str, Any] = podcastparser.parse(feed["url"], io.BytesIO(content))
    return ours, theirs


def channel(feed: dict[str, Any]) -> ET.Element:
    found = ET.fromstring(read(feed).content).find("channel")  # noqa: S314 - our own
    assert found is not None
    return found


def text(parent: ET.Element, name: str) -> str | None:
    return parent.findtext(name)


def built(found: ET.Element) -> datetime:
    return parsedate_to_datetime(text(found, "lastBuildDate") or "")


def ids(feed: dict[str, Any]) -> list[str | None]:
    return [item.findtext("guid") for item in channel(feed).findall("item")]


def link(feed: dict[str, Any], id: str, rest: str) -> str:
    return f"{path_of(feed).removesuffix('.xml')}/{id}/{rest}"


def notes(client: Client, id: str, **fields: Any) -> None:
    assert client.patch(f"recordings/{id}/", fields).status == 200


def test_a_feed_of_everything(alice: Client) -> None:
    old = alice.record(b"old" * 10, name="강의 1", recorded_at="2026-01-02T03:04:05Z", content_type="audio/mp4")
    new = alice.record(b"new" * 20, name="Harbour", recorded_at="2026-03-02T03:04:05Z", notes="Line 1\nLine 2")
    feed = make(alice, title="Mine")
    ours, theirs = parsed(feed)
    assert [entry.id for entry in ours.entries] == [new["id"], old["id"]] == [e["guid"] for e in theirs["episodes"]]
    assert [entry.title for entry in ours.entries] == ["Harbour", "강의 1"]
    assert {entry.link for entry in ours.entries} == {f"https://{HOST}/"}
    base = feed["url"].removesuffix(".xml")
    assert [dict(entry.enclosures[0]) for entry in ours.entries] == [
        {"href": f"{base}/{new['id']}/audio.wav", "length": "60", "type": "audio/wav"},
        {"href": f"{base}/{old['id']}/audio.m4a", "length": "30", "type": "audio/x-m4a"},
    ]
    assert [each["enclosures"][0]["file_size"] for each in theirs["episodes"]] == [60, 30]
    assert theirs["episodes"][1]["published"] == 1767323045
    assert ours.entries[1].published == "Fri, 02 Jan 2026 03:04:05 +0000"
    assert [entry.get("guidislink", False) for entry in ours.entries] == [False, False]
    assert "Line 1" in ours.entries[0].description
    assert theirs["title"] == ours.feed.title == "Mine"


def test_what_a_feed_says_of_itself(alice: Client) -> None:
    feed = make(alice, tag="R&D", title="Mine")
    ours, theirs = parsed(feed)
    assert (ours.feed.language, ours.feed.link, ours.feed.ttl) == ("en", f"https://{HOST}/", "60")
    assert ours.feed.author == "Recorder"
    assert ours.feed.image.href == theirs["cover_url"] == f"https://{HOST}/static/web/podcast.png"
    assert [each.href for each in ours.feed.links if each.rel == "self"] == [feed["url"]]
    assert "R&D" in unescape(ours.feed.description)
    found = channel(feed)
    assert (text(found, f"{ITUNES}block"), text(found, f"{ITUNES}explicit")) == ("Yes", "false")
    assert text(found, f"{PODCAST}locked") == "yes"
    assert built(found) == datetime.fromisoformat(feed["created_at"]).replace(microsecond=0)


def test_the_guid_is_the_one_of_the_namespace(alice: Client, settings: Settings) -> None:
    """The specification's own example; and it stays when the server gets another name."""
    import uuid

    from accounts.feeds import NAMESPACE

    assert str(uuid.uuid5(NAMESPACE, "podnews.net/rss")) == "9b024349-ccf0-5f69-a609-6b82873eab3c"
    feed = make(alice)
    expected = str(uuid.uuid5(NAMESPACE, feed["url"].removeprefix("https://")))
    assert text(channel(feed), f"{PODCAST}guid") == expected
    settings.PUBLIC_URL = "https://elsewhere.test"
    found = channel(feed)
    assert text(found, f"{PODCAST}guid") == expected
    assert text(found, "link") == "https://elsewhere.test/"


def test_a_feed_of_one_tag(alice: Client) -> None:
    tagged = alice.record(b"tagged", tags=["work", "family"])["id"]
    alice.record(b"untagged")
    feed = make(alice, tag="family")
    assert ids(feed) == [tagged]
    enclosure = link(feed, tagged, "audio.wav")
    assert NOBODY.get(enclosure).status == 302
    notes(alice, tagged, tags=["work"])
    assert ids(feed) == []
    assert NOBODY.get(enclosure).status == 404


def test_what_is_not_shown(alice: Client, charlie: Client) -> None:
    """Uploads under way, what came out wrong, the trash, what is purged, and what is another's."""
    uploading = alice.create(b"not here yet").json["recording"]["id"]
    trashed, purged, wrong = (alice.record(content)["id"] for content in (b"trashed", b"purged", b"wrong"))
    his = charlie.record(b"his")["id"]
    feed = make(alice)
    alice.delete(f"recordings/{trashed}/")
    alice.delete(f"recordings/{purged}/?permanent=true")
    Recording(wrong, alice.user_id).update([Recording.status.set("mismatch")])
    assert ids(feed) == []
    for id in (uploading, trashed, purged, wrong, his, "0" * 32, "x", "account:x"):
        for rest in ("audio.wav", "chapters.json"):
            answer = NOBODY.get(link(feed, id, rest))
            assert (answer.status, answer.code) == (404, "not_found"), id
    alice.post(f"recordings/{trashed}/restore/")
    assert ids(feed) == [trashed]


def test_unknown_deleted_and_closed_are_the_same_404(alice: Client, charlie: Client) -> None:
    id = alice.record(b"a talk")["id"]
    deleted, closed = make(alice), make(charlie)
    alice.delete(f"accounts/feeds/{deleted['id']}/")
    charlie.delete("accounts/me/")
    answers = [
        NOBODY.get(f"/feed/{token}{rest}")
        for token in ("x" * 43, token_of(deleted), token_of(closed), "x", "x" * 500, deleted["id"])
        for rest in (".xml", f"/{id}/audio.m4a", f"/{id}/chapters.json")
    ]
    assert {answer.status for answer in answers} == {404}
    assert len({repr(answer.json | {"request_id": ""}) for answer in answers}) == 1
    assert len({repr({**answer.headers, "X-Request-Id": ""}) for answer in answers}) == 1


def test_an_enclosure_leads_to_the_bytes_for_a_quarter_of_an_hour(alice: Client) -> None:
    id = alice.record(b"what was said", name="바다 / sea.m4a", content_type="audio/mp4; codecs=x")["id"]
    kept(alice.user_id, id).update([Recording.playable.set(True)])
    feed = make(alice)
    before = snapshot()
    answer = NOBODY.get(link(feed, id, "audio.m4a"))
    assert (answer.status, answer.headers["Cache-Control"]) == (302, "no-store")
    url = answer.headers["Location"]
    assert "X-Amz-Expires=900&" in url
    bytes = requests.get(url, timeout=10)
    assert (bytes.content, bytes.headers["Content-Type"]) == (b"what was said", "audio/x-m4a")
    assert NOBODY.call("HEAD", link(feed, id, "audio.m4a")).status == 302
    assert NOBODY.get(link(feed, id, "audio.mp3")).status == 302  # an address from earlier days
    notes(alice, id, name="Another")
    assert feedparser.parse(read(feed).content).entries[0].enclosures[0].href.endswith(link(feed, id, "audio.m4a"))
    assert before.keys() == snapshot().keys()


@pytest.mark.parametrize(
    ("kind", "playable"), [("audio/mp4", None), ("audio/mp4", False), ("audio/vnd.apple.mpegurl", True)]
)
def test_what_is_not_found_to_be_sound_is_a_file(alice: Client, kind: str, playable: bool | None) -> None:
    id = alice.record(b"#EXTM3U", name="evil.m3u8")["id"]
    known = Recording.playable.remove() if playable is None else Recording.playable.set(playable)
    kept(alice.user_id, id).update([Recording.content_type.set(kind), known])
    got = requests.get(NOBODY.get(link(make(alice), id, "audio.m4a")).headers["Location"], timeout=10)
    assert (got.content, got.headers["Content-Type"]) == (b"#EXTM3U", "application/octet-stream")
    assert got.headers["Content-Disposition"].startswith('attachment; filename="evil.m3u8.')


@pytest.mark.parametrize(
    ("declared", "extension", "kind"),
    [
        ("audio/mp4", "m4a", "audio/x-m4a"),
        ("audio/x-m4a", "m4a", "audio/x-m4a"),
        ("audio/mpeg", "mp3", "audio/mpeg"),
        ("audio/ogg;codecs=opus", "ogg", "audio/ogg"),
        ("application/ogg", "ogg", "audio/ogg"),
        ("Audio/WebM; codecs=opus", "webm", "audio/webm"),
        ("video/webm", "webm", "audio/webm"),
        ("video/mp4", "mp4", "video/mp4"),
        ("audio/x-wav", "wav", "audio/wav"),
        ("audio/flac", "flac", "audio/flac"),
        ("audio/vnd.nobody-knows", "bin", "application/octet-stream"),
        ("audio/vnd.apple.mpegurl", "bin", "application/octet-stream"),
    ],
)
def test_types_by_extension(declared: str, extension: str, kind: str) -> None:
    assert podcast.media(Recording(RecordingId("0"), UserId("0"), content_type=declared)) == (extension, kind)


def test_markers_are_chapters(alice: Client) -> None:
    marked, plain = alice.record(b"marked")["id"], alice.record(b"plain")["id"]
    feed = make(alice)
    notes(alice, marked, markers=[{"at": 61.5, "label": "바다 & <b>"}, {"at": 0, "label": "Begin"}])
    chapters = {item.findtext("guid"): item.find(f"{PODCAST}chapters") for item in channel(feed).findall("item")}
    assert chapters[plain] is None
    found = chapters[marked]
    assert found is not None
    path = link(feed, marked, "chapters.json")
    assert found.attrib == {"url": f"https://{HOST}{path}", "type": "application/json+chapters"}
    answer = NOBODY.get(path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json+chapters")
    expected = [{"startTime": 0, "title": "Begin"}, {"startTime": 61.5, "title": "바다 & <b>"}]
    assert json.loads(answer.content) == {"version": "1.2.0", "chapters": expected}
    assert json.loads(NOBODY.get(link(feed, plain, "chapters.json")).content)["chapters"] == []


def test_lengths_are_whole_seconds(alice: Client) -> None:
    id = alice.record(b"a talk")["id"]
    row = Recording(id, alice.user_id)
    feed = make(alice)
    assert text(channel(feed).findall("item")[0], f"{ITUNES}duration") is None
    row.update([Recording.duration.set(3661.6)])
    ours, theirs = parsed(feed)
    assert ours.entries[0].itunes_duration == "3662"
    assert theirs["episodes"][0]["total_time"] == 3662


def test_words_stay_words(alice: Client) -> None:
    """Markup, what XML 1.0 has no place for, and any script, in every field that people write."""
    odd = "\ufffe\uffff\U0001f3a4"
    id = alice.record(b"a talk", name=MARKUP + odd, notes=f"{MARKUP}\x0b\x1f\n바다 \U0001f3a4", tags=["<t>"])["id"]
    feed = make(alice, tag="<t>", title=MARKUP + odd)
    ours, _ = parsed(feed)
    found = channel(feed)
    (item,) = found.findall("item")
    assert text(found, "title") == text(item, "title") == MARKUP + "\U0001f3a4"
    description = text(item, "description") or ""
    assert unescape(description) == f"{MARKUP}<br>\n바다 \U0001f3a4"
    assert "<img" not in description
    assert ours.entries[0].id == id
    assert "<img" not in ours.entries[0].description
    assert "&lt;t&gt;" in (text(found, "description") or "")


def test_304_until_something_changes(alice: Client) -> None:
    id = alice.record(b"a talk")["id"]
    feed = make(alice)
    tag = read(feed).headers["ETag"]
    assert read(feed).headers["ETag"] == tag
    assert "no-cache" in read(feed).headers["Cache-Control"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        with calls() as spent:
            answer = NOBODY.get(path_of(feed), if_none_match=known)
        assert (answer.status, answer.content, answer.headers["ETag"]) == (304, b"", tag)
        assert spent == ["GetItem", "GetItem", "Query"]
    notes(alice, id, markers=[{"at": 0, "label": "x"}])
    changed = read(feed, if_none_match=tag).headers["ETag"]
    assert changed != tag
    alice.delete(f"recordings/{id}/")
    gone = read(feed, if_none_match=changed).headers["ETag"]
    assert gone not in (tag, changed)


def test_the_build_date_is_that_of_the_last_change(alice: Client) -> None:
    id = alice.record(b"a talk")["id"]
    feed = make(alice)
    notes(alice, id, name="Another")
    assert built(channel(feed)) == datetime.fromisoformat(kept(alice.user_id, id).updated_at).replace(microsecond=0)


def test_the_newest_300(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podcast, "MOST", 3)
    monkeypatch.setattr(podcast, "STEP", 2)
    made = [alice.record(b"%d" % day, recorded_at=f"2026-01-0{day}T00:00:00Z")["id"] for day in range(1, 7)]
    assert ids(make(alice)) == made[:2:-1]
    notes(alice, made[0], tags=["old"])
    assert ids(make(alice, tag="old")) == [made[0]]
    monkeypatch.setattr(podcast, "READS", 4)
    assert ids(make(alice, tag="old")) == []


def test_no_feed_outgrows_lambda(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = "\U0001f3a4"
    created = alice.record(b"a", name=longest * 255, notes="&" * 4000)
    row = kept(alice.user_id, created["id"])
    monkeypatch.setattr("web.feeds.episodes", lambda *_: [row] * 300)
    feed = make(alice)
    content = read(feed).content
    assert len(content) * 4 / 3 < 5_900_000
    assert 100 < len(feedparser.parse(content).entries) < 300


def test_nobody_finds_it_by_searching_and_nobody_leaves_a_cookie(alice: Client) -> None:
    id = alice.record(b"a talk")["id"]
    feed = make(alice)
    for path in (path_of(feed), link(feed, id, "audio.wav"), link(feed, id, "chapters.json"), "/feed/x.xml"):
        answer = NOBODY.get(path)
        assert answer.headers["X-Robots-Tag"] == "noindex"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Set-Cookie" not in answer.headers
        assert NOBODY.call("HEAD", path).status == answer.status
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert Client().call(method, path).status in (403, 405)
    assert read(feed).headers["Content-Type"] == "application/rss+xml; charset=utf-8"


def test_what_it_costs(alice: Client) -> None:
    id = alice.record(b"a talk")["id"]
    feed, empty = make(alice), make(alice, tag="nothing")
    for path, expected in (
        (path_of(feed), ["GetItem", "GetItem", "Query", "BatchGetItem"]),
        (path_of(empty), ["GetItem", "GetItem", "Query"]),
        (link(feed, id, "audio.wav"), ["GetItem", "GetItem", "GetItem"]),
        (link(feed, id, "chapters.json"), ["GetItem", "GetItem", "GetItem"]),
        (f"/feed/{'x' * 43}.xml", ["GetItem"]),
        ("/feed/x.xml", []),
    ):
        with calls() as spent:
            NOBODY.get(path)
        assert spent == expected, path


def test_too_many_calls_from_one_address(alice: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from accounts import throttles

    feed = make(alice)
    settings.THROTTLE = True
    stop_the_clock(monkeypatch)
    monkeypatch.setitem(throttles.LIMITS, "feed", (2, 60))
    answers = [NOBODY.get(path_of(feed)) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert 0 < int(answers[2].headers["Retry-After"]) <= 61
    assert NOBODY.get("/feed/x.xml").status == 429


def test_a_store_that_does_not_answer_is_503(alice: Client) -> None:
    feed = make(alice)
    with failing("Query"):
        answer = NOBODY.get(path_of(feed))
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "unavailable", "1")
