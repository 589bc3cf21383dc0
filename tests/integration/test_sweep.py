"""The sweep with all its threads, on a DynamoDB that really has them meet."""

import time

from benchmarks.seed import content_hash, recording
from operations.sweep import sweep
from recordings.keys import UserId
from recordings.models import Change, Ledger, Recording, due_shard
from recordings.uploads import id_of
from tests.client import sign_up
from tests.state import LONG_AGO, check_books, ledger

LONGER_AGO = "2019-01-01T00:00:00.000Z"


def trash(user_id: UserId, number: int, *, due_at: str) -> None:
    """So many recordings whose time in the trash is over, written past the API."""
    with Recording.batch_write() as rows, Change.batch_write() as changes:
        for each in range(number):
            row = recording(user_id, each)
            row.trashed_at, row.shelf = LONG_AGO, f"{user_id}#trash"
            row.due_at, row.due_shard = due_at, due_shard(row.id)
            rows.save(row)
            changes.save(Change(user_id, row.version, recording_id=row.id))
    ledger(user_id).update([Ledger.last_version.set(number), Ledger.used_bytes.set(1000 * number)])


def test_a_thousand_rows_of_which_half_are_one_accounts(aws: None) -> None:
    """Each of the others' is gone before the one's are, though those have been due for longer."""
    big, *others = (sign_up().user_id for _ in range(11))
    trash(big, 500, due_at=LONGER_AGO)
    for user_id in others:
        trash(user_id, 50, due_at=LONG_AGO)
    order: list[str] = []
    started = time.monotonic()
    assert dict(sweep(report=lambda *what: order.append(what[2]))) == {"purged": 1000}
    print(f"1,000 rows in {time.monotonic() - started:.1f} s")
    assert dict(sweep()) == {}
    last = max(at for at, user_id in enumerate(order) if user_id != big)
    assert order[: last + 1].count(big) <= 150, "about as many as each of the others has, were they equally fast"
    for user_id in (big, *others):
        assert Recording.find(id_of(user_id, content_hash(0)), user_id) is None
        assert ledger(user_id).used_bytes == 0
        check_books(user_id)
