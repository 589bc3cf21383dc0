"""After tables came back from an earlier moment: what people had ended since then stays ended.

The old tables say it: a session, login, feed, link or account that was there at that moment and is not there any more
has been ended. So they may be used only where nothing else has taken rows out of them.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from accounts.models import Account, Feed, Identity, Session
from accounts.services import close, end, identities_of
from accounts.transactions import close_feed, unlink
from aws import s3
from aws.dynamo import elsewhere
from operations.fsck.differences import batches
from operations.restore.recordings import Carried, carry_recordings, carry_versions
from recordings.keys import UserId
from recordings.models import Ledger, Recording, Share
from recordings.shares.links import let_go


def carry_over(*, users_table: str, changes_table: str, moment: str) -> Iterator[Carried]:
    """What has to be done, each as it is found. `moment` is when the tables came back from, as the tables write it:
    what is younger is left alone. Up to five Scans of each table, and a BatchGetItem for each 100 rows.
    """
    yield from carry_versions(changes_table)
    yield from accounts_closed(users_table, moment)
    yield from halves_closed(users_table)
    yield from logins_unlinked(users_table, moment)
    yield from rows_ended(users_table, moment)
    yield from carry_recordings(changes_table)


def accounts_closed(users_table: str, moment: str) -> Iterator[Carried]:
    there = Account.scan(Account.auth_key == "account", consistent_read=True)
    open_ones = (row for row in there if not row.closed_at and row.created_at <= moment)
    old_account = elsewhere(Account, users_table)
    for rows in batches(open_ones):
        old = {row.id: row for row in old_account.batch_get([(row.id, "account") for row in rows])}
        for row in rows:
            before = old.get(row.id)
            if before and before.closed_at:
                yield Carried("closed", row.id, "", partial(close, row.id))
            elif before is None:
                yield closed_or_lost(row.id)


def halves_closed(users_table: str) -> Iterator[Carried]:
    """Accounts that came back half: the ledger is open, the account closed or not there, as the old table has it."""
    old_account = elsewhere(Account, users_table)
    for ledgers in batches(ledger for ledger in Ledger.everything() if not ledger.closed):
        keys = [(ledger.user_id, "account") for ledger in ledgers]
        there = {row.id: row for row in Account.batch_get(keys, consistent_read=True)}
        old = {row.id: row for row in old_account.batch_get(keys, consistent_read=True)}
        for user_id, _ in keys:
            half, before = there.get(user_id), old.get(user_id)
            if half and not half.closed_at:
                continue
            if before and before.closed_at:
                yield Carried("closed", user_id, "", partial(close, user_id))
            elif before is None:
                yield closed_or_lost(user_id)


def closed_or_lost(user_id: UserId) -> Carried:
    """For an account that the old table does not have: closed to its end, which leaves no version of any object."""
    left = next(iter(s3.list_versions(f"recordings/{user_id}/")), None)
    return Carried("unclear" if left else "closed", user_id, "", None if left else partial(close, user_id))


def logins_unlinked(users_table: str, moment: str) -> Iterator[Carried]:
    """Logins that are not in the old table any more, by what stays the same if their rows are renamed."""
    old_identity = elsewhere(Identity, users_table)
    kept = {row.identity_id for row in old_identity.scan(old_identity.auth_key == "identity", consistent_read=True)}
    for row in Identity.scan(Identity.auth_key == "identity", consistent_read=True):
        if row.identity_id not in kept and row.created_at <= moment:
            yield Carried("unlinked", row.user_id, row.identity_id, partial(take_login, row))


def rows_ended(users_table: str, moment: str) -> Iterator[Carried]:
    """Sessions, feeds and links that are not in the old table any more."""
    models: tuple[type[Any], ...] = (Session, Feed, Share)
    for model in models:
        old_model = elsewhere(model, users_table)
        there = (row for row in model.scan(consistent_read=True) if is_a(model, row) and row.created_at <= moment)
        for rows in batches(there):
            keys = [(row.id, row.auth_key) for row in rows]
            kept = {(row.id, row.auth_key): row for row in old_model.batch_get(keys, consistent_read=True)}
            for row in rows:
                before = kept.get((row.id, row.auth_key))
                if before is None or (model is Session and was_replaced(row, before)):
                    yield ended(row)


def was_replaced(row: Session, before: Session) -> bool:
    """Whether a guest's key had been replaced since, by linking a login, and that login is there."""
    account = Account.of(row.id) if before.replaced and not row.replaced else None
    return account is not None and bool(identities_of(account))


def is_a(model: type[Any], row: Any) -> bool:
    """The table has rows of many kinds: each is told by its range key, a session's is a hash."""
    kind: str = row.auth_key
    return len(kind) == 64 if model is Session else kind == model.KIND


def ended(row: Session | Feed | Share) -> Carried:
    if isinstance(row, Session):
        return Carried("signed_out", row.id, row.auth_key, partial(end, row))
    if isinstance(row, Feed):
        return Carried("feed_deleted", row.user_id, row.public_id, partial(take_feed, row))
    return Carried("revoked", row.user_id, row.public_id, partial(take_share, row))


def take_login(row: Identity) -> None:
    """An account's only login nobody can have unlinked: it stays."""
    account = Account.of(row.user_id)
    if account is None or account.closed_at or row.id not in account.identities:
        row.delete()
    elif [other for other in identities_of(account) if other.id != row.id]:
        unlink(account, row)


def take_feed(row: Feed) -> None:
    account = Account.of(row.user_id)
    if account and not account.closed_at:
        close_feed(account, row.public_id)
    else:
        row.delete()


def take_share(share: Share) -> None:
    """The link opens nothing without its row; its recording lets go of it, where it still has it."""
    row = Recording.find(share.recording_id, share.user_id)
    if row and row.share(share.public_id):
        let_go(row, share.public_id)
    share.delete()
