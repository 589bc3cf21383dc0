"""What an S3 event leads to: the same completion as the app's own call, the proof, then the sound; no stray object."""

import logging
import re

from recorder_project.problems import Problem
from recordings import storage
from recordings.completion import complete, verify
from recordings.excerpts import fill_order
from recordings.hearing import hear
from recordings.models import Recording
from recordings.services import finish_purge

log = logging.getLogger(__name__)

PLACE = r"recordings/(?P<user_id>[0-9a-f]{32})/(?P<id>[0-9a-f]{32})"
KEY = re.compile(PLACE + r"/(?P<attempt>[0-9a-f]{32})", re.ASCII)
EXCERPT = re.compile(PLACE + r"/(?P<share_id>[0-9a-f]{64})\.(?P<kind>m4a|order)", re.ASCII)


def place_of(key: str) -> re.Match[str] | None:
    """The parts of a key that Recorder writes; its `re` is KEY or EXCERPT. None for any other."""
    return KEY.fullmatch(key) or EXCERPT.fullmatch(key)


def object_created(key: str) -> str:
    """Act on an object that has come to be, as often and as late as S3 says so. Returns what became of it."""
    match = place_of(key)
    if not match:
        return "foreign"
    row = Recording.find(match["id"], match["user_id"])
    if row is None or key not in (row.key, row.stored_key, *row.excerpt_keys):
        return remove_orphan(key)
    try:
        if row.status == "purging":
            finish_purge(row.user_id, row.id)
            return "purged"
        return settle_excerpt(row, match) if match.re is EXCERPT else settle_object(row)
    except Problem as problem:
        if problem.status_code not in (401, 404, 409):
            raise
        log.info("The object of recording %s is not its bytes: %s", row.id, problem.code)
        return str(problem.code)


def settle_object(row: Recording) -> str:
    if row.awaits_bytes:
        row = complete(row.user_id, row.id)
    if not row.verified_at:
        row = verify(row.user_id, row.id)
    return hear(row).status


def settle_excerpt(row: Recording, match: re.Match[str]) -> str:
    return fill_order(row, match["share_id"]) if match["kind"] == "order" else "ready"


def remove_orphan(key: str) -> str:
    """An object that no row names, as when an upload ends after its recording was purged. Rows are written first, so
    none will ever name it. One that was purged long ago is not there any more: its old version stays undoable.
    """
    if storage.stat(key) is None:
        return "gone"
    storage.erase(key)
    return "orphan"
