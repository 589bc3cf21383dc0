"""Every write to the rows of shares, which their recording names in the same transaction."""

import datetime
from typing import Any

from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from aws.dynamo import commit, transaction
from lib.clock import days_from_now, now, stamp
from recordings.models import Excerpt, Ledger, Recording, Share, ShareEntry
from recordings.transactions import change

CUT_DAYS = 1 / 24  # how long S3's event has to bring an excerpt before the sweep cuts it itself


def set_shares(row: Recording, ledger: Ledger, kept: list[ShareEntry], new: Share | None = None) -> Recording:
    """Let the recording have the shares `kept` (entries of its own) and `new`, and no others. Excerpts of those that
    go are due at once: their objects may be deleted from here on.
    """
    entries = [*kept, new.entry] if new else kept

    def join(write: TransactWrite) -> None:
        for entry in row.shares or []:
            if entry not in kept:
                write.delete(Share.bare(entry["id"]))
                if entry["excerpt"]:
                    write.save(Excerpt.of(entry["id"], row, due_at=now()))
        if new:
            write.save(new, Share.id.does_not_exist())
            if new.is_excerpt:
                write.save(Excerpt.of(new.public_id, row, due_at=days_from_now(CUT_DAYS)))

    return change(row, ledger, {"shares": entries or None}, also=join)


def conclude_excerpt(share: Share, row: Recording, status: str) -> None:
    """`ready` or `failed`. The sweep looks again when the share expires. Raises Conflict where it is not `preparing`
    any more, or is gone. Takes no version: what is shared stays the same.
    """
    until = stamp(datetime.datetime.fromtimestamp(share.expires_at, datetime.UTC))
    write = transaction()
    write.update(share, [Share.status.set(status)], condition=Share.status == "preparing")
    write.update(
        Excerpt(Excerpt.id_of(share.public_id), row.user_id),
        [Excerpt.due_at.set(until)],
        condition=Excerpt.id.exists(),
    )
    commit(write)


def recut(share: Share, row: Recording) -> None:
    """Let a `ready` excerpt be cut once more. Raises Conflict where it is not ready any more, or is gone."""
    write = transaction()
    actions: list[Action] = [Share.status.set("preparing"), Share.tries.remove()]
    write.update(share, actions, condition=Share.status == "ready")
    write.save(Excerpt.of(share.public_id, row, due_at=days_from_now(CUT_DAYS)))
    commit(write)


def claim_excerpt(share: Share, tries: int) -> bool:
    """Count the tries at cutting it. False where anything about that is not as it was read."""
    as_read: Any = Share.status == "preparing"
    as_read &= Share.tries.does_not_exist() if share.tries is None else Share.tries == share.tries
    return share.update_if(as_read, Share.tries.set(tries))


def delay_excerpt(share: Share, row: Recording) -> None:
    """Let the sweep look again once somebody else has had time to cut it."""
    due_at = days_from_now(CUT_DAYS)
    work = Excerpt(Excerpt.id_of(share.public_id), row.user_id)
    work.update_if(Excerpt.id.exists(), Excerpt.due_at.set(due_at))
