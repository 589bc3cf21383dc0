"""What an S3 event leads to: the same completion as the app's own call, the proof, then the sound; no stray object."""

import datetime
import logging
import re

from aws import s3
from aws.dynamo import find_at_once
from aws.retry import retry_on_conflict
from aws.s3 import Listed, Stored
from lib.problems import Problem, unavailable
from recordings.adoption import adopt
from recordings.analysis.analyse import hear
from recordings.completion import complete, verify
from recordings.keys import EXCERPT, RecordingId, UserId, owner_of, place_of
from recordings.models import Change, Grave, Ledger, Recording, life_of
from recordings.shares.excerpts import fill_order
from recordings.trash import finish_purge
from recordings.uploads import clear

log = logging.getLogger(__name__)

LOOKS = 5  # at an object whose recording changes meanwhile
AGAIN = "again"


def object_created(key: str) -> str:
    """Act on an object that has come to be, as often and as late as S3 says so. Returns what became of it."""
    match = place_of(key)
    if not match:
        return "foreign"
    for _ in range(LOOKS):
        if (outcome := settle_created(key, match)) != AGAIN:
            return outcome
    raise unavailable()


def settle_created(key: str, match: re.Match[str]) -> str:
    """Returns AGAIN where this object has to be looked at again: the recording may have a copy of it by now."""
    user_id, id = owner_of(match)
    row = Recording.find(id, user_id)
    if row is None or key not in (row.key, row.stored_key, *row.excerpt_keys):
        return settle_stray(key, match)
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


def settle_stray(key: str, match: re.Match[str]) -> str:
    """Returns AGAIN where a row names the object by now."""
    if (stored := s3.stat(key)) is None:
        return "gone"  # as what was purged long ago
    if match.re is EXCERPT:
        return remove(key)
    (user_id, id), attempt = owner_of(match), match["attempt"]
    row, ledger, grave = look(user_id, id, attempt)
    if row and key in (row.key, row.stored_key):
        return AGAIN
    if ledger is None or ledger.closed:  # without a ledger: closed long ago, or lost
        return remove(key)
    if row and row.status != "purging":
        other = row.life != life_of(attempt)
        purged = other and (bool(grave) or Change.searched(user_id, id, attempt))
        return settle_beside(key, row, stored, purged=purged)
    return remove(key) if grave or Change.searched(user_id, id, attempt) else leave(user_id, id)


@retry_on_conflict
def look(user_id: UserId, id: RecordingId, attempt: str) -> tuple[Recording | None, Ledger | None, Grave | None]:
    """What tells whose an object is, at one moment: half a purge could look like none. One TransactGetItems."""
    place = Grave.place(id, life_of(attempt))
    row, ledger, grave = find_at_once((Recording, id, user_id), (Ledger, user_id, 0), (Grave, user_id, place))
    return row, ledger, grave


def settle_beside(key: str, row: Recording, stored: Stored, *, purged: bool | None) -> str:
    """Of a recording that is there, under another attempt: an older one, or a newer one than a restored row knows."""
    if row.status == "ready" and not row.verified_at:
        row = verify(row.user_id, row.id)
    wanting = row.status in ("uploading", "mismatch") and purged is False and key not in dict(row.leftovers)
    if wanting and (source := proven(key, stored, row.sha256)):
        return AGAIN if adopt(row, source) else remove(key)
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


def leave(user_id: UserId, id: RecordingId) -> str:
    log.warning("No row names an object of recording %s of %s: verify_storage can place it", id, user_id)
    return "unknown"
