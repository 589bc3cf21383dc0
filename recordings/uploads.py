"""The way of a recording from "created" to "ready": create, complete, and the small upload through the server."""

import hashlib
import secrets
from typing import Any

from django.conf import settings

from recorder_project.problems import Problem
from recordings import storage
from recordings.models import Conflict, Ledger, Recording, add, change, days_from_now, due_shard, now
from recordings.services import find, finish_purge, pauses, present, settle, untrash
from recordings.storage import Stored

SMALL = 4 * 2**20  # bytes through the server: Lambda takes 6 MB a request, a third of which base64 eats


def id_of(user_id: str, sha256: str) -> str:
    """A recording's id: the same account and the same content make the same row, however often it is sent."""
    return hashlib.sha256(f"{user_id}:{sha256}".encode()).hexdigest()[:32]


def create(user_id: str, declared: dict[str, Any]) -> tuple[Recording, bool]:
    """The recording for `declared` (name, size, sha256, content_type and what else is known), and whether it is new.

    Safe to repeat: an upload under way goes on, a trashed recording is restored. Raises 409 `size_conflict` when a
    stored recording has this hash and another size, 409 `quota_exceeded`, 413 `too_large`.
    """
    id, size = id_of(user_id, declared["sha256"]), declared["size"]
    if size > settings.MAX_RECORDING_BYTES:
        raise Problem(413, "too_large", f"A recording is at most {settings.MAX_RECORDING_BYTES} bytes long.")

    def decide(row: Recording | None, ledger: Ledger) -> tuple[Recording, bool]:
        if row is None:
            check_quota(ledger, size)
            return add(new_recording(user_id, id, declared), ledger), True
        if row.status == "purging":
            finish_purge(user_id, id)
            raise Conflict
        if row.status == "uploading":
            return resume(row, ledger, size), False
        if row.size != size:
            raise Problem(409, "size_conflict", f"The recording with this hash is {row.size} bytes long.")
        return untrash(row, ledger) if row.trashed_at else row, False

    row, is_new = settle(user_id, id, decide)
    return row, is_new


def new_recording(user_id: str, id: str, declared: dict[str, Any]) -> Recording:
    moment = now()
    due_at = days_from_now(settings.UPLOAD_DAYS)
    row = Recording(id, user_id, created_at=moment, updated_at=moment, due_shard=due_shard(id), due_at=due_at)
    row.status, row.shelf, row.attempt = "uploading", f"{user_id}#uploading", secrets.token_hex(16)
    row.recorded_at = moment
    for name, value in declared.items():
        setattr(row, name, value)
    return row


def resume(row: Recording, ledger: Ledger, size: int) -> Recording:
    """An upload under way, called again: another size is a new attempt; half its time gone, it gets new time."""
    if row.size != size:
        check_quota(ledger, size - row.size)
        return change(row, ledger, {"size": size, **new_attempt(row)}, bytes=size - row.size)
    if row.due_at and row.due_at < days_from_now(settings.UPLOAD_DAYS / 2):
        return change(row, ledger, {"due_at": days_from_now(settings.UPLOAD_DAYS)})
    return row


def new_attempt(row: Recording) -> dict[str, Any]:
    """Values that make a fresh key for the bytes. The row remembers the old one until its object is deleted."""
    return {
        "attempt": secrets.token_hex(16),
        "discarded": [*(row.discarded or []), row.attempt],
        "due_at": days_from_now(settings.UPLOAD_DAYS),
    }


def check_quota(ledger: Ledger, more: int) -> None:
    """Raises 409 where `more` bytes do not fit. The ledger's version in the transaction makes this binding."""
    if more > 0 and ledger.used_bytes + more > ledger.quota:
        free = max(0, ledger.quota - ledger.used_bytes)
        raise Problem(409, "quota_exceeded", f"{more} bytes more do not fit; {free} of {ledger.quota} are free.")


def instructions(row: Recording) -> dict[str, Any] | None:
    """What the app has to send where: the `upload` member of create's answer. None when there is nothing to send."""
    if row.status != "uploading":
        return None
    url, headers = storage.presign_put(row.key, size=row.size, sha256=row.sha256, content_type=row.content_type)
    expires_at = days_from_now(storage.UPLOAD_SECONDS / 86400)
    return {"kind": "single", "method": "PUT", "url": url, "headers": headers, "expires_at": expires_at}


def complete(user_id: str, id: str) -> Recording:
    """Make an upload `ready` once S3 is shown to hold the declared bytes. Safe to repeat.

    Raises 409 `upload_incomplete` when nothing is there yet, 409 `checksum_mismatch` when something else is; the
    wrong bytes are thrown away then, and create gives a fresh URL.
    """
    row = find(user_id, id)
    while row.status == "uploading":
        stored = inspect(row)
        if stored is None:
            raise Problem(409, "upload_incomplete", "The bytes are not there yet. Send them, then call this again.")
        for attempt in row.discarded or []:
            storage.delete(row.key_of(attempt))
        row = conclude(row, stored)
    return row


def conclude(seen: Recording, stored: Stored) -> Recording:
    """Act on what `seen.key` holds, unless the recording has moved on to another attempt: then look again."""

    def decide(row: Recording | None, ledger: Ledger) -> Recording:
        row = present(row)
        if row.status != "uploading" or row.attempt != seen.attempt:
            return row
        if stored == Stored(row.size, row.sha256):
            return make_ready(row, ledger)
        wrong = row.key
        change(row, ledger, {**new_attempt(row), "discarded": [row.attempt]})
        storage.delete(wrong)
        raise Problem(409, "checksum_mismatch", f"What arrived is not what was declared: {describe(stored)}.")

    return settle(seen.user_id, seen.id, decide, row=seen)


def inspect(row: Recording) -> Stored | None:
    """What S3 holds for the upload. Where the store kept no checksum and the size is right, the object is read."""
    stored = storage.stat(row.key)
    if stored and stored.sha256 is None and stored.size == row.size:
        sha256 = storage.digest(row.key)
        return Stored(stored.size, sha256) if sha256 else None
    return stored


def describe(stored: Stored) -> str:
    return f"{stored.size} bytes" + (f" with the SHA-256 {stored.sha256}" if stored.sha256 else "")


def make_ready(row: Recording, ledger: Ledger) -> Recording:
    values = {"status": "ready", "verified_at": now(), "shelf": f"{row.user_id}#library"}
    return change(row, ledger, {**values, "due_at": None, "discarded": None})


def store(user_id: str, content: bytes, declared: dict[str, Any]) -> tuple[Recording, bool]:
    """Keep bytes that came through the server, and whether the recording is new. The row is written first.

    Whatever else happens to this content meanwhile, the answer is a ready recording or an error.
    """
    is_new = False
    for _ in pauses():
        row, created = create(user_id, declared)
        is_new = is_new or created
        if row.status != "uploading":
            return row, is_new
        attempt = row.attempt
        storage.save(row.key, content, row.content_type)

        def decide(row: Recording | None, ledger: Ledger, attempt: str = attempt) -> Recording | None:
            if row is None or row.attempt != attempt or row.status == "purging":
                return None
            return make_ready(row, ledger) if row.status == "uploading" else row

        try:
            ready = settle(user_id, row.id, decide, row=row)
        except Problem as problem:
            if problem.code == "account_closed":
                storage.erase(row.key)
            raise
        if ready:
            return ready, is_new
        storage.erase(row.key)  # no row names it any more, and none ever will
    raise AssertionError  # pauses() ends by raising
