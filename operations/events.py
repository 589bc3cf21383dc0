"""What an S3 event leads to: the same completion as the app's own call, the proof, then the sound; no stray object."""

import datetime
import logging
import re

from aws import s3
from aws.s3 import Listed, Stored
from lib.problems import Problem, unavailable
from recordings.adoption import adopt
from recordings.analysis.analyse import hear
from recordings.completion import complete, verify
from recordings.keys import EXCERPT, place_of
from recordings.models import Change, Ledger, Recording
from recordings.shares.excerpts import fill_order
from recordings.trash import finish_purge
from recordings.uploads import clear

log = logging.getLogger(__name__)

LOOKS = 5  # at an object whose recording changes meanwhile


def object_created(key: str) -> str:
    """Act on an object that has come to be, as often and as late as S3 says so. Returns what became of it."""
    match = place_of(key)
    if not match:
        return "foreign"
    for _ in range(LOOKS):
        if (outcome := settle_created(key, match)) != "adopted":
            return outcome
    raise unavailable()


def settle_created(key: str, match: re.Match[str]) -> str:
    """Returns `adopted` where the recording may have a copy by now, so that this object has to be looked at again."""
    row = Recording.find(match["id"], match["user_id"])
    if row is None or key not in (row.key, row.stored_key, *row.excerpt_keys):
        return settle_stray(key, match, row)
    try:
        if row.status == "purging":
            finish_purge(row.user_id, row.id)
            return "purged"
        return settle_excerpt(row, match) if match.re is EXCERPT else settle_object(row)
    except Problem as problem:
        if problem.status_code not in (401, 404, 409):
            raise
        log.info("The object of recording %s is not its bytes: %s", row.id, problem.code)
        return str(problem.code)


def settle_object(row: Recording) -> str:
    if row.awaits_bytes:
        row = complete(row.user_id, row.id)
    if not row.verified_at:
        row = verify(row.user_id, row.id)
    if not row.awaits_bytes:
        clear(row)  # what is left of attempts before, where the last step stopped half-way
    return hear(row).status


def settle_excerpt(row: Recording, match: re.Match[str]) -> str:
    return fill_order(row, match["share_id"]) if match["kind"] == "order" else "ready"


# Objects that no row names. Rows are written first, so nothing that was acknowledged is among them as long as nobody
# brings tables or objects back; then it may be the only copy. What is removed here goes behind a delete marker, so
# that the operator can have it back.


def settle_stray(key: str, match: re.Match[str], row: Recording | None) -> str:
    if (stored := s3.stat(key)) is None:
        return "gone"  # as what was purged long ago
    ledger = Ledger.find(match["user_id"], 0)
    if match.re is EXCERPT or ledger is None or ledger.closed:  # without a ledger: closed long ago, or lost
        return remove(key)
    purged = Change.purged(match["user_id"], match["id"], match["attempt"])
    if row and row.status != "purging":
        return settle_beside(key, row, stored, purged=purged)
    return remove(key) if purged else leave(match["user_id"], match["id"])


def settle_beside(key: str, row: Recording, stored: Stored, *, purged: bool | None) -> str:
    """Of a recording that is there, under another attempt: an older one, or a newer one than a restored row knows."""
    if row.status == "ready" and not row.verified_at:
        row = verify(row.user_id, row.id)
    wanting = row.status in ("uploading", "mismatch") and purged is False and key not in dict(row.leftovers)
    if wanting and (source := proven(key, stored, row.sha256)):
        return "adopted" if adopt(row, source) else remove(key)
    if row.status == "uploading" or s3.stat(row.stored_key):
        return remove(key)
    return leave(row.user_id, row.id)


def proven(key: str, stored: Stored, sha256: str) -> Listed | None:
    """The object, if its bytes are those with this hash. Read where S3 does not say it."""
    found = stored if stored.sha256 else s3.read(key)
    if found is None or found.sha256 != sha256:
        return None
    return Listed(key, found.size, datetime.datetime.now(datetime.UTC), etag=found.etag)


def remove(key: str) -> str:
    s3.delete(key)
    return "orphan"


def leave(user_id: str, id: str) -> str:
    log.warning("No row names an object of recording %s of %s: verify_storage can place it", id, user_id)
    return "unknown"
