"""A feed as RSS 2.0, which Django writes, with what podcast apps read besides.

https://www.rssboard.org/rss-specification, https://podcasters.apple.com/support/823-podcast-requirements,
https://github.com/Podcastindex-org/podcast-namespace
"""

import re
from collections.abc import Iterable
from datetime import datetime
from io import BytesIO
from typing import Any

from django.templatetags.static import static
from django.utils.feedgenerator import Enclosure, Rss201rev2Feed
from django.utils.html import escape

from accounts.models import Feed
from recordings.models import Recording
from recordings.podcast import media

FORMAT = 2  # of what is written here; another number where that changes, so that no app keeps the old
MOST_BYTES = 4_000_000  # Lambda answers with 6 MB at most, in base64
TTL = 60  # minutes
ITUNES = "http://www.itunes.com/dtds/podcast-1.0.dtd"
PODCAST = "https://podcastindex.org/namespace/1.0"
INVALID = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # https://www.w3.org/TR/xml/#charsets


class PodcastFeed(Rss201rev2Feed):
    """Django's RSS. `more` of the feed, and of each item, are elements besides: (name, text, attributes)."""

    def rss_attributes(self) -> dict[str, str]:
        return super().rss_attributes() | {"xmlns:itunes": ITUNES, "xmlns:podcast": PODCAST}

    def latest_post_date(self) -> datetime:
        latest: datetime = max([self.feed["created_at"], *(item["changed_at"] for item in self.items)])
        return latest

    def add_root_elements(self, handler: Any) -> None:
        super().add_root_elements(handler)
        handler.startElement("image", {})
        for name, text in (("url", self.feed["image"]), ("title", self.feed["title"]), ("link", self.feed["link"])):
            handler.addQuickElement(name, text)
        handler.endElement("image")
        for element in self.feed["more"]:
            handler.addQuickElement(*element)

    def add_item_elements(self, handler: Any, item: dict[str, Any]) -> None:
        super().add_item_elements(handler, item)
        for element in item["more"]:
            handler.addQuickElement(*element)

    def as_bytes(self) -> bytes:
        file = BytesIO()
        self.write(file, "utf-8")
        return file.getvalue()


def document(feed: Feed, rows: Iterable[Recording], marked: set[str], *, origin: str, token: str) -> bytes:
    """The whole feed. `marked` are the ids of rows with markers. Where it gets too long, the oldest are left out."""
    here, home = f"{origin}/feed/{token}", f"{origin}/"
    made = described(feed, home=home, image=origin + static("web/podcast.png"), address=f"{here}.xml")
    for row in rows:
        made.add_item(link=home, **episode(row, f"{here}/{row.id}", chapters=row.id in marked))
    while len(content := made.as_bytes()) > MOST_BYTES:
        del made.items[len(made.items) * MOST_BYTES // len(content) :]
    return content


def described(feed: Feed, *, home: str, image: str, address: str) -> PodcastFeed:
    what = f"Recordings with the tag “{feed.tag}”." if feed.tag else "Recordings."
    description = escape(f"{what} Private: whoever has the address of this feed can listen.")
    more = [
        ("itunes:image", None, {"href": image}),
        ("itunes:author", "Recorder"),
        ("itunes:type", "episodic"),
        ("itunes:block", "Yes"),
        ("itunes:explicit", "false"),
        ("podcast:locked", "yes"),
        ("podcast:guid", feed.guid),
    ]
    own: dict[str, Any] = {"image": image, "created_at": datetime.fromisoformat(feed.created_at), "more": more}
    title = legible(feed.title)
    return PodcastFeed(title, home, legible(description), language="en", feed_url=address, ttl=TTL, **own)


def episode(row: Recording, address: str, *, chapters: bool) -> dict[str, Any]:
    """One item, as feedgenerator's `add_item` takes it."""
    extension, kind = media(row)
    more: list[tuple[Any, ...]] = []
    if row.duration is not None:
        more.append(("itunes:duration", str(round(row.duration))))
    if chapters:
        where = {"url": f"{address}/chapters.json", "type": "application/json+chapters"}
        more.append(("podcast:chapters", None, where))
    return {
        "title": legible(row.name),
        "unique_id": row.id,
        "unique_id_is_permalink": False,
        "pubdate": datetime.fromisoformat(row.recorded_at),
        "changed_at": datetime.fromisoformat(row.updated_at),
        "enclosures": [Enclosure(f"{address}/audio.{extension}", str(row.size), kind)],
        "description": as_html(row.notes) if row.notes else None,
        "more": more,
    }


def legible(text: str) -> str:
    """What XML has a place for: Django refuses the rest."""
    return INVALID.sub("", text)


def as_html(text: str) -> str:
    """Plain text as podcast apps, which take a description for HTML, show it unchanged."""
    return str(escape(legible(text))).replace("\r\n", "\n").replace("\n", "<br>\n")
