"""Everything that is stored about an account's recordings, for its owner to take along."""

from typing import Any

from recordings import presigning
from recordings.models import Change, Recording
from recordings.serializers import detail

PAGE = 200
MOST_BYTES = 5_000_000  # Lambda answers with 6 MB at most
ESCAPED = 14  # bytes that a character may need: two surrogates, escaped in JSON within JSON


def export_page(user_id: str, after: int) -> tuple[list[dict[str, Any]], int | None]:
    """Recordings with URLs for their bytes, the trash included, and where the next page begins (None: nowhere).

    In the order of their versions, strongly consistent: one that changes meanwhile comes again, none is left out.
    """
    rows = Change.since(user_id, after, limit=PAGE + 1)
    living = Recording.batch(user_id, [row.recording_id for row in rows[:PAGE] if not row.deleted])
    found: list[dict[str, Any]] = []
    room = MOST_BYTES
    for row in rows[:PAGE]:
        each = living.get(row.recording_id)
        if each and each.status != "purging":
            room -= _weight(each)
            if room < 0 and found:
                return found, after
            found.append(detail(each) | {"download_url": _url(each)})
        after = row.version
    return found, after if len(rows) > PAGE else None


def _weight(row: Recording) -> int:
    """The bytes that a recording may take at most: its texts, its name twice in a URL, and the rest."""
    texts = [row.notes, row.name, *row.tags, *(marker["label"] for marker in row.markers)]
    return ESCAPED * sum(map(len, texts)) + 24 * len(row.name) + 50 * len(row.markers) + 6000


def _url(row: Recording) -> str | None:
    if row.status == "uploading":
        return None
    return presigning.presign_get(row.stored_key, name=row.name, content_type=row.content_type, inline=False)
