"""Cutting what a share gives a part of: who does it, how often it is tried, and what becomes of it afterwards.

Sharing puts the share and the sweep's row (`Excerpt`) in, then an empty order object; S3's event about that is the
first try, the sweep's an hour later the second. A file may bring the process down that decodes it (decoding.py), so a
try is counted before the file is opened, and after two the share has failed. The recording is safe through all this.
"""

import logging
import tempfile
import time
from pathlib import Path

from django.conf import settings

from aws import object_reader, s3
from aws.dynamo import Conflict
from aws.retry import retry_on_conflict
from lib.problems import Problem
from recordings.analysis import decoding, orders
from recordings.analysis.decoding import SECONDS, UndecodableError
from recordings.keys import UserId
from recordings.library import open_account
from recordings.models import Excerpt, Recording, Share
from recordings.shares.links import clear, let_go
from recordings.shares.transactions import claim_excerpt, conclude_excerpt, delay_excerpt
from recordings.trash import finish_purge

log = logging.getLogger(__name__)

TRIES = 2


def fill_order(row: Recording, share_id: str) -> str:
    """Act on an order object that has come to be. Returns what became of the excerpt."""
    outcome = cut(row, share_id)
    s3.delete(row.order_key(share_id))
    return outcome


def cut(row: Recording, share_id: str, *, seconds: float = SECONDS, again: bool = False) -> str:
    """Make the excerpt of a share that is `preparing`, once, whoever comes first; later tries are the sweep's
    (`again`). Returns the share's status, or `changed` where it is gone or somebody else is at it.
    """
    open_account(row.user_id)
    share = Share.of(share_id)
    if share is None or share.status != "preparing":
        return share.status if share else "changed"
    tries = share.tries or 0
    if tries >= TRIES:
        log.error("A part of recording %s could not be cut out in %d tries", row.id, tries)
        return conclude(row, share, "failed")
    if (tries and not again) or not claim_excerpt(share, tries + 1):
        return "changed"
    try:
        status = make(row, share, seconds, tries + 1)
    except (TimeoutError, UndecodableError) as error:
        log.warning("Recording %s could not be cut, try %d: %s", row.id, tries + 1, error)
        return "preparing"
    except Problem:
        claim_excerpt(share, tries)  # the store's fault and not the file's: not counted
        raise
    except Exception:
        log.exception("Recording %s could not be cut", row.id)
        status = "failed"
    return status if status == "preparing" else conclude(row, share, status)


def make(row: Recording, share: Share, seconds: float, tries: int) -> str:
    """Cut the part out of the stored bytes, and store it. Returns the share's next status: `preparing` where another
    function was told to do it, whose answer `take` has then.
    """
    if settings.DECODE_FUNCTION:
        delay_excerpt(share, row)
        orders.order_part(row, share, tries)
        return "preparing"
    file = object_reader.open_object(row.stored_key)
    if file is None:
        return "failed"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "excerpt.m4a"
        with path.open("w+b") as output:
            if not decoding.cut(file, output, float(share.start), float(share.end), seconds=seconds):
                return "failed"
        s3.save_file(row.excerpt_key(share.public_id), path, "audio/mp4")
    return "ready"


def take(answer: orders.Answer) -> str:
    """Act on what the function says that was told to cut. Returns the share's status, or `changed` where this order is
    over.
    """
    about = answer.about
    row, share = Recording.find(about["id"], about["user_id"]), Share.of(about["share_id"])
    if row is None or share is None or row.share(share.public_id) is None:
        return "changed"
    if (share.status, share.tries, row.stored_key) != ("preparing", about["tries"], about["key"]):
        return "changed"
    open_account(row.user_id)
    if answer.never_begun:
        claim_excerpt(share, about["tries"] - 1)  # not the file's fault: not counted
        return "postponed"
    if answer.seconds is None:
        log.warning("Recording %s could not be cut, try %d", row.id, share.tries)
        return "preparing"
    stored = answer.seconds and s3.stat(row.excerpt_key(share.public_id))
    return conclude(row, share, "ready" if stored else "failed")


@retry_on_conflict
def conclude(row: Recording, share: Share, status: str) -> str:
    """Write down what became of it. What was cut for a share that is gone meanwhile goes too."""
    try:
        conclude_excerpt(share, row, status)
    except Conflict:
        found = Share.of(share.public_id)
        if found is None:
            s3.delete(row.excerpt_key(share.public_id))
            return "changed"
        if found.status == "preparing":
            raise
        return found.status
    return status


def tend(share_id: str, user_id: UserId, until: float) -> str:
    """The sweep's part: cut what no event has brought, and delete what is over. Returns what became of it."""
    work = Excerpt.find(Excerpt.id_of(share_id), user_id)
    if work is None:
        return "changed"
    row = Recording.find(work.recording_id, user_id)
    entry = row.share(share_id) if row else None
    if row and row.status == "purging":
        finish_purge(user_id, row.id)
        return "purged"
    if row and entry:
        if entry["expires_at"] > time.time() and Share.of(share_id):
            return cut_in_time(row, share_id, until)
        let_go(row, share_id)
    clear(Recording(work.recording_id, user_id), share_id)
    return "cleared"


def cut_in_time(row: Recording, share_id: str, until: float) -> str:
    """Cut it, unless this sweep is about to end itself."""
    seconds = min(SECONDS, until - time.monotonic())
    if seconds <= SECONDS / 10:
        return "postponed"
    status = cut(row, share_id, seconds=seconds, again=True)
    return {"ready": "cut", "failed": "undecodable", "preparing": "postponed"}.get(status, "changed")
