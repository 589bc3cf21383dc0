"""An upload in the words of Uppy's S3 plugin (@uppy/aws-s3 5 and 6); docs/uppy.md says what a page needs for it.

The same quota, attempts and proof as uploads.py. Whoever calls holds a grant, and touches what was begun under grants
alone: what a hash leads to is the grant's own recording (`uploads.id_of`), and what `key` and `uploadId` lead to, that
come back from the browser, only who was given both can name. For all else there is one answer, that it is over.
"""

import re
from collections.abc import Collection
from typing import Any, TypedDict

from django.conf import settings
from django.core.signing import BadSignature, Signer

from aws import presign, s3
from lib.problems import FieldError, Problem, invalid
from recordings import uploads
from recordings.completion import complete
from recordings.keys import KEY, UserId, owner_of
from recordings.library import open_account, settle
from recordings.models import Declaration, Recording
from recordings.serializers import CreateSerializer
from recordings.trash import purge
from recordings.uploads import LEAST_PART, MOST_PARTS

MOST_POST = 5 * 10**9  # bytes, https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html
KNOWN = ("recorded_at", "notes")  # metadata that the page may set besides
HOW = "uppy.setFileMeta(file.id, { size: file.size, sha256: '…64 lowercase hex digits…' })"


class Form(presign.TimedForm):
    method: str


class SentPart(TypedDict):
    """One part, as S3 and Uppy name its members."""

    PartNumber: int
    ETag: str
    Size: int


def declaration(filename: Any, content_type: Any, metadata: Any) -> Declaration:
    """What `create` takes, from what Uppy says of a file. Raises 400 for a file without size or hash, saying how."""
    if not isinstance(metadata, dict):
        metadata = {}
    if missing := [name for name in ("size", "sha256") if not metadata.get(name)]:
        detail = f"Uppy says neither size nor hash by itself. Add to the file, in a preprocessor: {HOW}"
        errors: list[FieldError] = [
            {"pointer": f"/metadata/{name}", "code": "required", "detail": detail} for name in missing
        ]
        raise Problem(400, "invalid", detail, errors=errors)
    known = {name: metadata[name] for name in ("size", "sha256", *KNOWN) if metadata.get(name)}
    if isinstance(known["size"], str) and re.fullmatch("[0-9]{1,18}", known["size"], re.ASCII):
        known["size"] = int(known["size"])  # a query knows no numbers
    return CreateSerializer.read({"name": metadata.get("name") or filename, "content_type": content_type, **known})


def form(user_id: UserId, grant: str, declared: Declaration) -> Form:
    """Where a file goes in one POST: exactly its bytes, under exactly its key. `grant` is the id of one."""
    if declared["size"] > MOST_POST:
        raise Problem(413, "too_large", f"S3 takes at most {MOST_POST} bytes at once. Set shouldUseMultipart.")
    row = begun(user_id, grant, declared, whole=True)
    policy = presign.presign_post(row.key, size=row.size, sha256=row.sha256, content_type=row.content_type)
    return {"method": "POST", **policy}


def begin(user_id: UserId, grant: str, declared: Declaration) -> dict[str, str]:
    """Begin a file in parts, or go on with it. Raises 403 for guests: no size can be signed into Uppy's parts."""
    if open_account(user_id).is_guest:
        raise Problem(403, "guest", "Guests can't upload in parts. Sign in, or set shouldUseMultipart to false.")
    row = begun(user_id, grant, declared, any_parts=True)
    return {"key": row.key, "uploadId": seal(row.key, row.upload_id or ""), "bucket": settings.RECORDINGS_BUCKET}


def begun(
    user_id: UserId, grant: str, declared: Declaration, *, any_parts: bool = False, whole: bool = False
) -> Recording:
    """The recording for `declared`, which waits for its bytes. Raises 409 where nothing has to be sent.

    That a replacement only has to be read is all that its row can say of one without parts. Whether its bytes have
    come, S3 says: they have not, or went, where a copy of them failed.
    """
    row, is_new = uploads.declare(user_id, declared, grant=grant, any_parts=any_parts, whole=whole)
    if row.awaits_proof and not s3.stat(row.key):
        if row.any_parts or not whole:
            row = renewed(row, any_parts=any_parts, whole=whole)
        if whole and row.awaits_bytes:
            return row
    elif not is_new and row.upload_id and s3.list_parts(row.key, row.upload_id) is None:
        row = renewed(row, any_parts=any_parts, whole=whole)
    refuse_known(row)
    return row


def renewed(row: Recording, *, any_parts: bool, whole: bool) -> Recording:
    """A new attempt for an upload that S3 no longer knows, unless it came to its end and nobody has noticed."""
    try:
        return complete(row.user_id, row.id)
    except Problem as problem:
        if problem.code not in ("upload_incomplete", "checksum_mismatch"):
            raise
    how = {"any_parts": any_parts, "whole": whole}
    return settle(row.user_id, row.id, lambda again, ledger: uploads.renew(row, again, ledger, **how))


def refuse_known(row: Recording) -> None:
    """Uppy knows no answer for "there is nothing to send", so it is an error that says so."""
    if row.awaits_proof or not row.awaits_bytes:
        raise Problem(409, "already_here", "This file is here already; nothing has to be sent.")


def seal(key: str, upload_id: str) -> str:
    """The upload id that Uppy gets: S3's own, so that it shows for good which key it was given with."""
    return sealed_for(key).sign(upload_id)


def unseal(key: str, sealed: str) -> str | None:
    """S3's upload id, None where Recorder has not given this one with this key."""
    try:
        return sealed_for(key).unsign(sealed)
    except BadSignature:
        return None


def sealed_for(key: str) -> Signer:
    return Signer(sep=".", salt=f"uppy {key}")


def meant(user_id: UserId, key: str, sealed: str) -> Recording:
    """The recording that a key and an upload id name: one under way, or the one that has come of it. An upload that
    an earlier version began has S3's upload id as it is.
    """
    match = KEY.fullmatch(key)
    row = Recording.find(owner_of(match)[1], user_id) if match else None
    if row is None or row.status == "purging" or row.key != key:
        raise lost()
    upload_id = unseal(key, sealed)
    under_way = bool(row.any_parts) and row.upload_id == (upload_id or sealed)
    if not under_way and not (upload_id and is_over(row)):
        raise lost()
    return row


def lost() -> Problem:
    return Problem(404, "not_found", "This upload is over. Remove the file and add it again.")


def is_over(row: Recording) -> bool:
    """Whether all parts of the row's attempt are put together. Uppy may ask again when it has lost the answer."""
    return row.status == "ready" or row.awaits_proof


def received(user_id: UserId, key: str, sealed: str) -> list[SentPart]:
    """The parts that S3 has. All there can be once they are put together, so that Uppy goes on to `complete`."""
    row = meant(user_id, key, sealed)
    parts = None if is_over(row) else s3.list_parts(key, row.upload_id or "")
    if parts is not None:
        whole = whole_parts(row.size, parts)
        return [{"PartNumber": part.number, "ETag": part.etag, "Size": part.size} for part in whole]
    if not is_over(row) and not s3.stat(key):
        raise lost()
    return [{"PartNumber": number, "ETag": '"over"', "Size": LEAST_PART} for number in range(1, most_parts(row) + 1)]


def most_parts(row: Recording) -> int:
    return -(-row.size // LEAST_PART)


def whole_parts(size: int, parts: list[s3.Part]) -> list[s3.Part]:
    """The parts as long as the longest, and the rest at the end. Uppy takes each that is listed for sent: one that was
    cut off (not every store counts the bytes), or is left from another part size, has to be sent again.
    """
    length = max((part.size for part in parts), default=0)
    if length < min(size, LEAST_PART):
        return []
    last = -(-size // length)
    rest = size - (last - 1) * length
    return [part for part in parts if part.size == (rest if part.number == last else length) and part.number <= last]


def sign(user_id: UserId, key: str, sealed: str, numbers: Collection[int]) -> dict[int, str]:
    """A URL for each part. No more of them than the declared size can need, since their lengths can't be signed."""
    row = meant(user_id, key, sealed)
    refuse_known(row)
    if row.days_left <= 0:
        raise lost()
    most = min(MOST_PARTS, most_parts(row))
    if not all(1 <= number <= most for number in numbers):
        raise invalid("/partNumbers", "max_value", f"This recording's parts are numbered from 1 to at most {most}.")
    upload_id, seconds = row.upload_id or "", uploads.seconds_left(row)
    return {number: presign.presign_any_part(key, upload_id, number, seconds=seconds) for number in numbers}


def finish(user_id: UserId, key: str, sealed: str, sent: Collection[int]) -> Recording:
    """Put the parts together and complete the recording; what S3 lists counts, and not what the browser says."""
    row = meant(user_id, key, sealed)
    return complete(user_id, row.id, sent=sent)


def give_up(user_id: UserId, key: str, sealed: str) -> None:
    """Purge a recording whose upload is cancelled. One that replaces a mismatch is left to its time."""
    seen = meant(user_id, key, sealed)
    if seen.upload_id:
        purge(user_id, seen.id, when=lambda row: row.status == "uploading" and row.upload_id == seen.upload_id)
