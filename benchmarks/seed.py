"""An account with many recordings, written past the API: a benchmark of reading needs no real uploads."""

import hashlib

from recordings.models import Change, Ledger, Recording
from recordings.uploads import id_of


def content_hash(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def fill(user_id: str, start: int, end: int) -> None:
    """Recordings number `start` to `end` (excluded) of a guest account that has those before them already."""
    with Recording.batch_write() as rows, Change.batch_write() as changes:
        for number in range(start, end):
            sha256 = content_hash(number)
            moment = f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.{number % 1000:03}Z"
            row = Recording(id_of(user_id, sha256), user_id, sha256=sha256, recorded_at=moment, created_at=moment)
            row.name, row.size, row.content_type, row.updated_at = f"Lecture {number}", 1000, "audio/mp4", moment
            row.status, row.verified_at, row.version = "ready", moment, number + 1
            row.attempt, row.shelf, row.tags = "0" * 32, f"{user_id}#library", ["lecture"]
            rows.save(row)
            changes.save(Change(user_id, number + 1, recording_id=row.id))
    ledger = Ledger.find(user_id, 0)
    assert ledger
    ledger.update([Ledger.last_version.set(end), Ledger.used_bytes.set(1000 * end), Ledger.quota_bytes.set(2**40)])
