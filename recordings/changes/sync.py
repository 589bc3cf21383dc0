"""What a second device asks: what changed since, and do you already have these?"""

import time
from typing import TypedDict

from lib.paging import dump_cursor, load_cursor
from lib.problems import Problem
from recordings.changes.follow import page
from recordings.keys import UserId
from recordings.models import Recording
from recordings.response_size import MOST_BYTES, REST, weight
from recordings.uploads import id_of

CURSOR_DAYS = 90  # ten less than a tombstone lives, so that no cursor outlives the tombstones that it needs


class Checked(TypedDict):
    sha256: str
    id: str | None
    status: str


def changes(user_id: UserId, cursor: str, *, limit: int) -> tuple[list[Recording | str], str, bool]:
    """What changed since `cursor`, in order: a recording as it is now, or the id of one that is gone.

    Then the next cursor, and whether there is more. Costs what `following.page` says. A recording that changes
    meanwhile comes again later, under its newer version. Raises 410 `cursor_expired` after 90 days.
    """
    binding = (user_id, "changes")
    now = int(time.time())
    after, since = load_cursor(cursor, *binding) if cursor else (0, now)
    if now - since > CURSOR_DAYS * 86400:
        raise Problem(410, "cursor_expired", "This cursor is older than what is remembered. Start again without one.")
    told, more = page(user_id, after, limit=limit)
    found: list[Recording | str] = []
    room = MOST_BYTES
    for version, what in told:
        room -= weight(what) if isinstance(what, Recording) else REST
        if room < 0:
            more = True
            break
        after = version
        if what:
            found.append(what)
    # Until the last page the client is only as far as it was when it began: that moment decides what may be forgotten.
    seen = since if more else now
    return found, dump_cursor([after, seen], *binding), more


def check(user_id: UserId, hashes: list[str]) -> list[Checked]:
    """For each SHA-256, in the order asked, what is here of it. A BatchGetItem for each 100."""
    ids = {sha256: id_of(user_id, sha256) for sha256 in hashes}
    rows = Recording.batch(user_id, ids.values())
    return [describe(sha256, rows.get(ids[sha256])) for sha256 in hashes]


def describe(sha256: str, row: Recording | None) -> Checked:
    if row is None or row.status == "purging":
        return {"sha256": sha256, "id": None, "status": "missing"}
    return {"sha256": sha256, "id": row.id, "status": "trashed" if row.trashed_at else row.status}
