"""Signing up and logging in."""

import hashlib
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

from accounts import keys, throttles
from accounts.models import Account, Identity, Replay, Session
from accounts.providers import table as providers
from accounts.services import stamp_seconds
from accounts.transactions import enter, sign_up
from aws.dynamo import Conflict
from aws.retry import retry_on_conflict
from lib.clock import now
from lib.problems import Problem
from lib.secrets import hashed, new_token
from recordings.keys import UserId

if TYPE_CHECKING:
    from accounts.providers.prove import Proof

log = logging.getLogger(__name__)

SESSIONS = 20  # an account's, at most


class NewSession(TypedDict):
    auth_key: str
    session_id: str
    expires_at: str


class LoggedIn(NewSession):
    user_id: UserId
    is_new: bool


def log_in(credential: Mapping[str, str], *, address: str) -> LoggedIn:
    """The answer to a valid login: a new session of the account that the credential proves, or a new account's."""
    device_name = credential.get("device_name", "")
    if credential["provider"] == "guest":
        throttles.hit_guest(address)
        return log_in_guest(device_name=device_name)
    throttles.hit("login", address)
    return enter_with(prove(credential), device_name=device_name)


@retry_on_conflict  # DynamoDB may have too much to do
def log_in_guest(*, device_name: str) -> LoggedIn:
    """Sign up a guest: a fresh, empty account, never somebody else's."""
    user_id, session, secret = new_session(keys.new_user_id(), device_name)
    sign_up(Account(user_id, is_guest=True, created_at=now()), session)
    return answer(session, secret, is_new=True)


def prove(credential: Mapping[str, str]) -> "Proof":
    """What the named provider says of the credential. Counts the login for the identity."""
    from accounts.providers import prove as credentials  # PyJWT, cryptography: only logins pay for them

    proof = credentials.prove(providers.offered()[credential["provider"]], credential)
    refuse_unnamed(proof)
    throttles.hit("identity", hashlib.sha256(proof.identity_id.encode()).hexdigest()[:32])
    return proof


def refuse_unnamed(proof: "Proof") -> None:
    """Raises 503 where this login is still stored under its provider's name. Which issuer that stood for, `manage
    name_issuers` says: an operator's word, and not that of whoever comes first.
    """
    if proof.unnamed_id != proof.identity_id and Identity.of(proof.unnamed_id):
        log.error("Logins of %s wait for `manage name_issuers`", proof.provider)
        raise Problem(503, "upgrade_pending", "Logins of this provider are being moved.", retry_after=60)


@retry_on_conflict
def enter_with(proof: "Proof", *, device_name: str) -> LoggedIn:
    """Log the proven identity in, or sign it up; whoever loses a race of first logins logs in."""
    replay = Replay.of(*proof.used) if proof.used else None
    identity = Identity.of(proof.identity_id)
    account = Account.of(identity.user_id) if identity else None
    if identity and (account is None or identity.id not in account.identities):
        raise Conflict  # it is being unlinked, or its account closed
    user_id, session, secret = new_session(account.id if account else keys.new_user_id(), device_name)
    fresh = identity_of(proof, user_id)
    try:
        if account:
            enter(account, session, fresh, replay, leaving(user_id))
        else:
            sign_up(account_of(proof, user_id), session, fresh, replay)
    except Conflict:
        refuse_used(replay)
        raise
    return answer(session, secret, is_new=account is None)


def refuse_used(replay: Replay | None) -> None:
    if replay and replay.known:
        raise Problem(401, "invalid_credential", "This login is not accepted: it has been used already.")


def new_session(user_id: UserId, device_name: str) -> tuple[UserId, Session, str]:
    secret = new_token()
    return user_id, Session.new(user_id, hashed(secret), device_name=device_name), secret


def account_of(proof: "Proof", user_id: UserId) -> Account:
    return Account(
        user_id,
        is_guest=False,
        name=proof.name,
        email=proof.email,
        email_verified=proof.email_verified,
        identities=[proof.identity_id],
        created_at=now(),
    )


def identity_of(proof: "Proof", user_id: UserId) -> Identity:
    token = keys.sealed(proof.refresh_token) if proof.refresh_token else None
    client_id = proof.client_id if token else None
    row = Identity(proof.identity_id, user_id=user_id, email=proof.email, refresh_token=token, client_id=client_id)
    row.named = proof.provider if proof.issuer not in ("", proof.provider) else None
    return row


def leaving(user_id: UserId) -> list[Session]:
    """The sessions that make room for one more: the oldest."""
    living = [row for row in Session.all_of(user_id) if row.expires_at > time.time()]
    living.sort(key=lambda row: row.created_at, reverse=True)
    return living[SESSIONS - 1 :]


def answer(session: Session, secret: str, *, is_new: bool) -> LoggedIn:
    """The only answer that ever holds the auth_key."""
    return {
        "user_id": session.id,
        "auth_key": f"{session.id}.{secret}",
        "session_id": session.auth_key,
        "expires_at": stamp_seconds(session.expires_at),
        "is_new": is_new,
    }
