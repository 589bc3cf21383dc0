"""What a podcast feed shows of an account's recordings: those of the library that are ready."""

from collections.abc import Iterable
from typing import Any

from aws import presign
from lib.media_types import BY_TYPE, EXTENSIONS, OPAQUE, plain_type
from lib.problems import not_found
from recordings.keys import RecordingId, UserId
from recordings.library import find
from recordings.models import Recording

MOST = 300  # episodes
READS = 10_000  # recordings that are looked at for a tag at most
STEP = MOST


def episodes(user_id: UserId, tag: str | None) -> list[Recording]:
    """The newest ready recordings, all or those with a tag, as the index of lists has them. At most 34 Queries."""
    found: list[Recording] = []
    after = None
    for _ in range(0, READS, STEP):
        rows, more = Recording.on_shelf(user_id, "library", start=None, end=None, after=after, limit=STEP)
        found += [row for row in rows if shown(row, tag)]
        if not more or len(found) >= MOST:
            break
        after = rows[-1].position
    return found[:MOST]


def marked(rows: Iterable[Recording]) -> set[str]:
    """The ids of those that have markers, which the index does not. One BatchGetItem for each 100."""
    keys = {(row.id, row.user_id) for row in rows}
    return {row.id for row in Recording.batch_get(keys, attributes_to_get=["id", "markers"]) if row.markers}


def shown(row: Recording, tag: str | None) -> bool:
    return row.status == "ready" and not row.trashed_at and (tag is None or tag in row.tags)


def episode(user_id: UserId, id: RecordingId, tag: str | None) -> Recording:
    """One of them, strongly consistent. Raises 404 for whatever a feed of this account and tag does not show."""
    row = find(user_id, id)
    if not shown(row, tag):
        raise not_found()
    return row


def media(row: Recording) -> tuple[str, str]:
    """The file name extension of a recording and its type, without parameters, as players know them."""
    declared = plain_type(row.content_type)
    extension = BY_TYPE.get(declared)
    return (extension, EXTENSIONS[extension][0]) if extension else ("bin", OPAQUE)


def address(row: Recording, *, head: bool) -> str:
    """A presigned URL for an episode's bytes, or with `head` for HEAD of them, that lives some minutes."""
    how: dict[str, Any] = {"inline": True, "seconds": presign.SHARED_SECONDS, "head": head}
    how |= {"content_type": media(row)[1], "trusted": bool(row.playable)}
    return presign.presign_get(row.stored_key, name=row.name, **how)


def chapters(row: Recording) -> dict[str, object]:
    """The markers as JSON chapters: https://github.com/Podcastindex-org/podcast-namespace, docs/examples/chapters."""
    marked = [{"startTime": marker["at"], "title": marker["label"]} for marker in row.markers]
    return {"version": "1.2.0", "chapters": marked}
