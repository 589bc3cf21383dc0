"""Where recordings end: into the trash, out of it again, purged for good, erased with their account."""

import time
from collections.abc import Callable
from functools import partial

from django.conf import settings

from aws import s3
from aws.dynamo import Conflict
from aws.retry import retry_on_conflict
from lib.clock import days_from_now, now
from lib.problems import Problem
from recordings.keys import RecordingId, UserId
from recordings.library import expect, find, leave_to_sweep, library, open_account, present, settle
from recordings.models import Ledger, Recording, Work
from recordings.transactions import change, erase_rows, remove


def trash(user_id: UserId, id: RecordingId, *, expected: set[str] | None = None) -> None:
    """Put a recording into the trash, from where the sweep purges it after TRASH_DAYS. An upload is purged at once."""

    def decide(row: Recording | None, ledger: Ledger) -> bool:
        row = expect(row, expected)
        if row.status == "uploading":
            begin_purge(row, ledger)
        elif not row.trashed_at:
            values = {"shelf": f"{user_id}#trash", "due_at": days_from_now(settings.TRASH_DAYS)}
            row = change(row, ledger, {**values, "trashed_at": now(), "trashed_as": ledger.last_version + 1})
        return row.status == "purging"

    if settle(user_id, id, decide, row=find(user_id, id)):
        leave_to_sweep(finish_purge, user_id, id)


def restore(user_id: UserId, id: RecordingId) -> Recording:
    """Take a recording out of the trash."""

    def decide(row: Recording | None, ledger: Ledger) -> Recording:
        row = present(row)
        return untrash(row, ledger) if row.trashed_at else row

    return settle(user_id, id, decide, row=find(user_id, id))


def untrash(row: Recording, ledger: Ledger) -> Recording:
    return change(row, ledger, library(row))


def purge(
    user_id: UserId,
    id: RecordingId,
    *,
    when: Callable[[Recording], bool] = lambda row: True,
    expected: set[str] | None = None,
    abandoned: bool = False,
) -> bool:
    """Delete a recording for good, if it still is one that `when` means. Returns whether it did. What is `abandoned`
    was nobody's wish: its bytes may come back, should they be found after all.

    Once the row says `purging` the recording is gone for everybody; if what follows fails, the sweep goes on with it.
    """

    def decide(row: Recording | None, ledger: Ledger) -> bool:
        row = expect(row, expected)
        if not when(row):
            return False
        begin_purge(row, ledger, abandoned=abandoned)
        return True

    begun = settle(user_id, id, decide, row=find(user_id, id))
    if begun:
        leave_to_sweep(finish_purge, user_id, id)
    return begun


def begin_purge(row: Recording, ledger: Ledger, *, abandoned: bool = False) -> None:
    change(row, ledger, {"status": "purging", "shelf": None, "due_at": now()}, deleted=True, lost=abandoned)


def finish_purge(user_id: UserId, id: RecordingId) -> None:
    """Delete the objects of a `purging` recording, then its row. Done by whoever comes first, safe beside itself."""
    row = Recording.find(id, user_id)
    if row is None or row.status != "purging":
        return
    for key, upload_id in [*row.leftovers, (row.key, row.upload_id or "")]:
        s3.discard(key, upload_id)
    for key in row.excerpt_keys:
        s3.delete(key)
    if row.kept:
        s3.delete(row.stored_key)
    remove_purged(row)


@retry_on_conflict
def remove_purged(row: Recording) -> None:
    try:
        remove(row)
    except Conflict:
        again = Recording.find(row.id, row.user_id)
        if again and again.status == "purging" and again.attempt == row.attempt:
            raise


def empty_trash(user_id: UserId, *, seconds: float = 5.0) -> None:
    """Purge everything in the trash as it is now: some of it at once, the rest by the sweep. Once the order stands,
    it will be done, whatever fails here.
    """
    work = Work.of("trash", user_id, due_at=now())
    work.up_to = open_account(user_id).last_version
    work.save()
    leave_to_sweep(continue_emptying, user_id, work, until=time.monotonic() + seconds)


def is_meant(order: Work, row: Recording) -> bool:
    """Whether the recording was in the trash when the order to empty it was given. The ledger's count tells, since
    servers' clocks differ; times do where one of both is of an earlier version, which had only those.
    """
    if not row.trashed_at:
        return False
    if row.trashed_as is None or order.up_to is None:
        return row.trashed_at <= order.created_at
    return row.trashed_as <= order.up_to


def continue_emptying(user_id: UserId, order: Work, *, until: float) -> bool:
    """Purge what was in the trash at the order. Returns whether nothing of it is left."""
    after = None
    while rows := Recording.on_shelf(user_id, "trash", start=None, end=None, after=after, limit=200)[0]:
        for row in rows:
            if time.monotonic() > until:
                return False
            try:
                purge(user_id, row.id, when=partial(is_meant, order))
            except Problem as problem:
                if problem.status_code != 404:  # purged meanwhile
                    raise
            after = row.position
    return True


def erase(user_id: UserId, *, until: float) -> bool:
    """Closing's part for this package: every object and row of a closed account but its ledger.

    Returns whether all is gone at `until` (time.monotonic); a repeat goes on where this stopped. Nothing goes unless
    the ledger says that the account is closed, which is read anew before each piece. The second look at the bucket
    finds what an upload that was under way has left meanwhile.
    """
    prefix = f"recordings/{user_id}/"

    def go_on() -> bool:
        ledger = Ledger.find(user_id, 0)
        return ledger is not None and bool(ledger.closed) and time.monotonic() <= until

    return s3.erase(prefix, go_on) and erase_rows(user_id, go_on) and s3.erase(prefix, go_on)
