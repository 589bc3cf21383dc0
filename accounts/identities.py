"""The logins of an account: list, link, unlink."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

from accounts import throttles, transactions
from accounts.login import NewSession, answer, identity_of, new_session, prove, refuse_used
from accounts.models import Account, Identity, Replay, Session
from accounts.providers import table as providers
from accounts.services import (
    account_of,
    end_sessions,
    finish_revoking,
    identities_of,
    require_living,
    require_recent_login,
)
from aws.dynamo import Conflict
from aws.retry import retry_on_conflict
from lib.problems import Problem, not_found
from recordings.keys import UserId
from recordings.library import leave_to_sweep

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from accounts.providers.prove import Proof

MOST = 10  # identities an account
REVOKING_SECONDS = 5.0


class Described(TypedDict):
    id: str
    provider: str
    email: str | None
    created_at: str


class Linked(Described):
    session: NewSession | None


class Guests(TypedDict, total=False):
    """What linking does to a guest's sessions."""

    sessions: list[Session]
    old: Session
    new: Session


def listed(user_id: UserId) -> list[Described]:
    """The account's identities, the one linked first first."""
    rows = sorted(identities_of(account_of(user_id)), key=lambda row: row.created_at)
    return [describe(row) for row in rows]


def describe(row: Identity) -> Described:
    return {"id": row.identity_id, "provider": row.provider, "email": row.email, "created_at": row.created_at}


def link(session: Session, credential: Mapping[str, str]) -> tuple[Linked, bool]:
    """Let one more identity sign in to the account, and whether it is new there. A guest's account becomes a full one.

    The key of a guest is all that there was to the account, and may have been seen: with the login comes a new one, in
    `session` (else None), and the old one ends when that is first used, at the latest in an hour. Other sessions end
    and feeds close at once.

    Raises 409 `identity_in_use` when it signs somebody else in, and then nothing has changed.
    """
    throttles.hit("link", session.id)
    require_recent_login(session)
    proof = prove(credential)
    replay = Replay.of(*proof.used) if proof.used else None
    return link_proven(session, proof, replay)


@retry_on_conflict
def link_proven(session: Session, proof: "Proof", replay: Replay | None) -> tuple[Linked, bool]:
    account, theirs = account_of(session.id), Identity.of(proof.identity_id)
    if theirs and theirs.user_id != account.id:
        raise Problem(409, "identity_in_use", "This login belongs to another account. Nothing was changed.")
    if theirs and theirs.id in account.identities:
        return {**describe(theirs), "session": None}, False
    if len(account.identities) >= MOST:
        raise Problem(409, "too_many_identities", f"An account has at most {MOST} logins.")
    identity = identity_of(proof, account.id)
    guests: Guests = {}
    given: NewSession | None = None
    if account.is_guest:
        _, new, secret = new_session(account.id, session.device_name)
        new.replaces = session.auth_key
        guests = {"sessions": Session.all_of(account.id), "old": session, "new": new}
        told = answer(new, secret, is_new=False)
        given = NewSession(auth_key=told["auth_key"], session_id=told["session_id"], expires_at=told["expires_at"])
    try:
        transactions.link(account, identity, replay, email_verified=proof.email_verified, **guests)
    except Conflict:
        refuse_used(replay)
        require_living(session)
        raise
    return {**describe(identity), "session": given}, True


def unlink(session: Session, identity_id: str) -> None:
    """Take one identity away. Raises 404 where the account has no such one, 409 `last_identity` for its only one."""
    require_recent_login(session)
    identity = take_away(session.id, identity_id)
    if identity.refresh_token:
        leave_to_sweep(finish_revoking, session.id, time.monotonic() + REVOKING_SECONDS)


@retry_on_conflict
def take_away(user_id: UserId, identity_id: str) -> Identity:
    account = account_of(user_id)
    rows = identities_of(account)
    identity = next((row for row in rows if row.identity_id == identity_id), None)
    if identity is None:
        raise not_found()
    if len(rows) == 1:
        raise Problem(409, "last_identity", "Nobody could sign in any more. Link another login first.")
    transactions.unlink(account, identity)
    return identity


@retry_on_conflict
def name_issuer(row: Identity) -> bool:
    """Store an identity under the issuer that its provider's name stands for today. Returns whether that is done."""
    known = replace(providers.discovered(row.provider), provider=row.provider)
    id = f"identity:{known.issuer}:{row.subject}"
    account = Account.of(row.user_id)
    if account is None or account.closed_at or row.id not in account.identities:
        return False
    try:
        transactions.rename(account, row, id)
    except Conflict:
        if Identity.of(id):  # it has signed up anew there, or is linked twice
            return Identity.of(row.id) is None
        raise
    return True


@retry_on_conflict
def unlinked_at_kakao(subject: str) -> None:
    """Kakao says that a person has disconnected this app, or is gone there.

    The identity goes where the account has another. Its only one stays, since nobody could reach the recordings any
    more, and Kakao gives the person who comes back the same id; but every device is signed out.
    """
    identity = Identity.of(f"identity:kakao:{subject}")
    account = Account.of(identity.user_id) if identity else None
    if identity is None or account is None or account.closed_at:
        return
    if not [row for row in identities_of(account) if row.id != identity.id]:
        end_sessions(account.id)
    else:
        transactions.unlink(account, identity)
