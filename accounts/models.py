"""The table `users`: accounts, their sessions and their identities, told apart by the range key.

What must hold under concurrency is a condition here; every transaction raises Conflict where one does not hold.
"""

import datetime
import secrets
import time
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from pynamodb.attributes import BooleanAttribute, ListAttribute, UnicodeAttribute
from pynamodb.exceptions import UpdateError
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from recordings.dynamo import IntegerAttribute, Table, commit, days_from_now, now, transaction
from recordings.models import Work
from recordings.writes import close_ledger, open_ledger, settle_ledger

DAY = 86400
SLIDING, ABSOLUTE = 60 * DAY, 365 * DAY  # how long a session lives unused, and at most, in seconds
GUEST_DAYS = 30


class Account(Table):
    """A person, or a guest. `id` is the user id everywhere."""

    class Meta:
        table_name = settings.USERS_TABLE

    id = UnicodeAttribute(hash_key=True)
    auth_key = UnicodeAttribute(range_key=True, default="account")
    name = UnicodeAttribute(default="")
    email = UnicodeAttribute(null=True)
    email_verified = BooleanAttribute(null=True)
    is_guest = BooleanAttribute()
    identities: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, default=list)  # ids of identity rows
    revision = IntegerAttribute(default=0)  # counts logins, links and unlinks, which take turns by it
    created_at = UnicodeAttribute()
    closed_at = UnicodeAttribute(null=True)

    @classmethod
    def of(cls, user_id: str) -> "Account | None":
        return cls.find(user_id, "account")

    def rename(self, name: str) -> None:
        """Raises Conflict where the account has been closed."""
        still_open: Any = Account.id.exists() & Account.closed_at.does_not_exist()
        write = transaction()
        write.update(self, [Account.name.set(name)], condition=still_open)
        commit(write)

    def turn(self, write: TransactWrite, *actions: Action) -> None:
        """This row's part of a transaction that holds only if the account is as it was read, and open."""
        as_read: Any = Account.revision == self.revision
        next_revision = Account.revision.set(self.revision + 1)
        write.update(self, [next_revision, *actions], condition=as_read & Account.closed_at.does_not_exist())


class Identity(Table):
    """One account at one login provider; `id` is `"identity:<provider>:<subject>"`, the API shows `identity_id`."""

    class Meta:
        table_name = settings.USERS_TABLE

    id = UnicodeAttribute(hash_key=True)
    auth_key = UnicodeAttribute(range_key=True, default="identity")
    user_id = UnicodeAttribute()
    identity_id = UnicodeAttribute(default=lambda: secrets.token_hex(16))
    email = UnicodeAttribute(null=True)
    created_at = UnicodeAttribute(default=now)
    client_id = UnicodeAttribute(null=True)  # with refresh_token: whose it is
    refresh_token = UnicodeAttribute(null=True)  # sealed; Apple's alone

    @classmethod
    def of(cls, id: str) -> "Identity | None":
        return cls.find(id, "identity")

    @property
    def provider(self) -> str:
        return str(self.id).split(":", 2)[1]

    @property
    def subject(self) -> str:
        return str(self.id).split(":", 2)[2]


class Replay(Table):
    """An id_token that has been used; `id` is `"replay:<its hash>"`."""

    class Meta:
        table_name = settings.USERS_TABLE

    id = UnicodeAttribute(hash_key=True)
    auth_key = UnicodeAttribute(range_key=True, default="replay")
    expires_at = IntegerAttribute()

    @classmethod
    def of(cls, fingerprint: str, expires_at: int) -> "Replay":
        return cls(f"replay:{fingerprint}", expires_at=expires_at)

    @property
    def known(self) -> bool:
        return Replay.find(self.id, self.auth_key) is not None


class Throttle(Table):
    """How often somebody did something within one window of time."""

    class Meta:
        table_name = settings.USERS_TABLE

    id = UnicodeAttribute(hash_key=True)
    auth_key = UnicodeAttribute(range_key=True, default="throttle")
    hits = IntegerAttribute()
    expires_at = IntegerAttribute()

    @classmethod
    def hit(cls, scope: str, who: str, window: int, *, expires_at: int) -> int:
        """Count one more. Returns how many there are now. One UpdateItem."""
        row = cls(f"throttle:{scope}:{who}:{window}", "throttle")
        row.update([Throttle.hits.add(1), Throttle.expires_at.set(expires_at)])
        return row.hits


class Revocation(Table):
    """A provider's token that has to be revoked, after its identity has gone. Stays until that is done."""

    class Meta:
        table_name = settings.USERS_TABLE

    id = UnicodeAttribute(hash_key=True)  # the user id
    auth_key = UnicodeAttribute(range_key=True)
    refresh_token = UnicodeAttribute()  # sealed
    client_id = UnicodeAttribute()
    created_at = UnicodeAttribute(default=now)

    @classmethod
    def all_of(cls, user_id: str) -> list["Revocation"]:
        return list(cls.query(user_id, cls.auth_key.startswith("revoke:"), consistent_read=True))


class Session(Table):
    """A signed-in device. `auth_key` is the hex SHA-256 of its secret; `id` is the user id."""

    class Meta:
        table_name = settings.USERS_TABLE

    id = UnicodeAttribute(hash_key=True)
    auth_key = UnicodeAttribute(range_key=True)
    device_name = UnicodeAttribute(default="")
    created_at = UnicodeAttribute()
    last_seen_at = UnicodeAttribute()
    authenticated_at = UnicodeAttribute()
    expires_at = IntegerAttribute()  # seconds since 1970; checked in code, since DynamoDB's TTL deletes late

    is_authenticated = True  # what DRF asks of request.user

    @classmethod
    def new(cls, user_id: str, hashed_secret: str, *, device_name: str) -> "Session":
        moment = now()
        return cls(
            user_id,
            hashed_secret,
            device_name=device_name,
            created_at=moment,
            last_seen_at=moment,
            authenticated_at=moment,
            expires_at=int(time.time()) + SLIDING,
        )

    @classmethod
    def all_of(cls, user_id: str) -> list["Session"]:
        """Every session of an account, the expired ones too."""
        return list(cls.query(user_id, filter_condition=cls.expires_at.exists(), consistent_read=True))

    def seen(self) -> None:
        """Note that the session is in use, at most once a day; unless it has been ended meanwhile."""
        moment = now()
        if moment[:10] == self.last_seen_at[:10]:
            return
        latest = int(datetime.datetime.fromisoformat(self.created_at).timestamp()) + ABSOLUTE
        expires_at = min(int(time.time()) + SLIDING, latest)
        try:
            self.update(
                [Session.last_seen_at.set(moment), Session.expires_at.set(expires_at)], condition=Session.id.exists()
            )
        except UpdateError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise


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


def link(account: Account, identity: Identity, replay: Replay | None, *, email_verified: bool | None) -> None:
    """Give the account one more identity. A guest stops being one. Raises Conflict."""
    write = transaction()
    actions: list[Action] = [Account.identities.set([*account.identities, identity.id]), Account.is_guest.set(False)]
    if identity.email and not account.email:
        actions += [Account.email.set(identity.email), Account.email_verified.set(bool(email_verified))]
    account.turn(write, *actions)
    write.save(identity, Identity.id.does_not_exist())
    _use_up(write, replay)
    if account.is_guest:
        settle_ledger(write, account.id)
        write.delete(Work.of("account", account.id, due_at=""))
    commit(write)


def unlink(account: Account, identity: Identity) -> None:
    """Take an identity away; what its provider gave us for it is to be revoked. Raises Conflict."""
    write = transaction()
    account.turn(write, Account.identities.set([id for id in account.identities if id != identity.id]))
    write.delete(identity)
    _owe_revocations(write, account.id, [identity])
    commit(write)


def _owe_revocations(write: TransactWrite, user_id: str, identities: Iterable[Identity]) -> None:
    tokens = [(identity.refresh_token, identity.client_id) for identity in identities if identity.refresh_token]
    for token, client_id in tokens:
        key = f"revoke:{secrets.token_hex(8)}"
        write.save(Revocation(user_id, key, refresh_token=token, client_id=client_id or ""))
    if tokens:
        write.save(Work.of("revoke", user_id, due_at=now()))


def mark_closed(account: Account, unseen: Iterable[Session] = ()) -> None:
    """Close account and ledger, take the identities away and put the rest on the sweep's list, together.

    Raises Conflict where it is closed already or has changed, or where one of the sessions `unseen` has been seen
    meanwhile.
    """
    write = transaction()
    identities = [identity for id in account.identities if (identity := Identity.of(id))]
    account.turn(write, Account.closed_at.set(now()))
    for identity in identities:
        write.delete(identity)
    for session in unseen:
        same: Any = Session.last_seen_at == session.last_seen_at
        write.condition_check(Session, session.id, session.auth_key, condition=same)
    _owe_revocations(write, account.id, identities)
    close_ledger(write, account.id)
    write.save(Work.of("account", account.id, due_at=now()))
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
