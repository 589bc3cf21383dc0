"""verify_storage: rows against objects, change rows and ledgers, and back again. mending.py puts right what is found.

Three walks, each in constant memory. What one million recordings cost, at most: the rows, a Scan of the table and
10,000 BatchGetItem of 100 change rows, one HeadObject each (with `deep`, one GetObject instead, and every byte read)
and one for each part that is shared; the bucket, 1,000 listings and 10,000 BatchGetItem; the ledgers, a Scan and a
Query of the changes, and 10,000 BatchGetItem. Nothing here writes.

What is merely under way is no difference: whatever looks like one is read again, strongly consistent, and counts only
if it is the same on both sides of that look. Accounts that are being closed are left to the sweep.
"""

import datetime
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from typing import NamedTuple, TypeVar

from recorder_project.problems import Problem
from recordings import mending, storage
from recordings.dynamo import Conflict
from recordings.events import EXCERPT, KEY, place_of
from recordings.mending import Remedy
from recordings.models import Change, Ledger, Recording, due_shard
from recordings.share_checks import check_shares
from recordings.storage import Listed, Stored

T = TypeVar("T")

GRACE = 3600.0  # seconds: what came into the bucket since then may belong to a request that still runs
BATCH = 100  # BatchGetItem's most
THREADS = 16
ROOT = "recordings/"


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it should be. `remedy` is what would mend it, or why nothing can."""

    kind: str
    account: str
    recording: str
    key: str
    detail: str
    mended: bool = False
    remedy: str = ""
    mend: Callable[[], Remedy] = field(default=lambda: Remedy("", None), repr=False, compare=False)
    size: int = field(default=0, repr=False, compare=False)  # bytes of a row that no change row leads to


Tick = Callable[[str, int], None]


def verify(
    *, account: str = "", deep: bool = False, repair: bool = False, dry_run: bool = False, tick: Tick = lambda *_: None
) -> Iterator[Difference]:
    """Each difference as it is found and, with `repair`, mended; with `dry_run` too, only planned.

    `tick` hears how many rows, objects, uploads and ledgers were looked at.
    """
    prefix = f"{ROOT}{account}/" if account else ROOT
    unbooked: Counter[str] = Counter()
    walks = chain(
        check_rows(account, deep, tick),
        check_objects(prefix, tick),
        check_uploads(prefix, tick),
        check_ledgers(account, unbooked, tick),
    )
    for found in walks:
        difference = mend(found, dry_run=dry_run) if repair else found
        if difference.kind == "missing_change" and not difference.mended:
            unbooked[difference.account] += difference.size
        yield difference


def mend(found: Difference, *, dry_run: bool) -> Difference:
    remedy = found.mend()
    if not remedy.act or dry_run:
        return replace(found, remedy=remedy.text)
    try:
        remedy.act()
    except (Conflict, Problem) as error:
        return replace(found, remedy=f"{remedy.text}: not now, {error or 'it is changing'}")
    return replace(found, remedy=remedy.text, mended=remedy.mends)


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch


# Rows: each has its object, its change row, and stands on the right lists.


class Look(NamedTuple):
    """A row, and what there is beside it. `stored` is of the object that a download gives."""

    row: Recording
    change: Change | None
    ledger: Ledger | None
    stored: Stored | None


def check_rows(account: str, deep: bool, tick: Tick) -> Iterator[Difference]:
    with ThreadPoolExecutor(THREADS) as pool:
        for rows in batches(Recording.everything(account)):
            booked = {(c.user_id, c.version): c for c in Change.batch_get(versions(rows), consistent_read=True)}
            owners = {(row.user_id, 0) for row in rows}
            ledgers = {ledger.user_id: ledger for ledger in Ledger.batch_get(owners, consistent_read=True)}
            objects = pool.map(lambda row: stat(row, deep), rows)
            for row, stored in zip(rows, objects, strict=True):
                look = Look(row, booked.get((row.user_id, row.version)), ledgers.get(row.user_id), stored)
                if faults(look):
                    yield from confirmed(row, deep)
            yield from of_shares([row for row in rows if is_open(ledgers.get(row.user_id))])
            tick("rows", len(rows))


def is_open(ledger: Ledger | None) -> bool:
    return ledger is not None and not ledger.closed


def of_shares(rows: list[Recording]) -> Iterator[Difference]:
    for fault in check_shares(rows):
        remedy, row = partial(Remedy, fault.remedy, fault.mend), fault.row
        yield Difference(fault.kind, row.user_id, row.id, fault.key, fault.detail, mend=remedy)


def versions(rows: list[Recording]) -> set[tuple[str, int]]:
    return {(row.user_id, row.version) for row in rows}


def stat(row: Recording, deep: bool) -> Stored | None:
    """What is stored for the row; with `deep`, the bytes themselves say their hash."""
    if row.status not in ("ready", "mismatch"):
        return None
    stored = storage.stat(row.stored_key)
    if stored and deep and row.status == "ready" and stored.size == row.size:
        return replace(stored, sha256=storage.digest(row.stored_key))
    return stored


def faults(look: Look) -> list[tuple[str, str]]:
    """(kind, detail) of what is wrong with a row."""
    row, change, ledger, stored = look
    if ledger is None:
        return [("no_account", "the account of this row has no ledger")]
    if ledger.closed:
        return []
    found = []
    if row.status in ("ready", "mismatch") and stored is None:
        found.append(("missing_object", f"status {row.status}, and no object"))
    elif row.status == "ready" and stored and stored.size != row.size:
        found.append(("wrong_size", f"{row.size} bytes declared, {stored.size} stored"))
    elif row.status == "ready" and stored and stored.sha256 not in (None, row.sha256):
        found.append(("wrong_bytes", f"the stored bytes have the SHA-256 {stored.sha256}"))
    if not mending.fits(change, row):
        found.append(("missing_change", f"version {row.version} does not stand in the changes"))
    misplaced = mending.misplaced(row)
    if "shelf" in misplaced:
        found.append(("wrong_shelf", f"stands on {row.shelf}"))
    if "due_at" in misplaced:
        found.append(("wrong_due", f"due {row.due_at} in shard {row.due_shard}, expected {due_shard(row.id)}"))
    return found


def confirmed(row: Recording, deep: bool) -> Iterator[Difference]:
    """The faults that a row still has when everything is read again, one after the other, while it stays the same."""
    for _ in range(3):
        seen = Recording.find(row.id, row.user_id)
        if seen is None:
            return
        change, ledger = Change.find(row.user_id, seen.version), Ledger.find(row.user_id, 0)
        found = faults(Look(seen, change, ledger, stat(seen, deep)))
        again = Recording.find(row.id, row.user_id)
        if not found or again is None:
            return
        if again.version == seen.version:
            size = 0 if change and change.recording_id == row.id else seen.used_bytes
            for kind, detail in found:
                remedy = row_remedy(kind, seen)
                yield Difference(kind, row.user_id, row.id, seen.stored_key, detail, mend=remedy, size=size)
            return


def row_remedy(kind: str, row: Recording) -> Callable[[], Remedy]:
    if kind == "no_account":
        return lambda: Remedy("none: restore the ledger, or remove what a closed account has left", None)
    if kind in ("missing_object", "wrong_size", "wrong_bytes"):
        return lambda: mending.restore_bytes(row, gone=kind == "missing_object")
    return lambda: Remedy("written again under the next version", lambda: mending.rewrite(row.user_id, row.id))


# The bucket: every object, and every upload that has not ended, belongs to a row.


def check_objects(prefix: str, tick: Tick) -> Iterator[Difference]:
    for page in storage.list_objects(prefix):
        for items in batches(page):
            for item, row in beside(items):
                if row is None or leftover(item, row):
                    yield from unnamed(item)
            tick("objects", len(items))


def beside(items: list[Listed]) -> Iterator[tuple[Listed, Recording | None]]:
    """Each item with the row that names its attempt, read after the item was listed: rows are written first."""
    places = {item.key: match for item in items if (match := place_of(item.key))}
    keys = {(match["id"], match["user_id"]) for match in places.values()}
    rows = {(row.id, row.user_id): row for row in Recording.batch_get(keys, consistent_read=True)}
    for item in items:
        match = places.get(item.key)
        row = rows.get((match["id"], match["user_id"])) if match else None
        yield item, row if row and item.key in names(row) else None


def names(row: Recording) -> set[str]:
    """Every key that the row speaks of."""
    return {*wants(row), *(key for key, _ in row.leftovers)}


def wants(row: Recording) -> set[str]:
    """Every key that may have an object: its bytes, and the parts of it that are shared."""
    return {row.key, row.stored_key, *row.excerpt_keys}


def leftover(item: Listed, row: Recording) -> bool:
    """Whether the row remembers this object only to have it deleted."""
    return item.key not in wants(row)


def recent(moment: datetime.datetime) -> bool:
    return (datetime.datetime.now(datetime.UTC) - moment).total_seconds() < GRACE


def unnamed(item: Listed) -> Iterator[Difference]:
    """The object, if no row wants it and it is still there once that is certain."""
    match = place_of(item.key)
    if not match:
        nothing = Remedy("none: Recorder does not write such keys, and does not touch them", None)
        yield Difference("foreign_object", "", "", item.key, f"{item.size} bytes", mend=lambda: nothing)
        return
    row, ledger = Recording.find(match["id"], match["user_id"]), Ledger.find(match["user_id"], 0)
    going = (ledger and ledger.closed) or (row and row.status == "purging")
    if going or (row and item.key in wants(row)) or recent(item.moment) or not storage.stat(item.key):
        return
    if row and item.key in names(row):
        if not recent(datetime.datetime.fromisoformat(row.updated_at)):
            over = Remedy("deleted, as its row has decided", lambda: mending.clear_leftovers(row))
            yield Difference("leftover_object", row.user_id, row.id, item.key, f"{item.size} bytes", mend=lambda: over)
        return
    detail = f"{item.size} bytes that no row names"
    yield Difference("orphan_object", match["user_id"], match["id"], item.key, detail, mend=orphan_remedy(item, match))


def orphan_remedy(item: Listed, match: re.Match[str]) -> Callable[[], Remedy]:
    if match.re is EXCERPT:
        over = Remedy("deleted: it is a part of a recording, and nobody shares it", lambda: storage.delete(item.key))
        return lambda: over
    return lambda: mending.home(item, match["user_id"], match["id"], match["attempt"])


def check_uploads(prefix: str, tick: Tick) -> Iterator[Difference]:
    for page in storage.list_uploads(prefix):
        for items in batches(page):
            for item, row in beside(items):
                if (row is None or row.upload_id != item.id) and not recent(item.moment):
                    yield from dangling(item)
            tick("uploads", len(items))


def dangling(item: Listed) -> Iterator[Difference]:
    """The multipart upload, if no row can ever put it together. Its bytes were never acknowledged."""
    match = KEY.fullmatch(item.key)
    if not match:
        return
    row, ledger = Recording.find(match["id"], match["user_id"]), Ledger.find(match["user_id"], 0)
    if (ledger and ledger.closed) or (row and (row.status == "purging" or row.upload_id == item.id)):
        return
    if storage.list_parts(item.key, item.id) is None:
        return
    yield Difference(
        "dangling_upload",
        match["user_id"],
        match["id"],
        item.key,
        f"begun {item.moment:%Y-%m-%d %H:%M}",
        mend=lambda: mending.end_upload(item, row),
    )


# Ledgers: what an account uses and has counted is what its rows say, and its changes speak of rows that are there.


def check_ledgers(account: str, unbooked: Counter[str], tick: Tick) -> Iterator[Difference]:
    """`unbooked` bytes are those of rows that no change row leads to."""
    for ledger in Ledger.everything(account):
        if not ledger.closed:
            yield from audit(ledger.user_id, unbooked)
        tick("accounts", 1)


def audit(user_id: str, unbooked: Counter[str]) -> Iterator[Difference]:
    """One account's changes and sums. Sums that move meanwhile are read again, and left alone if they do not rest."""
    reported: set[int] = set()
    for _ in range(3):
        before = Ledger.find(user_id, 0)
        if before is None or before.closed:
            return
        used, last = unbooked[user_id], 0
        for changes in batches(Change.all_of(user_id)):
            rows = Recording.batch(user_id, {str(change.recording_id) for change in changes})
            for change in changes:
                row = rows.get(str(change.recording_id))
                if row and row.version == change.version:
                    used += row.used_bytes
                elif stale(change, row) and change.version not in reported:
                    for difference in left_behind(change):
                        reported.add(change.version)
                        yield difference
                last = max(last, change.version)
        after = Ledger.find(user_id, 0)
        if after and (after.last_version, after.used_bytes) == (before.last_version, before.used_bytes):
            yield from drift(after, used, max(last, after.last_version))
            return


def stale(change: Change, row: Recording | None) -> bool:
    """Tombstones may stand beside a row that came after them; any other change row leads to its recording."""
    if change.deleted:
        return row is not None and row.version < change.version
    return row is None or row.version != change.version


def left_behind(change: Change) -> Iterator[Difference]:
    id, again = str(change.recording_id), Change.find(change.user_id, change.version)
    row = Recording.find(id, change.user_id)
    if again is None or not stale(again, row) or Change.find(change.user_id, change.version) is None:
        return
    kind = "stale_change" if row else "missing_row"
    detail = f"version {change.version} of a recording at {row.version}" if row else "a change, and no recording"
    yield Difference(kind, change.user_id, id, "", detail, mend=lambda: mending.take_out(again, row))


def drift(ledger: Ledger, used: int, last: int) -> Iterator[Difference]:
    remedy = Remedy("set to the sum", lambda: mending.set_books(ledger, used, last))
    if ledger.used_bytes != used:
        detail = f"{ledger.used_bytes} bytes in the ledger, {used} in rows"
        yield Difference("wrong_usage", ledger.user_id, "", "", detail, mend=lambda: remedy)
    if ledger.last_version != last:
        detail = f"last version {ledger.last_version}, changes up to {last}"
        yield Difference("wrong_version", ledger.user_id, "", "", detail, mend=lambda: remedy)
