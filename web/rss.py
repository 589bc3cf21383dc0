"""A feed as RSS 2.0 with what podcast apps read besides.

https://www.rssboard.org/rss-specification, https://podcasters.apple.com/support/823-podcast-requirements,
https://github.com/Podcastindex-org/podcast-namespace
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from xml.etree import ElementTree as ET  # only written here, never parsed

from django.templatetags.static import static
from django.utils.html import escape

from accounts.models import Feed
from recordings.models import Recording
from recordings.podcast import media

FORMAT = 1  # of what is written here; another number where that changes, so that no app keeps the old
MOST_BYTES = 4_000_000  # Lambda answers with 6 MB at most, in base64
TTL = 60  # minutes
ITUNES = "http://www.itunes.com/dtds/podcast-1.0.dtd"
ATOM = "http://www.w3.org/2005/Atom"
PODCAST = "https://podcastindex.org/namespace/1.0"
NAMESPACES = {"itunes": ITUNES, "atom": ATOM, "podcast": PODCAST}
INVALID = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # https://www.w3.org/TR/xml/#charsets

for prefix, uri in NAMESPACES.items():
    ET.register_namespace(prefix, uri)


def document(feed: Feed, rows: Iterable[Recording], marked: set[str], *, origin: str, token: str) -> bytes:
    """The whole feed. `marked` are the ids of rows with markers. Where it gets too long, the oldest are left out."""
    root = ET.Element("rss", {"version": "2.0"})
    channel = ET.SubElement(root, "channel")
    here = f"{origin}/feed/{token}"
    describe(channel, feed, origin=origin, address=f"{here}.xml")
    latest = feed.created_at
    room = MOST_BYTES
    for row in rows:
        item = episode(row, f"{here}/{row.id}", chapters=row.id in marked)
        room -= len(ET.tostring(item, "utf-8"))
        if room < 0:
            break
        channel.append(item)
        latest = max(latest, row.updated_at)
    add(channel, "lastBuildDate", moment(latest))
    content: bytes = ET.tostring(root, "utf-8", xml_declaration=True)
    return content


def describe(channel: ET.Element, feed: Feed, *, origin: str, address: str) -> None:
    what = f"Recordings with the tag “{feed.tag}”." if feed.tag else "Recordings."
    image = origin + static("web/podcast.png")
    add(channel, "title", feed.title)
    add(channel, "description", escape(f"{what} Private: whoever has the address of this feed can listen."))
    add(channel, "link", f"{origin}/")
    add(channel, "language", "en")
    add(channel, "ttl", str(TTL))
    add(channel, f"{{{ATOM}}}link", href=address, rel="self", type="application/rss+xml")
    picture = ET.SubElement(channel, "image")
    for name, text in (("url", image), ("title", feed.title), ("link", f"{origin}/")):
        add(picture, name, text)
    add(channel, f"{{{ITUNES}}}image", href=image)
    add(channel, f"{{{ITUNES}}}author", "Recorder")
    add(channel, f"{{{ITUNES}}}type", "episodic")
    add(channel, f"{{{ITUNES}}}block", "Yes")
    add(channel, f"{{{ITUNES}}}explicit", "false")
    add(channel, f"{{{PODCAST}}}locked", "yes")
    add(channel, f"{{{PODCAST}}}guid", feed.guid)


def episode(row: Recording, address: str, *, chapters: bool) -> ET.Element:
    item = ET.Element("item")
    extension, kind = media(row)
    add(item, "title", row.name)
    add(item, "guid", row.id, isPermaLink="false")
    add(item, "pubDate", moment(row.recorded_at))
    add(item, "enclosure", url=f"{address}/audio.{extension}", length=str(row.size), type=kind)
    if row.notes:
        add(item, "description", as_html(row.notes))
    if row.duration is not None:
        add(item, f"{{{ITUNES}}}duration", str(round(row.duration)))
    if chapters:
        add(item, f"{{{PODCAST}}}chapters", url=f"{address}/chapters.json", type="application/json+chapters")
    return item


def add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> None:
    ET.SubElement(parent, name, attributes).text = INVALID.sub("", text) or None


def as_html(text: str) -> str:
    """Plain text as podcast apps, which take a description for HTML, show it unchanged."""
    return str(escape(text)).replace("\r\n", "\n").replace("\n", "<br>\n")


def moment(stamp: str) -> str:
    """A time of the tables as RFC 2822 has it."""
    return format_datetime(datetime.fromisoformat(stamp).astimezone(UTC), usegmt=True)
