"""What can be done with recordings that are there: find, list, change, trash, restore, purge, erase."""

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from django.conf import settings

from aws import presign, s3
from aws.dynamo import Conflict
from aws.retry import retry_on_conflict
from lib.clock import days_from_now, now
from lib.paging import dump_cursor, load_cursor
from lib.problems import Problem, not_found
from recordings.models import Ledger, Recording, Work
from recordings.response_size import MOST_BYTES, weight
from recordings.transactions import Behind, catch_up, change, erase_rows, remove

log = logging.getLogger(__name__)
T = TypeVar("T")

ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
SEARCH_READS = 2000
PROOF_DAYS = 1 / 24  # how long S3's event has to bring a proof, an object, or its sound, before the sweep looks itself


class Unclear(Exception):  # noqa: N818 - an answer to act on, not an error
    """Rows that contradict each other, or that nobody can make sense of. Nothing is done about them but to say so."""


def open_account(user_id: str) -> Ledger:
    """The account's ledger. Raises 401 once the account is closed."""
    ledger = Ledger.find(user_id, 0)
    if ledger is None or ledger.closed:
        raise Problem(401, "account_closed", "This account is closed.")
    return ledger


def settle(
    user_id: str,
    id: str,
    decide: Callable[[Recording | None, Ledger], T],
    row: Recording | None = None,
    ledger: Ledger | None = None,
) -> T:
    """Read the recording and the ledger, let `decide` act on them, and do it again when somebody else was faster.

    `row` and `ledger` save the first reads where the caller has just made them.
    """

    @retry_on_conflict
    def attempt() -> T:
        nonlocal row, ledger
        now_row, now_ledger = row or Recording.find(id, user_id), ledger or open_account(user_id)
        row = ledger = None
        try:
            return decide(now_row, now_ledger)
        except Behind as behind:
            with suppress(Conflict):
                catch_up(now_ledger, behind.version)
            raise

    return attempt()


def find(user_id: str, id: str) -> Recording:
    """The account's recording, strongly consistent. Raises 404 alike for what is not there and not theirs."""
    row = Recording.find(id, user_id) if ID.fullmatch(id) else None
    return present(row)


def find_heard(user_id: str, id: str) -> Recording:
    """The account's recording with its waveform. Raises 404 where there is none, saying why to its owner."""
    row = find(user_id, id)
    if row.waveform is None:
        detail = "It has not been listened to yet." if row.playable is None else "It has no waveform."
        raise Problem(404, "no_waveform", detail)
    return row


def is_over(seen: Recording) -> bool:
    """Whether the recording has let go of the attempt that was seen: for good, since it never takes one again."""
    row = Recording.find(seen.id, seen.user_id)
    return row is None or row.status == "purging" or seen.attempt not in (row.attempt, row.kept)


def present(row: Recording | None) -> Recording:
    if row is None or row.status == "purging":
        raise not_found()
    return row


@dataclass(frozen=True)
class Filters:
    """Which recordings a list shows. `start` (included) and `end` (excluded) bound recorded_at."""

    shelf: str = "library"
    tag: str = ""
    search: str = ""
    start: str | None = None
    end: str | None = None

    def match(self, row: Recording) -> bool:
        if self.end and row.recorded_at >= self.end:
            return False
        if self.tag and self.tag not in row.tags:
            return False
        return not self.search or self.search in f"{row.name}\n{row.notes}".casefold()


def page(user_id: str, filters: Filters, *, limit: int, cursor: str) -> tuple[list[Recording], str | None]:
    """One page of a shelf, newest first, and the cursor of the next.

    With a tag or a search it reads on until the page is full or the shelf is done, at most SEARCH_READS recordings a
    request, one Query for each 200 or each MB: a page can then be short, even empty, while its cursor says that there
    is more. A list without makes one Query. It is short too where that one or the answer is full.
    """
    binding = (user_id, filters.shelf, filters.tag, filters.search, filters.start or "", filters.end or "")
    after = load_cursor(cursor, *binding) if cursor else None
    selective = bool(filters.tag or filters.search)
    found: list[Recording] = []
    room = MOST_BYTES
    for _ in range(0, SEARCH_READS, 200):
        size = 200 if selective else limit + 1
        rows, more = Recording.on_shelf(
            user_id, filters.shelf, start=filters.start, end=filters.end, after=after, limit=size
        )
        for row in rows:
            if filters.match(row):
                room -= weight(row)
                if len(found) == limit or room < 0:
                    return found, dump_cursor(after, *binding)
                found.append(row)
            after = row.position
        if not more:
            return found, None
        if not selective:
            break
    return found, dump_cursor(after, *binding)


def expect(row: Recording | None, versions: set[str] | None) -> Recording:
    """The recording, if it is there and its version one of those that the caller has seen. Raises 404 or 412."""
    row = present(row)
    if versions is not None and str(row.version) not in versions:
        raise Problem(412, "precondition_failed", f"The recording is at version {row.version} by now.")
    return row


def edit(user_id: str, id: str, values: dict[str, Any], *, expected: set[str] | None = None) -> Recording:
    """Set name, tags, notes or favorite. `expected` versions, if any, are the only ones it may act on."""

    def decide(row: Recording | None, ledger: Ledger) -> Recording:
        row = expect(row, expected)
        news = {name: value for name, value in values.items() if getattr(row, name) != value}
        return change(row, ledger, news) if news else row

    return settle(user_id, id, decide, row=find(user_id, id))


def trash(user_id: str, id: str, *, expected: set[str] | None = None) -> None:
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


def restore(user_id: str, id: str) -> Recording:
    """Take a recording out of the trash."""

    def decide(row: Recording | None, ledger: Ledger) -> Recording:
        row = present(row)
        return untrash(row, ledger) if row.trashed_at else row

    return settle(user_id, id, decide, row=find(user_id, id))


def untrash(row: Recording, ledger: Ledger) -> Recording:
    return change(row, ledger, library(row))


def library(row: Recording) -> dict[str, Any]:
    """Values that put a recording where it can be seen; one that still waits for something stays due."""
    due_at = days_from_now(patience(row)) if row.waits else None
    return {"trashed_at": None, "trashed_as": None, "shelf": f"{row.user_id}#library", "due_at": due_at}


def patience(row: Recording) -> float:
    """Days until the sweep looks itself at what waits here: for a client's bytes, or for S3's event."""
    return upload_days(row) if row.kept and not row.awaits_proof else PROOF_DAYS


def upload_days(row: Recording) -> float:
    """Days that a client may have from now on. A day before the bucket's rule ends the upload, the sweep looks whether
    all its parts are there.
    """
    return min(settings.UPLOAD_DAYS, row.days_left - 1)


def purge(
    user_id: str,
    id: str,
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


def leave_to_sweep(finish: Callable[..., object], *args: Any, **named: Any) -> None:
    """Do now what is decided and due; where that fails for the moment, the sweep will do it."""
    try:
        finish(*args, **named)
    except Problem as problem:
        log.warning("%s is left to the sweep: %s", finish.__name__, problem.code)
    except Unclear as unclear:
        log.error("%s is left to the sweep: %s", finish.__name__, unclear)  # noqa: TRY400


def finish_purge(user_id: str, id: str) -> None:
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


def empty_trash(user_id: str, *, seconds: float = 5.0) -> None:
    """Purge everything in the trash as it is now: some of it at once, the rest by the sweep. Once the order stands,
    it will be done, whatever fails here.
    """
    work = Work.of("trash", user_id, due_at=now())
    work.up_to = open_account(user_id).last_version
    work.save()
    leave_to_sweep(continue_emptying, user_id, work, until=time.monotonic() + seconds)


def continue_emptying(user_id: str, order: Work, *, until: float) -> bool:
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


def is_meant(order: Work, row: Recording) -> bool:
    """Whether the recording was in the trash when the order to empty it was given. The ledger's count tells, since
    servers' clocks differ; times do where one of both is of an earlier version, which had only those.
    """
    if not row.trashed_at:
        return False
    if row.trashed_as is None or order.up_to is None:
        return row.trashed_at <= order.created_at
    return row.trashed_as <= order.up_to


def download(user_id: str, id: str, *, inline: bool, head: bool = False) -> str:
    """A presigned URL for the recording's bytes, also while it is in the trash; with `head`, for HEAD."""
    row = find(user_id, id)
    if row.status == "uploading":
        raise Problem(409, "upload_incomplete", "The recording has not been uploaded completely yet.")
    return own_url(row, inline=inline, head=head)


def own_url(row: Recording, *, inline: bool, head: bool = False) -> str:
    """A presigned URL for its owner.

    An owner may play what nobody has listened to yet: it is the owner's own, an app plays a recording right after it
    was made, and no type that is served makes a document of it. Whoever else gets it waits until sound was found.
    """
    trusted = row.playable is not False
    return presign.presign_get(
        row.stored_key, name=row.name, content_type=row.content_type, trusted=trusted, inline=inline, head=head
    )


def erase(user_id: str, *, until: float) -> bool:
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
