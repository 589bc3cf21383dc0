"""What can be done with an account: log in, look, rename, sign out, close."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from accounts import keys
from accounts.models import GUEST_DAYS, Account, Session, mark_closed, sign_up
from recorder_project.problems import not_found
from recordings.models import Conflict, Work, now, stamp
from recordings.services import erase, leave_to_sweep, open_account, pauses

CLOSING_SECONDS = 10.0  # how long a request works on a closing before it leaves the rest to the sweep


def log_in(*, device_name: str) -> dict[str, Any]:
    """Sign up a guest: a fresh, empty account, never somebody else's. The only answer that holds the auth_key."""
    user_id, secret = keys.new_user_id(), keys.new_secret()
    account = Account(user_id, is_guest=True, created_at=now())
    session = Session.new(user_id, keys.hashed(secret), device_name=device_name)
    sign_up(account, session)
    return {
        "user_id": user_id,
        "auth_key": f"{user_id}.{secret}",
        "session_id": session.auth_key,
        "expires_at": stamp_seconds(session.expires_at),
        "is_new": True,
    }


def authenticate(auth_key: str) -> Session | None:
    """The session of a valid auth_key. One GetItem, and once a day an UpdateItem."""
    parsed = keys.parse(auth_key)
    session = Session.find(*parsed) if parsed else None
    if session is None or session.expires_at <= time.time():
        return None
    session.seen()
    return session


def stamp_seconds(seconds: float) -> str:
    return stamp(datetime.fromtimestamp(seconds, UTC))


def describe(session: Session) -> dict[str, Any]:
    """The account of a session with what it uses: two GetItem."""
    summary = summarize(session.id)
    return summary | {"expires_at": guest_until(session.last_seen_at) if summary["is_guest"] else None}


def summarize(user_id: str) -> dict[str, Any]:
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


def rename(session: Session, name: str) -> dict[str, Any]:
    if account := Account.of(session.id):
        account.rename(name)
    return describe(session)


def sessions(session: Session) -> list[dict[str, Any]]:
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


def end_session(user_id: str, session_id: str) -> None:
    """Sign one device out. Raises 404 where the account has no such session."""
    session = Session.find(user_id, session_id) if keys.HASH.fullmatch(session_id) else None
    if session is None:
        raise not_found()
    session.delete()


def end_sessions(user_id: str, *, but: str = "") -> None:
    """Sign out every device, or every one `but` this."""
    for session in Session.all_of(user_id):
        if session.auth_key != but:
            session.delete()


def close(user_id: str) -> None:
    """Close the account for good: from the answer on, nobody can use it, and what it held is on its way out."""
    for _ in pauses():
        account = Account.of(user_id)
        if account is None or account.closed_at:
            break
        try:
            mark_closed(account)
            break
        except Conflict:
            continue
    end_sessions(user_id)
    leave_to_sweep(finish_closing, user_id, time.monotonic() + CLOSING_SECONDS)


def finish_closing(user_id: str, until: float) -> bool:
    """Remove what a closed account left, the sweep's own row last. A guest who is still seen gets more time."""
    account = Account.of(user_id)
    if account and not account.closed_at and not expire_guest(account):
        return False
    end_sessions(user_id)
    if not erase(user_id, until=until):
        return False
    if account:
        account.delete()
    Work.of("account", user_id, due_at="").delete()
    return True


def expire_guest(account: Account) -> bool:
    """Close a guest's account 30 days after its last sign of life. Returns whether it is closed now."""
    if not account.is_guest:
        Work.of("account", account.id, due_at="").delete()
        return False
    seen = Session.all_of(account.id)
    until = max((guest_until(session.last_seen_at) for session in seen), default="")
    if until > now():
        Work.of("account", account.id, due_at=until).save()
        return False
    try:
        mark_closed(account, unseen=seen)
    except Conflict:
        return False
    return True


def set_quota(user_id: str, quota_bytes: int) -> None:
    """An operator's own quota for one account."""
    open_account(user_id).set_quota(quota_bytes)
