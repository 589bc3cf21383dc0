"""What changes several rows of an account at once.

Each is one transaction, and raises Conflict where one of its conditions does not hold: somebody else was faster.
"""

import secrets
import time
from collections.abc import Iterable
from typing import Any

from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from accounts.models import GUEST_DAYS, REPLACED, Account, Feed, Identity, Replay, Revocation, Session
from aws.dynamo import commit, transaction
from lib.clock import days_from_now, now
from recordings.keys import UserId
from recordings.models import Change, Ledger, Work
from recordings.transactions import close_ledger, drop_ledger, open_ledger, settle_ledger


def sign_up(
    account: Account, session: Session, identity: Identity | None = None, replay: Replay | None = None
) -> None:
    """Put a new account, its first session and its ledger in, together; a guest's last day too.

    Raises Conflict where somebody was faster with this identity or this id_token.
    """
    write = transaction()
    write.save(account, Account.id.does_not_exist())
    write.save(session)
    open_ledger(write, account.id, is_guest=account.is_guest)
    if identity:
        write.save(identity, Identity.id.does_not_exist())
    _use_up(write, replay)
    if account.is_guest:
        write.save(Work.of("account", account.id, due_at=days_from_now(GUEST_DAYS)))
    commit(write)


def _use_up(write: TransactWrite, replay: Replay | None) -> None:
    if replay:
        write.save(replay, Replay.id.does_not_exist())


def enter(
    account: Account, session: Session, identity: Identity, replay: Replay | None, leaving: Iterable[Session]
) -> None:
    """Put one more session in, take `leaving` out, and keep what the identity has new. Raises Conflict."""
    write = transaction()
    account.turn(write)
    write.save(session)
    for each in leaving:
        write.delete(each)
    if identity.refresh_token:
        actions: list[Action] = [Identity.refresh_token.set(identity.refresh_token)]
        write.update(identity, [*actions, Identity.client_id.set(identity.client_id)], Identity.id.exists())
    _use_up(write, replay)
    commit(write)


def link(
    account: Account,
    identity: Identity,
    replay: Replay | None,
    *,
    email_verified: bool | None,
    sessions: Iterable[Session] = (),
    old: Session | None = None,
    new: Session | None = None,
) -> None:
    """Give the account one more identity. A guest stops being one: of its `sessions` all end but `old`, which lives on
    for an hour beside `new`, and its feeds close. Raises Conflict.
    """
    write = transaction()
    others = [id for id in account.identities if id != identity.id]
    actions: list[Action] = [Account.identities.set([*others, identity.id]), Account.is_guest.set(False)]
    if identity.email and not account.email:
        actions += [Account.email.set(identity.email), Account.email_verified.set(bool(email_verified))]
    if old and new:
        actions.append(Account.feeds.set([]))
        _replace(write, old, new, sessions)
        for feed_id in account.feeds:
            write.delete(Feed.bare(feed_id))
    account.turn(write, *actions)
    free: Any = Identity.id.does_not_exist() | (Identity.user_id == account.id)  # a row that the account does not list
    write.save(identity, free)
    _use_up(write, replay)
    if account.is_guest:
        settle_ledger(write, account.id)
        write.delete(Work.of("account", account.id, due_at=""))
    commit(write)


def _replace(write: TransactWrite, old: Session, new: Session, sessions: Iterable[Session]) -> None:
    end = min(old.expires_at, int(time.time()) + REPLACED)
    write.update(old, [Session.expires_at.set(end), Session.replaced.set(True)], Session.id.exists())
    write.save(new)
    for session in sessions:
        if session.auth_key != old.auth_key:
            write.delete(session)


def sign_out(account: Account, session: Session) -> None:
    """Take a guest's session out, and keep what it alone told: when the guest was last seen. Raises Conflict."""
    write = transaction()
    account.turn(write, Account.seen_at.set(now()))
    write.delete(session)
    commit(write)


def unlink(account: Account, identity: Identity) -> None:
    """Take an identity away; what its provider gave us for it is to be revoked. Raises Conflict."""
    write = transaction()
    account.turn(write, Account.identities.set([id for id in account.identities if id != identity.id]))
    write.delete(identity)
    _owe_revocations(write, account.id, [identity])
    commit(write)


def rename(account: Account, identity: Identity, id: str) -> None:
    """Give an identity another id, and its provider's name to keep. Raises Conflict."""
    write = transaction()
    account.turn(write, Account.identities.set([id if each == identity.id else each for each in account.identities]))
    values = {name: value for name, value in identity.attribute_values.items() if name != "id"}
    write.save(Identity(id, **values | {"named": identity.provider}), Identity.id.does_not_exist())
    write.delete(identity, Identity.id.exists())
    commit(write)


def _owe_revocations(write: TransactWrite, user_id: UserId, identities: Iterable[Identity]) -> None:
    tokens = [(identity.refresh_token, identity.client_id) for identity in identities if identity.refresh_token]
    for token, client_id in tokens:
        key = f"revoke:{secrets.token_hex(8)}"
        write.save(Revocation(user_id, key, refresh_token=token, client_id=client_id or ""))
    if tokens:
        write.save(Work.of("revoke", user_id, due_at=now()))


def open_feed(account: Account, feed: Feed) -> None:
    """Give the account one more feed. Raises Conflict, also where the session that makes it has been ended."""
    write = transaction()
    write.condition_check(Session, account.id, feed.made_by, condition=Session.id.exists())
    account.turn(write, Account.feeds.set([*account.feeds, feed.public_id]))
    write.save(feed, Feed.id.does_not_exist())
    commit(write)


def close_feed(account: Account, feed_id: str) -> None:
    """Take a feed of the account away. Raises Conflict."""
    write = transaction()
    account.turn(write, Account.feeds.set([id for id in account.feeds if id != feed_id]))
    write.delete(Feed.bare(feed_id))
    commit(write)


def mark_closed(account: Account, unseen: Iterable[Session] = ()) -> None:
    """Close account and ledger, take identities and feeds away and put the rest on the sweep's list, together.

    Raises Conflict where it is closed already or has changed, or where one of the sessions `unseen` has been seen
    meanwhile.
    """
    write = transaction()
    rows = [Identity.of(id) for id in account.identities]
    identities = [row for row in rows if row and row.user_id == account.id]
    account.turn(write, Account.closed_at.set(now()))
    for identity in identities:
        write.delete(identity)
    for feed_id in account.feeds:
        write.delete(Feed.bare(feed_id))
    for session in unseen:
        same: Any = Session.last_seen_at == session.last_seen_at
        write.condition_check(Session, session.id, session.auth_key, condition=same)
    _owe_revocations(write, account.id, identities)
    close_ledger(write, account.id)
    write.save(Work.of("account", account.id, due_at=now()))
    commit(write)


def close_too(account: Account) -> None:
    """Close the ledger of an account that says alone that it is closed. Raises Conflict where it does not say so."""
    write = transaction()
    write.condition_check(Account, account.id, "account", condition=Account.closed_at.exists())
    close_ledger(write, account.id)
    write.save(Work.of("account", account.id, due_at=now()))
    commit(write)


def rebuild_account(ledger: Ledger, identities: Iterable[str] = ()) -> None:
    """Put an account in where only its ledger is there. Raises Conflict."""
    listed = list(identities)
    account = Account(ledger.user_id, is_guest=ledger.is_guest and not listed, identities=listed, created_at=now())
    write = transaction()
    write.condition_check(Ledger, ledger.user_id, 0, condition=Ledger.closed.does_not_exist())
    write.save(account, Account.id.does_not_exist())
    commit(write)


def rebuild_ledger(account: Account) -> None:
    """Put a ledger in where only its account is there, which counts on from its newest change. Raises Conflict."""
    write = transaction()
    still_open: Any = Account.id.exists() & Account.closed_at.does_not_exist()
    write.condition_check(Account, account.id, "account", condition=still_open)
    open_ledger(write, account.id, is_guest=account.is_guest, last_version=Change.newest(account.id))
    commit(write)


def agree(
    account: Account,
    *,
    identities: list[str],
    feeds: list[str],
    put: Iterable[Identity] = (),
    take: Iterable[Identity | Feed] = (),
) -> None:
    """Let an account list just these identities and feeds, and `put` and `take` rows to match. Who has a login is no
    guest, for the ledger neither. Raises Conflict.
    """
    write = transaction()
    is_guest = account.is_guest and not identities
    news = (Account.identities.set(identities), Account.feeds.set(feeds), Account.is_guest.set(is_guest))
    account.turn(write, *news)
    if Ledger.find(account.id, 0):
        settle_ledger(write, account.id, is_guest=is_guest)
    for row in put:
        write.save(row, Identity.id.does_not_exist())
    for gone in take:
        write.delete(gone)
    _owe_revocations(write, account.id, [row for row in take if isinstance(row, Identity)])
    commit(write)


def set_guest(account: Account) -> None:
    """Let the ledger say what the account says of its being a guest's. Raises Conflict."""
    write = transaction()
    as_read: Any = (Account.revision == account.revision) & (Account.is_guest == account.is_guest)
    write.condition_check(Account, account.id, "account", condition=as_read)
    settle_ledger(write, account.id, is_guest=account.is_guest)
    commit(write)


def look_again(user_id: UserId, work: Work, *, due_at: str) -> None:
    """Take a closed account's row out, and let the sweep come back at `due_at`. Raises Conflict."""
    write = transaction()
    write.delete(Account(user_id))
    write.update(work, [Work.due_at.set(due_at)], condition=Work.created_at == work.created_at)
    commit(write)


def end_closing(user_id: UserId, work: Work) -> None:
    """Take the last rows of a closed account out, together: what is half gone, nobody could make sense of. Raises
    Conflict.
    """
    write = transaction()
    write.delete(Account(user_id))
    drop_ledger(write, user_id)
    as_read: Any = Work.created_at == work.created_at
    write.delete(work, as_read)
    commit(write)


def reschedule(account: Account, due_at: str | None) -> None:
    """Move a guest's last day, or strike it out for who is no guest any more.

    Raises Conflict where the account has been closed meanwhile: the sweep must not lose sight of it then.
    """
    write = transaction()
    still_open: Any = Account.id.exists() & Account.closed_at.does_not_exist()
    write.condition_check(Account, account.id, account.auth_key, condition=still_open)
    work = Work.of("account", account.id, due_at=due_at or "")
    if due_at:
        write.save(work)
    else:
        write.delete(work)
    commit(write)
