"""What a second device asks: what changed since, and do you already have these?"""

import time
from typing import Any

from recorder_project.paging import dump_cursor, load_cursor
from recorder_project.problems import Problem
from recordings.answers import MOST_BYTES, REST, weight
from recordings.models import Change, Recording
from recordings.uploads import id_of

CURSOR_DAYS = 90  # ten less than a tombstone lives, so that no cursor outlives the tombstones that it needs


def changes(user_id: str, cursor: str, *, limit: int) -> tuple[list[Recording | str], str, bool]:
    """What changed since `cursor`, in order: a recording as it is now, or the id of one that is gone.

    Then the next cursor, and whether there is more. A Query and a BatchGetItem, both strongly consistent. A recording
    that changes meanwhile comes again later, under its newer version. Raises 410 `cursor_expired` after 90 days.
    """
    binding = (user_id, "changes")
    now = int(time.time())
    after, since = load_cursor(cursor, *binding) if cursor else (0, now)
    if now - since > CURSOR_DAYS * 86400:
        raise Problem(410, "cursor_expired", "This cursor is older than what is remembered. Start again without one.")
    rows = Change.since(user_id, after, limit=limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    living = Recording.batch(user_id, [row.recording_id for row in rows if not row.deleted])
    found: list[Recording | str] = []
    room = MOST_BYTES
    for row in rows:
        recording = None if row.deleted else living.get(row.recording_id)
        room -= weight(recording) if recording else REST
        if room < 0:
            more, rows = True, rows[: len(found)]
            break
        found.append(recording if recording and recording.status != "purging" else row.recording_id)
    # Until the last page the client is only as far as it was when it began: that moment decides what may be forgotten.
    seen = since if more else now
    return found, dump_cursor([rows[-1].version if rows else after, seen], *binding), more


def check(user_id: str, hashes: list[str]) -> list[dict[str, Any]]:
    """For each SHA-256, in the order asked, what is here of it. A BatchGetItem for each 100."""
    ids = {sha256: id_of(user_id, sha256) for sha256 in hashes}
    rows = Recording.batch(user_id, ids.values())
    return [describe(sha256, rows.get(ids[sha256])) for sha256 in hashes]


def describe(sha256: str, row: Recording | None) -> dict[str, Any]:
    if row is None or row.status == "purging":
        return {"sha256": sha256, "id": None, "status": "missing"}
    return {"sha256": sha256, "id": row.id, "status": "trashed" if row.trashed_at else row.status}
