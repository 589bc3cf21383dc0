"""A recording's bytes that lie under a key which its row does not name: the row gets a copy of them.

As after a backup of the tables was restored, or where they came late for an attempt that is over. Such a key was let
go of, or may have been, and deletes of it that were decided then can still be under way. So it never becomes the
row's own: the row comes first, with an attempt whose key is its own, and the copy goes there. Whatever ends in
between, the next look at the source goes on with it.
"""

from typing import Any

from aws import s3
from aws.s3 import Listed
from lib.problems import Problem
from recordings.completion import complete, verify
from recordings.library import is_over, settle
from recordings.models import Ledger, Recording, used_bytes
from recordings.uploads import check_quota, restart


def adopt(seen: Recording, source: Listed) -> bool:
    """Let an upload or a mismatch have a copy of `source`, whose bytes are proven to be its own, unless it has moved
    on. Returns False where the quota has no room for them; what else came of it, the row says.
    """
    try:
        row = settle(seen.user_id, seen.id, lambda row, ledger: make_place(seen, row, ledger, source.size))
    except Problem as problem:
        if problem.code != "quota_exceeded":
            raise
        return False
    if row:
        fill(row, source)
    return True


def make_place(seen: Recording, row: Recording | None, ledger: Ledger, size: int) -> Recording | None:
    """The row with an attempt that nothing but one object of this size can come for: no parts, which somebody could
    still put together over the copy. None where the recording has moved on.
    """
    if row is None or row.version != seen.version or row.status not in ("uploading", "mismatch"):
        return None
    if row.awaits_bytes and row.size == size and not row.upload_id and not row.any_parts:
        return row
    values: dict[str, Any] = {"size": size, "any_parts": None}
    if row.status == "mismatch":
        values |= {"kept_size": row.stored_size} | ({} if row.kept else {"kept": row.attempt})
    check_quota(ledger, used_bytes(size, values.get("kept_size")) - row.used_bytes)
    return restart(row, ledger, values, whole=True, spare=True)


def fill(seen: Recording, source: Listed) -> None:
    """Copy `source` to where the row waits for it, and complete the recording."""
    if not s3.copy(source, seen.key, seen.content_type):
        return
    if is_over(seen):
        s3.delete(seen.key)
    else:
        finish(seen)


def finish(seen: Recording) -> None:
    """Complete and prove an upload whose bytes are where it waits for them; what came of it, the row says."""
    try:
        complete(seen.user_id, seen.id)
        verify(seen.user_id, seen.id)
    except Problem as problem:
        if problem.status_code not in (404, 409):  # purged, or begun anew, which the row says
            raise
