"""verify_storage: rows against objects, change rows and ledgers, and back again.
rows.py and ledgers.py look at the tables, this at the bucket; repair.py puts right what is found.

Three walks, each in constant memory. What one million recordings cost, at most: the rows, a Scan of the table and
10,000 BatchGetItem of 100 change rows, one HeadObject each (with `deep`, one GetObject instead, and every byte read)
and one for each part that is shared; the bucket, 1,000 listings and 10,000 BatchGetItem; the ledgers, a Scan and a
Query of the changes, and 10,000 BatchGetItem. Nothing here writes.

What is merely under way is no difference: whatever looks like one is read again, strongly consistent, and counts only
if it is the same on both sides of that look. Accounts that are being closed are left to the sweep.
"""

import datetime
import re
from collections.abc import Callable, Container, Iterator
from functools import partial

from aws import s3
from aws.s3 import Listed
from operations.fsck import repair as mending
from operations.fsck.accounts import check_accounts
from operations.fsck.differences import Difference, Scope, Tick, batches, guarded, mend
from operations.fsck.ledgers import Unbooked, check_ledgers
from operations.fsck.repair import Remedy
from operations.fsck.rows import check_rows
from recordings.keys import EXCERPT, KEY, owner_of, place_of
from recordings.models import Ledger, Recording

GRACE = 3600.0  # seconds: what came into the bucket since then may belong to a request that still runs
EVERYTHING = Scope()


def verify(
    scope: Scope = EVERYTHING,
    *,
    deep: bool = False,
    repair: bool = False,
    dry_run: bool = False,
    parts: int = 1,
    done: Container[str] = (),
    mark: Callable[[str], object] = lambda name: None,
    tick: Tick = lambda *_: None,
) -> Iterator[Difference]:
    """Each difference as it is found and, with `repair`, mended; with `dry_run` too, only planned.

    Each walk goes in so many `parts`: `mark` hears the name of one that is over, and those `done` are left out. `tick`
    hears how many rows, objects, uploads and ledgers were looked at.
    """
    unbooked: Unbooked = {}
    walks: dict[str, Callable[[Scope], Iterator[Difference]]] = {
        "logins": check_accounts,
        "rows": lambda part: check_rows(part, deep, tick),
        "objects": lambda part: check_objects(part, tick),
        "uploads": lambda part: check_uploads(part, tick),
        "ledgers": lambda part: check_ledgers(part, unbooked, tick),
    }
    for what, walk in walks.items():
        for part in scope.parts(parts):
            name = f"{what} {scope.account or 'all'} {part.segment + 1}/{part.segments}"
            if name in done:
                continue
            for found in walk(part):
                difference = mend(found, dry_run=dry_run) if repair else found
                if difference.kind == "missing_change" and not difference.mended:
                    unbooked.setdefault(difference.account, {})[difference.recording] = difference.size
                yield difference
            mark(name)


# The bucket: every object, and every upload that has not ended, belongs to a row.


def check_objects(scope: Scope, tick: Tick) -> Iterator[Difference]:
    for page in s3.list_objects(scope.prefix, **scope.keys):
        for items in batches(page):
            for item, row in beside(items):
                if row is None or leftover(item, row):
                    yield from guarded("", "", partial(unnamed, item))
            tick("objects", len(items))


def beside(items: list[Listed]) -> Iterator[tuple[Listed, Recording | None]]:
    """Each item with the row that names its attempt, read after the item was listed: rows are written first."""
    places = {item.key: match for item in items if (match := place_of(item.key))}
    keys = {owner_of(match)[::-1] for match in places.values()}
    rows = {(row.id, row.user_id): row for row in Recording.batch_get(keys, consistent_read=True)}
    for item in items:
        match = places.get(item.key)
        row = rows.get(owner_of(match)[::-1]) if match else None
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
    user_id, id = owner_of(match)
    row, ledger = Recording.find(id, user_id), Ledger.find(user_id, 0)
    going = (ledger and ledger.closed) or (row and row.status == "purging")
    if going or (row and item.key in wants(row)) or recent(item.moment) or not s3.stat(item.key):
        return
    if row and item.key in names(row):
        if not recent(datetime.datetime.fromisoformat(row.updated_at)):
            over = Remedy("deleted, as its row has decided", lambda: mending.clear_leftovers(row))
            yield Difference("leftover_object", row.user_id, row.id, item.key, f"{item.size} bytes", mend=lambda: over)
        return
    detail = f"{item.size} bytes that no row names"
    yield Difference("orphan_object", user_id, id, item.key, detail, mend=orphan_remedy(item, match))


def orphan_remedy(item: Listed, match: re.Match[str]) -> Callable[[], Remedy]:
    if match.re is EXCERPT:
        over = Remedy("deleted: it is a part of a recording, and nobody shares it", lambda: s3.delete(item.key))
        return lambda: over
    return lambda: mending.home(item, *owner_of(match), match["attempt"])


def check_uploads(scope: Scope, tick: Tick) -> Iterator[Difference]:
    for page in s3.list_uploads(scope.prefix, **scope.keys):
        for items in batches(page):
            for item, row in beside(items):
                if (row is None or row.upload_id != item.id) and not recent(item.moment):
                    yield from guarded("", "", partial(dangling, item))
            tick("uploads", len(items))


def dangling(item: Listed) -> Iterator[Difference]:
    """The multipart upload, if no row can ever put it together. Its bytes were never acknowledged."""
    match = KEY.fullmatch(item.key)
    if not match:
        return
    user_id, id = owner_of(match)
    row, ledger = Recording.find(id, user_id), Ledger.find(user_id, 0)
    if (ledger and ledger.closed) or (row and (row.status == "purging" or row.upload_id == item.id)):
        return
    if s3.list_parts(item.key, item.id) is None:
        return
    yield Difference(
        "dangling_upload",
        user_id,
        id,
        item.key,
        f"begun {item.moment:%Y-%m-%d %H:%M}",
        mend=lambda: mending.end_upload(item, row),
    )
