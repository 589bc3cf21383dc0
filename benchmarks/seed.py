"""An account with many recordings, written past the API: a benchmark of reading needs no real uploads."""

import datetime
import hashlib

from lib.clock import stamp
from recordings.keys import UserId
from recordings.models import Change, Ledger, Recording
from recordings.uploads import id_of

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def content_hash(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def fill(user_id: UserId, start: int, end: int) -> None:
    """Recordings number `start` to `end` (excluded). Its ledger counts those before them as well."""
    for first in range(start, end, 1000):  # a batch keeps in memory what it is to write
        with Recording.batch_write() as rows, Change.batch_write() as changes:
            for number in range(first, min(first + 1000, end)):
                row = recording(user_id, number)
                rows.save(row)
                changes.save(Change(user_id, row.version, recording_id=row.id))
    ledger = Ledger.find(user_id, 0)
    assert ledger
    ledger.update([Ledger.last_version.set(end), Ledger.used_bytes.set(1000 * end), Ledger.quota_bytes.set(2**40)])


def recording(user_id: UserId, number: int) -> Recording:
    """One that is proven and heard."""
    sha256 = content_hash(number)
    moment = stamp(BEGIN + datetime.timedelta(seconds=number))
    row = Recording(id_of(user_id, sha256), user_id, sha256=sha256, recorded_at=moment, created_at=moment)
    row.name, row.size, row.content_type, row.updated_at = f"Lecture {number}", 1000, "audio/mp4", moment
    row.status, row.verified_at, row.version = "ready", moment, number + 1
    row.attempt, row.shelf, row.tags = "0" * 32, f"{user_id}#library", ["lecture"]
    row.playable, row.duration, row.codec, row.waveform = True, 61.5, "aac", bytes(800)
    row.sample_rate, row.channels, row.bit_rate = 48_000, 1, 64_000
    return row
