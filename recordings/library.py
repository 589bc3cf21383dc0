"""What can be done with recordings that are there: find, list, change, trash, restore, purge, erase."""

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar

from django.conf import settings

from aws import presign
from aws.dynamo import Conflict
from aws.retry import retry_on_conflict
from lib.clock import days_from_now
from lib.paging import dump_cursor, load_cursor
from lib.problems import Problem, not_found
from recordings.keys import RecordingId, UserId
from recordings.models import Ledger, Marker, Recording
from recordings.response_size import MOST_BYTES, weight
from recordings.transactions import Behind, catch_up, change

log = logging.getLogger(__name__)
T = TypeVar("T")

ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
SEARCH_READS = 2000
PROOF_DAYS = 1 / 24  # how long S3's event has to bring a proof, an object, or its sound, before the sweep looks itself


class Edit(TypedDict, total=False):
    """What its owner may change of a recording."""

    name: str
    tags: list[str]
    notes: str
    favorite: bool
    markers: list[Marker]


class Place(TypedDict):
    """Where a recording is listed, and when the sweep looks at it."""

    trashed_at: None
    trashed_as: None
    shelf: str
    due_at: str | None


class Unclear(Exception):  # noqa: N818 - an answer to act on, not an error
    """Rows that contradict each other, or that nobody can make sense of. Nothing is done about them but to say so."""


def open_account(user_id: UserId) -> Ledger:
    """The account's ledger. Raises 401 once the account is closed."""
    ledger = Ledger.find(user_id, 0)
    if ledger is None or ledger.closed:
        raise Problem(401, "account_closed", "This account is closed.")
    return ledger


def settle(
    user_id: UserId,
    id: RecordingId,
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


def find(user_id: UserId, id: RecordingId) -> Recording:
    """The account's recording, strongly consistent. Raises 404 alike for what is not there and not theirs."""
    row = Recording.find(id, user_id) if ID.fullmatch(id) else None
    return present(row)


def find_heard(user_id: UserId, id: RecordingId) -> Recording:
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


def page(user_id: UserId, filters: Filters, *, limit: int, cursor: str) -> tuple[list[Recording], str | None]:
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


def edit(user_id: UserId, id: RecordingId, values: Edit, *, expected: set[str] | None = None) -> Recording:
    """Set name, tags, notes or favorite. `expected` versions, if any, are the only ones it may act on."""

    def decide(row: Recording | None, ledger: Ledger) -> Recording:
        row = expect(row, expected)
        news = {name: value for name, value in values.items() if getattr(row, name) != value}
        return change(row, ledger, news) if news else row

    return settle(user_id, id, decide, row=find(user_id, id))


def library(row: Recording) -> Place:
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


def leave_to_sweep(finish: Callable[..., object], *args: Any, **named: Any) -> None:
    """Do now what is decided and due; where that fails for the moment, the sweep will do it."""
    try:
        finish(*args, **named)
    except Problem as problem:
        log.warning("%s is left to the sweep: %s", finish.__name__, problem.code)
    except Unclear as unclear:
        log.error("%s is left to the sweep: %s", finish.__name__, unclear)  # noqa: TRY400


def download(user_id: UserId, id: RecordingId, *, inline: bool, head: bool = False) -> str:
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
