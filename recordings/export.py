"""Everything that is stored about an account's recordings, for its owner to take along."""

from typing import Any

from recordings import presigning
from recordings.answers import ESCAPED, MOST_BYTES, weight
from recordings.models import Change, Recording
from recordings.serializers import detail

PAGE = 200
URL = 4000  # bytes of a presigned one, without the name in it


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
    """The bytes that a recording may take here at most, its markers and its name in a URL included."""
    labels = ESCAPED * sum(len(marker["label"]) for marker in row.markers)
    return weight(row) + labels + 50 * len(row.markers) + 24 * len(row.name) + URL


def _url(row: Recording) -> str | None:
    if row.status == "uploading":
        return None
    return presigning.presign_get(row.stored_key, name=row.name, content_type=row.content_type, inline=False)
