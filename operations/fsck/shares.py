"""What verify_storage asks of shares: that each which a recording names is there, and the part that it gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from aws import s3
from aws.dynamo import Conflict, find_at_once
from recordings.models import Recording, Share, ShareEntry
from recordings.shares.links import let_go, living_shares, order
from recordings.shares.transactions import recut

LOOK = 3600  # seconds; a share that expires while this looks is taken away by whatever comes then


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be, and what mends it."""

    kind: str
    row: Recording
    key: str
    detail: str
    remedy: str
    mend: Callable[[], object]


def check_shares(rows: list[Recording]) -> Iterator[Fault]:
    """The faults of what these recordings share. One BatchGetItem for each 100 shares, one HeadObject a part."""
    named = [(row, entry) for row in rows if row.status != "purging" for entry in living_shares(row, seconds=LOOK)]
    shares = Share.batch(entry["id"] for _, entry in named)
    for row, entry in named:
        if find(row, entry, shares.get(entry["id"])):
            yield from confirmed(row, entry["id"])


def confirmed(row: Recording, share_id: str) -> Iterator[Fault]:
    """The fault, if it is still there while the recording stays as it is: shares and their rows change together."""
    try:
        share, again = find_at_once((Share, *Share.place(share_id)), (Recording, row.id, row.user_id))
    except Conflict:
        return
    entry = again.share(share_id) if again and again.version == row.version else None
    if again and entry and (fault := find(again, entry, share)):
        yield fault


def find(row: Recording, entry: ShareEntry, share: Share | None) -> Fault | None:
    id, key = entry["id"], row.excerpt_key(entry["id"])
    if share is None:
        taken_out = "taken out of its recording: its link opens nothing"
        return Fault("missing_share", row, "", f"share {id} has no row", taken_out, partial(let_go, row, id))
    if share.is_excerpt and share.status == "ready" and s3.stat(key) is None:
        return Fault("missing_excerpt", row, key, "a part that is shared", "cut again", partial(cut_again, row, share))
    return None


def cut_again(row: Recording, share: Share) -> None:
    """Order the part anew. The sweep sees to it if no event does."""
    recut(share, row)
    order(row, share)
