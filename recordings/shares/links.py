"""Links by which somebody without an account can listen to one recording: made, listed, revoked, followed.

A link ends in a token of 32 random bytes; only its SHA-256 is stored, which is also the id by which its owner knows
it. The recording's row lists its shares, so whatever ends the recording finds them.
"""

import time
import unicodedata
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from aws import presign, s3
from aws.dynamo import find_all
from lib.clock import now
from lib.problems import Problem, invalid, not_found
from lib.secrets import TOKEN, hashed, new_token
from recordings import pacing
from recordings.keys import RecordingId, UserId
from recordings.library import ID, find, leave_to_sweep, present, settle
from recordings.models import Excerpt, Ledger, Recording, Share, ShareEntry
from recordings.shares.transactions import set_shares

MOST = 20  # living shares of one recording


class Wanted(TypedDict):
    """What a share shall be. Moments are seconds of the recording."""

    expires_at: int  # seconds since 1970
    password: NotRequired[str]
    made_here: NotRequired[bool]  # the password
    at: NotRequired[float]
    start: NotRequired[float]
    end: NotRequired[float]


def create(user_id: UserId, id: RecordingId, wanted: Wanted) -> tuple[Share, str]:
    """A new share of the recording, and its token, which nobody can see again.

    `wanted` holds expires_at (seconds since 1970) and, where given, password, at, start and end. Raises 404 also for
    what is in the trash, 409 `not_ready` and `too_many_shares`, 400 for moments that the recording does not have, 429
    for more parts than an account gets in an hour.
    """
    row, ledger = look_up(user_id, id)
    token = new_token()
    share = new_share(user_id, id, token, wanted)
    if share.is_excerpt and (wait := pacing.afford("excerpt", user_id)):
        detail = f"An account has at most {pacing.MOST['excerpt']} parts cut out in an hour. Retry-After says when."
        raise Problem(429, "too_many_requests", detail, retry_after=wait)

    def decide(row: Recording | None, ledger: Ledger) -> Recording:
        row = present(row)
        if row.trashed_at:
            raise not_found()
        if row.status == "uploading":
            raise Problem(409, "not_ready", "The recording has not been uploaded completely yet.")
        living = living_shares(row)
        if share.entry in living:  # done, and only the answer was lost
            return row
        check_moments(row, share)
        if len(living) >= MOST:
            raise Problem(409, "too_many_shares", f"A recording has at most {MOST} shares. Revoke one first.")
        return set_shares(row, ledger, living, share)

    row = settle(user_id, id, decide, row, ledger)
    if share.is_excerpt:
        leave_to_sweep(order, row, share)
    return share, token


def look_up(user_id: UserId, id: RecordingId) -> tuple[Recording, Ledger | None]:
    """The account's recording with its ledger. Raises 404 as `find` does. One BatchGetItem."""
    if not ID.fullmatch(id):
        raise not_found()
    row, ledger = find_all((Recording, id, user_id), (Ledger, user_id, 0))
    return present(row), ledger if ledger and not ledger.closed else None


def new_share(user_id: UserId, id: RecordingId, token: str, wanted: Wanted) -> Share:
    share = Share.bare(hashed(token), user_id=user_id, recording_id=id, created_at=now())
    share.expires_at, share.at = wanted["expires_at"], wanted.get("at")
    share.start, share.end = wanted.get("start"), wanted.get("end")
    share.status = "preparing" if share.is_excerpt else "ready"
    if "password" in wanted:
        share.password = hash_password(wanted["password"])
    return share


def hash_password(password: str) -> str:
    from django.contrib.auth.hashers import make_password  # 20 ms of cold start that only passwords need

    return make_password(normal(password))


def normal(password: str) -> str:
    """One form for what looks the same: keyboards differ in how they put Korean and accents together."""
    return unicodedata.normalize("NFKC", password)


def check_moments(row: Recording, share: Share) -> None:
    """Raises 400 where the recording, as far as it has been heard, or the excerpt does not reach."""
    for name in ("at", "end"):
        value = getattr(share, name)
        if value is not None and row.duration is not None and value > row.duration:
            raise invalid(f"/{name}", "max_value", f"The recording is {row.duration:g} seconds long.")


def order(row: Recording, share: Share) -> None:
    """Have the excerpt cut: S3 tells the event handler that this object has come to be."""
    s3.save(row.order_key(share.public_id), b"", "application/octet-stream")


def living_shares(row: Recording, *, seconds: float = 0) -> list[ShareEntry]:
    """Those entries of the recording that will not have expired in so many `seconds`."""
    return [entry for entry in row.shares or [] if entry["expires_at"] > time.time() + seconds]


def shares_of(user_id: UserId, id: RecordingId) -> list[Share]:
    """The recording's living shares, in the order in which they were made. One GetItem, one BatchGetItem."""
    ids = [entry["id"] for entry in living_shares(find(user_id, id))]
    rows = Share.batch(ids)
    return [rows[share_id] for share_id in ids if share_id in rows]


def revoke(user_id: UserId, id: RecordingId, share_id: str) -> None:
    """End a share. Raises 404 where the recording has no such share."""
    row, ledger = look_up(user_id, id)
    entry = row.share(share_id)
    if entry is None:
        raise not_found()
    let_go(row, share_id, ledger)
    if entry["excerpt"]:
        leave_to_sweep(clear, row, share_id)


def let_go(row: Recording, share_id: str, ledger: Ledger | None = None) -> None:
    """Take this share out of the recording, and whatever else has expired."""

    def decide(row: Recording | None, ledger: Ledger) -> None:
        row = present(row)
        kept = [entry for entry in living_shares(row) if entry["id"] != share_id]
        if kept != (row.shares or []):
            set_shares(row, ledger, kept)

    settle(row.user_id, row.id, decide, row, ledger)


def clear(row: Recording, share_id: str) -> None:
    """Delete what is left of an excerpt, once its recording has let go of it. Only the keys of `row` count."""
    s3.delete(row.excerpt_key(share_id))
    s3.delete(row.order_key(share_id))
    Excerpt.of(share_id, row, due_at="").delete()


@dataclass(frozen=True)
class Shared:
    """What a link leads to."""

    share: Share
    row: Recording

    @property
    def duration(self) -> float | None:
        """Seconds of what is shared, None where nobody knows."""
        if self.share.start is not None:
            return float(self.share.end - self.share.start)
        return self.row.duration

    @property
    def begins_at(self) -> float | None:
        """Where playing starts, in seconds of what is shared."""
        return None if self.share.at is None else max(0.0, self.share.at - (self.share.start or 0))


def follow(token: str) -> Shared:
    """What the link leads to. Raises the same 404 for one that never was, has expired or was revoked, for one that its
    recording does not list, and for a recording in the trash, gone, or of a closed account. One GetItem, one
    BatchGetItem.
    """
    share = Share.of(hashed(token)) if TOKEN.fullmatch(token) else None
    if share is None or share.expires_at <= time.time():
        raise not_found()
    row, ledger = find_all((Recording, share.recording_id, share.user_id), (Ledger, share.user_id, 0))
    if ledger is None or ledger.closed or row is None or row.trashed_at or row.status in ("uploading", "purging"):
        raise not_found()
    if row.share(share.public_id) is None:  # its owner can neither see nor revoke it: the row was lost meanwhile
        raise not_found()
    return Shared(share, row)


def opens(share: Share, password: str) -> bool:
    """Whether this is the share's password. It takes a tenth of a second on purpose."""
    from django.contrib.auth.hashers import check_password  # see hash_password

    return check_password(normal(password), share.password)


def url_of(shared: Shared, *, inline: bool, head: bool = False) -> str:
    """A presigned URL for the bytes. Raises 404 for an excerpt that could not be cut, 503 for one under way."""
    share, row = shared.share, shared.row
    if share.status == "failed":
        raise not_found()
    if share.status == "preparing":
        raise Problem(503, "preparing", "This part is being cut out just now.", retry_after=5)
    how: dict[str, Any] = {"inline": inline, "seconds": presign.SHARED_SECONDS, "head": head}
    if share.is_excerpt:
        name = f"{row.name.rpartition('.')[0] or row.name}.m4a"
        how |= {"content_type": "audio/mp4", "trusted": True}  # it was made here
        return presign.presign_get(row.excerpt_key(share.public_id), name=name, **how)
    how |= {"content_type": row.content_type, "trusted": bool(row.playable)}
    return presign.presign_get(row.stored_key, name=row.name, **how)
