"""What a podcast feed shows of an account's recordings: those of the library that are ready."""

from collections.abc import Iterable
from typing import Any

from recorder_project.problems import not_found
from recordings import presigning
from recordings.models import Recording
from recordings.services import find

MOST = 300  # episodes
READS = 10_000  # recordings that are looked at for a tag
STEP = MOST

# extension: (the type by which players know it, other types by which apps declare it)
EXTENSIONS: dict[str, tuple[str, ...]] = {
    "m4a": ("audio/x-m4a", "audio/mp4", "audio/m4a", "audio/mp4a-latm"),
    "mp3": ("audio/mpeg", "audio/mp3", "audio/x-mp3", "audio/x-mpeg"),
    "aac": ("audio/aac", "audio/aacp", "audio/x-aac"),
    "ogg": ("audio/ogg", "application/ogg", "audio/vorbis"),
    "opus": ("audio/opus",),
    "webm": ("audio/webm",),
    "wav": ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
    "flac": ("audio/flac", "audio/x-flac"),
    "amr": ("audio/amr", "audio/amr-wb"),
    "3gp": ("audio/3gpp", "audio/3gpp2"),
    "caf": ("audio/x-caf", "audio/caf"),
    "aiff": ("audio/aiff", "audio/x-aiff"),
    "mp4": ("video/mp4",),
}
BY_TYPE = {declared: extension for extension, types in EXTENSIONS.items() for declared in types} | {
    "video/webm": "webm"
}


def episodes(user_id: str, tag: str | None) -> list[Recording]:
    """The newest ready recordings, all or those with a tag, as the index of lists has them. One Query for each MB."""
    found: list[Recording] = []
    after = None
    for _ in range(0, READS, STEP):
        rows = Recording.on_shelf(user_id, "library", start=None, end=None, after=after, limit=STEP)
        found += [row for row in rows if shown(row, tag)]
        if len(rows) < STEP or len(found) >= MOST:
            break
        after = rows[-1].position
    return found[:MOST]


def marked(rows: Iterable[Recording]) -> set[str]:
    """The ids of those that have markers, which the index does not. One BatchGetItem for each 100."""
    keys = {(row.id, row.user_id) for row in rows}
    return {row.id for row in Recording.batch_get(keys, attributes_to_get=["id", "markers"]) if row.markers}


def shown(row: Recording, tag: str | None) -> bool:
    return row.status == "ready" and not row.trashed_at and (tag is None or tag in row.tags)


def episode(user_id: str, id: str, tag: str | None) -> Recording:
    """One of them, strongly consistent. Raises 404 for whatever a feed of this account and tag does not show."""
    row = find(user_id, id)
    if not shown(row, tag):
        raise not_found()
    return row


def media(row: Recording) -> tuple[str, str]:
    """The file name extension of a recording and its type, without parameters, as players know them."""
    declared = row.content_type.partition(";")[0].strip().lower()
    extension = BY_TYPE.get(declared)
    return (extension, EXTENSIONS[extension][0]) if extension else ("bin", declared)


def address(row: Recording, *, head: bool) -> str:
    """A presigned URL for an episode's bytes, or with `head` for HEAD of them, that lives some minutes."""
    how: dict[str, Any] = {"inline": True, "seconds": presigning.SHARED_SECONDS, "head": head}
    return presigning.presign_get(row.stored_key, name=row.name, content_type=media(row)[1], **how)


def chapters(row: Recording) -> dict[str, object]:
    """The markers as JSON chapters: https://github.com/Podcastindex-org/podcast-namespace, docs/examples/chapters."""
    marked = [{"startTime": marker["at"], "title": marker["label"]} for marker in row.markers]
    return {"version": "1.2.0", "chapters": marked}
