"""What verify_storage asks of accounts: that account and ledger are both there, and that the logins and feeds which an
account lists are the ones that name it.

Each of these is written in one transaction, so that only tables which came back from different moments can differ.
What is found is read again at one moment (TransactGetItems) before it counts.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from accounts.models import GUEST_DAYS, REPLACED, SLIDING, Account, Feed, Identity, Session
from accounts.transactions import agree, rebuild_account, rebuild_ledger, reschedule, set_guest
from aws.dynamo import Conflict, find_at_once
from lib.clock import days_from_now
from operations.fsck.differences import Difference, Scope, batches, guarded
from operations.fsck.ledgers import ledgers_in
from operations.fsck.repair import Remedy
from recordings.keys import UserId
from recordings.models import Change, Ledger, Work


def check_accounts(scope: Scope) -> Iterator[Difference]:
    """Four Scans of the table, for each 100 accounts five BatchGetItem. Of one account, only what it lists."""
    for model in (Identity, Feed):
        yield from check_named(scope, model)
    yield from check_halves(scope)
    for rows in batches(accounts_in(scope)):
        for account in suspicious(rows):
            yield from guarded(account.id, "", partial(audit, account.id))
    for session in replacing(scope):
        yield from guarded(session.id, "", partial(exchanged, session))


def check_named(scope: Scope, model: type[Any]) -> Iterator[Difference]:
    for rows in batches(rows_of(scope, model)):
        accounts = there(Account, [(row.user_id, "account") for row in rows])
        for row in rows:
            if not names(accounts.get((row.user_id, "account")), row):
                yield from guarded(row.user_id, "", partial(unlisted, row))


def check_halves(scope: Scope) -> Iterator[Difference]:
    for ledgers in batches(ledger for ledger in ledgers_in(scope) if not ledger.closed):
        accounts = there(Account, [(ledger.user_id, "account") for ledger in ledgers])
        for ledger in ledgers:
            if (ledger.user_id, "account") not in accounts:
                yield from guarded(ledger.user_id, "", partial(half, ledger.user_id))


def rows_of(scope: Scope, model: type[Any]) -> Iterator[Any]:
    """Rows of this kind, none where one account is meant: the table can't be asked for those."""
    if not scope.account:
        kind = {Identity: "identity", Feed: "feed", Account: "account"}[model]
        yield from model.scan(model.auth_key == kind, consistent_read=True, **scan_of(scope))


def scan_of(scope: Scope) -> dict[str, Any]:
    return {"segment": scope.segment, "total_segments": scope.segments} if scope.segments > 1 else {}


def accounts_in(scope: Scope) -> Iterator[Account]:
    if not scope.account:
        yield from rows_of(scope, Account)
    elif account := Account.of(scope.account):
        yield account


def there(model: type[Any], keys: list[Any]) -> dict[Any, Any]:
    """Those that are there, by their key."""
    rows = model.batch_get(set(keys), consistent_read=True) if keys else ()
    return {
        (row.attribute_values[model._hash_keyname], row.attribute_values[model._range_keyname]): row for row in rows
    }


def names(account: Account | None, row: Identity | Feed) -> bool:
    """Whether the account, open, lists this row."""
    if account is None or account.closed_at:
        return False
    return row.id in account.identities if isinstance(row, Identity) else row.public_id in account.feeds


def suspicious(accounts: list[Account]) -> Iterator[Account]:
    """Those of which something that should be there is not, or is otherwise."""
    ledgers = there(Ledger, [(account.id, 0) for account in accounts])
    works = there(Work, [(f"account:{account.id}", account.id) for account in accounts if account.is_guest])
    logins = there(Identity, [(id, "identity") for account in accounts for id in account.identities])
    feeds = there(Feed, [Feed.place(id) for account in accounts for id in account.feeds])
    for account in accounts:
        ledger = ledgers.get((account.id, 0))
        rows = [logins.get((id, "identity")) for id in account.identities]
        rows += [feeds.get(Feed.place(id)) for id in account.feeds]
        listed = all(row and row.user_id == account.id for row in rows)
        known = not account.is_guest or (f"account:{account.id}", account.id) in works
        whole = ledger and bool(ledger.closed) == bool(account.closed_at) and ledger.is_guest == account.is_guest
        if not whole or (not account.closed_at and not (listed and known)):
            yield account


def at_once(user_id: UserId) -> tuple[Account | None, Ledger | None, Work | None]:
    account, ledger, work = find_at_once(
        (Account, user_id, "account"), (Ledger, user_id, 0), (Work, f"account:{user_id}", user_id)
    )
    return account, ledger, work


def half(user_id: UserId) -> Iterator[Difference]:
    """An account or a ledger without the other, or one of both closed."""
    try:
        account, ledger, _ = at_once(user_id)
    except Conflict:  # somebody is at it
        return
    if account and not account.closed_at and ledger is None:
        if Change.newest(user_id):  # its rows have no account then, and what the ledger said of them is lost
            return
        remedy = Remedy("a new ledger, as for an account that signs up", partial(rebuild_ledger, account))
        yield difference("half_account", user_id, "an account without its ledger", remedy)
    elif account is None and ledger and not ledger.closed:
        remedy = Remedy("an account without a name", partial(rebuild_account, ledger))
        yield difference("half_account", user_id, "a ledger without its account", remedy)
    elif account and (ledger is None or bool(ledger.closed) != bool(account.closed_at)):
        nothing = Remedy("none: carry_over closes it, or `manage account ID --close` if its owner did", None)
        yield difference("half_account", user_id, "one of account and ledger is closed", nothing)


def difference(kind: str, user_id: UserId, detail: str, remedy: Remedy, key: str = "") -> Difference:
    return Difference(kind, user_id, "", key, detail, mend=lambda: remedy)


def audit(user_id: UserId) -> Iterator[Difference]:
    """An open account, and what it lists."""
    yield from half(user_id)
    try:
        account, ledger, work = at_once(user_id)
        if account is None or account.closed_at or ledger is None or ledger.closed:
            return
        keys: list[Any] = [(Identity, id, "identity") for id in account.identities]
        keys += [(Feed, *Feed.place(id)) for id in account.feeds]
        again, *rows = find_at_once((Account, user_id, "account"), *keys)
    except Conflict:
        return
    if again is None or again.revision != account.revision:
        return
    mine = [row if row and row.user_id == user_id else None for row in rows]
    if not all(mine):
        yield missing(again, rows[: len(account.identities)], mine)
    elif ledger.is_guest != account.is_guest:
        remedy = Remedy("the ledger says what the account says", partial(set_guest, account))
        yield difference("wrong_guest", user_id, f"a guest: {account.is_guest}, for the ledger not so", remedy)
    if account.is_guest and work is None:
        remedy = Remedy("the sweep looks after it", partial(reschedule, account, days_from_now(GUEST_DAYS)))
        yield difference("missing_work", user_id, "a guest of whom the sweep does not know", remedy)


def missing(account: Account, found: list[Identity | None], mine: list[Any]) -> Difference:
    """For what the account lists and is not there. A login that nobody has is put back where it is the only way in:
    nobody can have unlinked that one. Others can be linked again.
    """
    identities = [row.id for row in mine if isinstance(row, Identity)]
    feeds = [row.public_id for row in mine if isinstance(row, Feed)]
    put = []
    if not identities:
        lost = [id for id, row in zip(account.identities, found, strict=True) if row is None]
        put = [Identity(id, user_id=account.id) for id in lost]
    act = partial(agree, account, identities=identities or [row.id for row in put], feeds=feeds, put=put)
    remedy = Remedy("put back" if put else "taken out of its list", act)
    return difference("missing_login" if found else "missing_feed", account.id, "listed, and not there", remedy)


def unlisted(seen: Identity | Feed) -> Iterator[Difference]:
    """A login or feed that its account does not list: it opens nothing. A login is taken for the account's own where
    that has no other.
    """
    try:
        row, account, ledger = find_at_once(
            (type(seen), seen.id, seen.auth_key), (Account, seen.user_id, "account"), (Ledger, seen.user_id, 0)
        )
        if row is None or row.user_id != seen.user_id or names(account, row):
            return
        keys = [(Identity, id, "identity") for id in account.identities] if account else []
        others = [each for each in find_at_once(*keys) if each and each.user_id == row.user_id] if keys else []
    except Conflict:
        return
    is_open = ledger is not None and not ledger.closed
    remedy = Remedy("taken away", partial(drop, row))
    if isinstance(row, Identity) and account is None and ledger and is_open:
        remedy = Remedy("its account is put back", partial(rebuild_account, ledger, [row.id]))
    elif account and not account.closed_at:
        if isinstance(row, Identity) and not others:
            wanted = partial(agree, account, identities=[row.id], feeds=list(account.feeds))
            remedy = Remedy("the account's own, since it has no other", wanted)
        else:
            logins, feeds = list(account.identities), list(account.feeds)
            remedy = Remedy("taken away", partial(agree, account, identities=logins, feeds=feeds, take=[row]))
    kind = "unlisted_login" if isinstance(row, Identity) else "unlisted_feed"
    yield difference(kind, row.user_id, "its account does not list it", remedy)


def drop(row: Identity | Feed) -> None:
    """Take away what belongs to no open account."""
    row.delete(condition=type(row).user_id == row.user_id)


def replacing(scope: Scope) -> Iterator[Session]:
    """Sessions that take a guest's place, or that another has taken."""
    either = Session.replaces.exists() | Session.replaced.exists()
    if scope.account:
        yield from (row for row in Session.all_of(scope.account) if row.replaces or row.replaced)
    else:
        yield from Session.scan(either, consistent_read=True, **scan_of(scope))


def exchanged(seen: Session) -> Iterator[Difference]:
    """The two keys of a guest who has linked a login: the old one ends in an hour. Where no login is linked after all,
    and no other key is left, it does not.
    """
    account = Account.of(seen.id)
    if account is None or account.closed_at:
        return
    rows = {row.auth_key: row for row in Session.all_of(seen.id) if row.expires_at > time.time()}
    old = rows.get(seen.replaces or "")
    if old and not old.replaced and not account.is_guest:
        end = min(old.expires_at, int(time.time()) + REPLACED)
        actions = [Session.expires_at.set(end), Session.replaced.set(True)]
        remedy = Remedy("ends in an hour", partial(old.note, *actions))
        yield difference("wrong_session", seen.id, "a guest's key that was replaced, and does not end", remedy)
    if seen.replaced and account.is_guest and rows.keys() == {seen.auth_key}:
        actions = [Session.expires_at.set(int(time.time()) + SLIDING), Session.replaced.remove()]
        remedy = Remedy("lives on", partial(seen.note, *actions))
        yield difference("wrong_session", seen.id, "a guest's only key, replaced by none", remedy)
