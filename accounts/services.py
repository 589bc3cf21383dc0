"""What can be done with an account: look, rename, sign out, close."""

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from django.conf import settings

from accounts import keys
from accounts.models import GUEST_DAYS, Account, Identity, Revocation, Session
from accounts.transactions import (
    close_too,
    end_closing,
    look_again,
    mark_closed,
    rebuild_account,
    rebuild_ledger,
    reschedule,
    sign_out,
)
from aws.dynamo import Conflict, find_at_once
from aws.presign import UPLOAD_SECONDS
from aws.retry import retry_on_conflict
from lib.clock import days_from_now, now, stamp
from lib.problems import Problem, not_found
from recordings.keys import UserId
from recordings.library import Unclear, leave_to_sweep, open_account
from recordings.models import Ledger, Work
from recordings.transactions import finish_work
from recordings.trash import erase

log = logging.getLogger(__name__)

REVOKING_DAYS = 30  # how long a revocation is tried before it is given up
# Seconds after a closing: each URL for uploads has ended, and what was still being sent by one has come.
LAST_LOOK = UPLOAD_SECONDS + 3600
CLOSING_SECONDS = 10.0  # how long a request works on a closing before it leaves the rest to the sweep


class Summary(TypedDict):
    user_id: UserId
    name: str
    email: str | None
    email_verified: bool | None
    is_guest: bool
    created_at: str
    used_bytes: int
    quota_bytes: int


class Me(Summary):
    expires_at: str | None


class Device(TypedDict):
    session_id: str
    device_name: str
    created_at: str
    last_seen_at: str
    expires_at: str
    current: bool


def authenticate(auth_key: str) -> Session | None:
    """The session of a valid auth_key. One GetItem, and once a day an UpdateItem; two calls more for one that takes a
    guest's place.
    """
    parsed = keys.parse(auth_key)
    session = find_session(*parsed) if parsed else None
    if session:
        session.seen()
        take_over(session)
    return session


def take_over(session: Session) -> None:
    """End the guest's session whose place this one takes: its key has arrived."""
    if session.replaces:
        Session(session.id, session.replaces).delete()
        session.took_over()


def find_session(user_id: UserId, session_id: str) -> Session | None:
    """The session, if it still lives."""
    session = Session.find(user_id, session_id)
    return session if session and session.expires_at > time.time() else None


def require_living(session: Session) -> None:
    """Raises 401 where the session that calls has been ended meanwhile."""
    if find_session(session.id, session.auth_key) is None:
        raise Problem(401, "invalid_key", "This session has ended meanwhile. Sign in again.")


def require_recent_login(session: Session) -> None:
    """Raises 403 unless the session began by a login just now: a key that was found or stolen is no proof."""
    session.require_recent_login()


def is_only_way_in(session: Session) -> bool:
    """Whether no login opens the session's account, a guest's: whoever loses its key has lost it. One GetItem."""
    account = Account.of(session.id)
    return account is not None and not account.closed_at and not account.identities


def account_of(user_id: UserId) -> Account:
    account = Account.of(user_id)
    if account is None or account.closed_at:
        raise Problem(401, "account_closed", "This account is closed.")
    return account


def identities_of(account: Account) -> list[Identity]:
    """The logins that are the account's own: after a restore, one that it lists may have signed somebody else up."""
    rows = [Identity.of(id) for id in account.identities]
    return [row for row in rows if row and row.user_id == account.id]


def stamp_seconds(seconds: float) -> str:
    return stamp(datetime.fromtimestamp(seconds, UTC))


def describe(session: Session) -> Me:
    """The account of a session with what it uses: two GetItem."""
    summary = summarize(session.id)
    return {**summary, "expires_at": guest_until(session.last_seen_at) if summary["is_guest"] else None}


def summarize(user_id: UserId) -> Summary:
    account, ledger = Account.of(user_id), open_account(user_id)
    if account is None:
        raise not_found()
    return {
        "user_id": account.id,
        "name": account.name,
        "email": account.email,
        "email_verified": account.email_verified,
        "is_guest": account.is_guest,
        "created_at": account.created_at,
        "used_bytes": ledger.used_bytes,
        "quota_bytes": ledger.quota,
    }


def guest_until(last_seen_at: str) -> str:
    """When a guest's account goes if its session is not seen again."""
    return stamp(datetime.fromisoformat(last_seen_at) + timedelta(days=GUEST_DAYS))


@retry_on_conflict
def rename(session: Session, name: str) -> Me:
    account = Account.of(session.id)
    if account and not account.closed_at:  # describe() says it otherwise
        account.rename(name)
    return describe(session)


def sessions(session: Session) -> list[Device]:
    """The account's devices, the one seen last first."""
    living = [row for row in Session.all_of(session.id) if row.expires_at > time.time()]
    return [
        {
            "session_id": row.auth_key,
            "device_name": row.device_name,
            "created_at": row.created_at,
            "last_seen_at": row.last_seen_at,
            "expires_at": stamp_seconds(row.expires_at),
            "current": row.auth_key == session.auth_key,
        }
        for row in sorted(living, key=lambda row: row.last_seen_at, reverse=True)
    ]


def end_session(user_id: UserId, session_id: str) -> None:
    """Sign one device out. Raises 404 where the account has no such session."""
    session = Session.find(user_id, session_id) if keys.HASH.fullmatch(session_id) else None
    if session is None:
        raise not_found()
    end(session)


@retry_on_conflict
def end(session: Session) -> None:
    """Sign a device out. A guest's account keeps when it was last seen. Does nothing to a session that is gone."""
    account = Account.of(session.id)
    if account is None or account.closed_at or not account.is_guest:
        session.delete()
    else:
        sign_out(account, session)


def end_sessions(user_id: UserId, *, but: str = "") -> None:
    """Sign out every device, or every one `but` this."""
    for session in Session.all_of(user_id):
        if session.auth_key != but:
            session.delete()


def close(user_id: UserId) -> None:
    """Close the account for good: from the answer on, nobody can use it, and what it held is on its way out. Where
    a function of its own may erase, that does within minutes.
    """
    mark_as_closed(user_id)
    end_sessions(user_id)
    until = time.monotonic() + CLOSING_SECONDS
    leave_to_sweep(finish_revoking, user_id, until)
    if not settings.CLOSING_ROLE:
        leave_to_sweep(finish_closing, user_id, until)


@retry_on_conflict
def mark_as_closed(user_id: UserId) -> None:
    account, ledger = Account.of(user_id), Ledger.find(user_id, 0)
    if (account is None or account.closed_at) and (ledger is None or ledger.closed):
        return
    if account and ledger and not account.closed_at:
        mark_closed(account)
    else:
        close_half(account, ledger)


def close_half(account: Account | None, ledger: Ledger | None) -> None:
    """Close what came back without its other half, or half closed. Raises Conflict, also where it is whole then."""
    if account and account.closed_at:
        close_too(account)
        return
    if account is None and ledger:
        rebuild_account(ledger)
    elif account:
        rebuild_ledger(account)
    raise Conflict


def finish_closing(user_id: UserId, until: float) -> str:
    """Remove what a closed account left, and once more when no URL can bring any more of it. A guest who is still seen
    gets more time. Returns what became of it, as the sweep has it; raises Unclear where rows contradict each other.

    The ledger and the sweep's own row stay until the last look, so that late events know that the account is closed.
    """
    try:
        account, ledger, work = find_at_once(
            (Account, user_id, "account"), (Ledger, user_id, 0), (Work, f"account:{user_id}", user_id)
        )
    except Conflict:
        return "going on"
    if work is None:
        return "changed"
    closed = account is None or bool(account.closed_at)
    if ledger is None or bool(ledger.closed) != closed:
        raise Unclear(f"its account is {state(account)}, its ledger {state(ledger)}")
    if account and not closed:
        return finish_closing(user_id, until) if expire_guest(account) else "waiting"
    end_sessions(user_id)
    return conclude(user_id, work) if erase(user_id, until=until) else "going on"


def state(row: Account | Ledger | None) -> str:
    if row is None:
        return "missing"
    return "closed" if (row.closed_at if isinstance(row, Account) else row.closed) else "open"


def conclude(user_id: UserId, work: Work) -> str:
    """Everything is gone. Come back after the last URL, or be done if this was then."""
    last = stamp(datetime.fromisoformat(work.created_at) + timedelta(seconds=LAST_LOOK))
    try:
        if last > now():
            look_again(user_id, work, due_at=last)
            return "closed"
        end_closing(user_id, work)
    except Conflict:  # somebody else is at it
        return "going on"
    return "forgotten"


def expire_guest(account: Account) -> bool:
    """Close a guest's account 30 days after its last sign of life. Returns whether it is closed now."""
    seen = Session.all_of(account.id)
    moments = [session.last_seen_at for session in seen] + ([account.seen_at] if account.seen_at else [])
    until = guest_until(max(moments, default=account.created_at))
    try:
        if account.is_guest and until <= now():
            mark_closed(account, unseen=seen)
            return True
        reschedule(account, until if account.is_guest else None)
    except Conflict:  # closed, seen or linked meanwhile
        pass
    return False


def finish_revoking(user_id: UserId, until: float) -> str:
    """Revoke what a provider gave us for identities that are gone. Returns what became of it, as the sweep has it.

    The sweep tries again; after REVOKING_DAYS it is given up, so that no token is kept for ever.
    """
    work, left = Work.find(f"revoke:{user_id}", user_id), False
    for row in Revocation.all_of(user_id):
        if time.monotonic() > until:
            return "going on"
        token = keys.unsealed(row.refresh_token)
        if token is None or row.created_at < days_from_now(-REVOKING_DAYS):
            log.error("A login of %s could not be revoked at its provider; it is given up", user_id)
        else:
            from accounts.providers.code_flow import revoke  # PyJWT and cryptography, for the few who need them

            try:
                revoke(token, row.client_id)
            except Problem:
                left = True
                continue
        row.delete()
    if work and not left:
        try:
            finish_work(work)
        except Conflict:  # one more came meanwhile
            return "waiting"
    return "retrying" if left else "revoked"


def set_quota(user_id: UserId, quota_bytes: int) -> None:
    """An operator's own quota for one account."""
    open_account(user_id).set_quota(quota_bytes)
