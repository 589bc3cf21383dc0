"""Grants: an address under which one session may upload for some hours, for pages that can send no key of their own.

A grant is signed and not stored. It names the session that asked for it and ends with it, so signing out, ending all
sessions and closing the account end its grants too. The salt makes it worth nothing anywhere else. No two are alike.
"""

import hashlib
import secrets
import time

from django.core import signing

from accounts.models import Session
from lib.clock import days_from_now

SECONDS = 6 * 3600  # as long as the upload URLs that it gives: Uppy 6 can't change its address during an upload
SALT = "uppy"


def issue(session: Session) -> tuple[str, str]:
    """A grant for the session's account, and when it ends."""
    named = [session.id, session.auth_key, secrets.token_hex(16)]
    return signing.dumps(named, salt=SALT), days_from_now(SECONDS / 86400)


def id_of(grant: str) -> str:
    """What stands for the grant where the grant itself must not be: 32 hex digits, always the same."""
    return hashlib.sha256(grant.encode()).hexdigest()[:32]


def redeem(grant: str) -> Session | None:
    """The session that a grant speaks for, if both are still good. One GetItem."""
    try:
        user_id, session_id, *more = signing.loads(grant, salt=SALT, max_age=SECONDS)
    except (signing.BadSignature, ValueError):
        return None
    if len(more) > 1:  # none in those of earlier versions
        return None
    session = Session.find(user_id, session_id)
    return session if session and session.expires_at > time.time() else None
