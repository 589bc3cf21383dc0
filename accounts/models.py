"""The table `users`: accounts, their sessions, identities and feeds, told apart by the range key.

What must hold under concurrency is a condition here and in writes.py, which has what changes several rows.
"""

import datetime
import secrets
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from pynamodb.attributes import BooleanAttribute, ListAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from aws.dynamo import IntegerAttribute, Table, TokenRow, commit, id_attribute, transaction
from lib.clock import now
from lib.problems import Problem
from recordings.keys import UserId

DAY = 86400
SLIDING, ABSOLUTE = 60 * DAY, 365 * DAY  # how long a session lives unused, and at most unless a guest's, in seconds
GUEST_DAYS = 30
RECENTLY = 600  # seconds; how old a login may be that counts as proof of who holds the device
REPLACED = 3600  # seconds; how long a guest's key lives on beside the one that linking gave, at most


class Account(Table):
    """A person, or a guest. `id` is the user id everywhere."""

    class Meta:
        table_name = settings.USERS_TABLE

    id = id_attribute(UserId, hash_key=True)
    auth_key = UnicodeAttribute(range_key=True, default="account")
    name = UnicodeAttribute(default="")
    email = UnicodeAttribute(null=True)
    email_verified = BooleanAttribute(null=True)
    is_guest = BooleanAttribute()
    identities: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, default=list)  # ids of identity rows
    feeds: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, default=list)  # hashes of their tokens
    revision = IntegerAttribute(default=0)  # counts logins, links, feeds and so on, which take turns by it
    created_at = UnicodeAttribute()
    seen_at = UnicodeAttribute(null=True)  # when a guest signed out; until then its sessions tell
    closed_at = UnicodeAttribute(null=True)

    @classmethod
    def of(cls, user_id: UserId) -> "Account | None":
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
    """One account at one login provider; `id` is `"identity:<issuer>:<subject>"`, the API shows `identity_id`.

    The issuer is a name of providers.TABLE, or an address with its reserved characters escaped.
    """

    class Meta:
        table_name = settings.USERS_TABLE

    id = UnicodeAttribute(hash_key=True)
    auth_key = UnicodeAttribute(range_key=True, default="identity")
    user_id = id_attribute(UserId)
    named = UnicodeAttribute(null=True)  # the provider, where its issuer is not named in the id
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
        return self.named or str(self.id).split(":", 2)[1]

    @property
    def subject(self) -> str:
        return str(self.id).split(":", 2)[2]


class Feed(TokenRow):
    """A podcast feed that whoever has its token may read."""

    KIND = "feed"

    class Meta:
        table_name = settings.USERS_TABLE

    user_id = id_attribute(UserId)
    tag = UnicodeAttribute(null=True)  # absent: all recordings
    title = UnicodeAttribute()
    guid = UnicodeAttribute()  # podcast:guid, which stays even if the server moves
    made_by = UnicodeAttribute(null=True)  # the session
    created_at = UnicodeAttribute(default=now)


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


class Guesses(Table):
    """How often somebody was wrong about one thing lately, and when they may guess again."""

    class Meta:
        table_name = settings.USERS_TABLE

    id = UnicodeAttribute(hash_key=True)
    auth_key = UnicodeAttribute(range_key=True, default="guesses")
    wrong = IntegerAttribute()
    next_at = IntegerAttribute(null=True)
    expires_at = IntegerAttribute()

    @classmethod
    def take(cls, who: str, *, moment: int, expires_at: int, pause: Callable[[int], int]) -> int:
        """Count a guess as wrong before anybody looks at it, so that many at once are no more than one by one.
        `pause` says how many seconds come after so many. Returns 0, or the seconds until this one may be made: then
        it is not counted. One UpdateItem, a second one once there are pauses.
        """
        row = cls(f"guesses:{who}", "guesses")
        may: Any = cls.next_at.does_not_exist() | (cls.next_at <= moment)
        counted = row.update_if(may, cls.wrong.add(1), cls.expires_at.set(expires_at))
        if counted and (seconds := pause(row.wrong)):
            counted = row.update_if(may, cls.next_at.set(moment + seconds))
        if counted:
            return 0
        row = cls.find(row.id, row.auth_key) or row
        return max(1, (row.next_at or 0) - moment)

    @classmethod
    def forget(cls, who: str) -> None:
        cls(f"guesses:{who}", "guesses").delete()


class Revocation(Table):
    """A provider's token that has to be revoked, after its identity has gone. Stays until that is done."""

    class Meta:
        table_name = settings.USERS_TABLE

    id = id_attribute(UserId, hash_key=True)  # the user id
    auth_key = UnicodeAttribute(range_key=True)
    refresh_token = UnicodeAttribute()  # sealed
    client_id = UnicodeAttribute()
    created_at = UnicodeAttribute(default=now)

    @classmethod
    def all_of(cls, user_id: UserId) -> list["Revocation"]:
        return list(cls.query(user_id, cls.auth_key.startswith("revoke:"), consistent_read=True))


class Session(Table):
    """A signed-in device. `auth_key` is the hex SHA-256 of its secret; `id` is the user id."""

    class Meta:
        table_name = settings.USERS_TABLE

    id = id_attribute(UserId, hash_key=True)
    auth_key = UnicodeAttribute(range_key=True)
    device_name = UnicodeAttribute(default="")
    created_at = UnicodeAttribute()
    last_seen_at = UnicodeAttribute()
    authenticated_at = UnicodeAttribute()
    expires_at = IntegerAttribute()  # seconds since 1970; checked in code, since DynamoDB's TTL deletes late

    replaces = UnicodeAttribute(null=True)  # the guest's session that ends when this one is first used
    replaced = BooleanAttribute(null=True)  # by another, so that nothing moves its end on

    is_authenticated = True  # what DRF asks of request.user

    @classmethod
    def new(cls, user_id: UserId, hashed_secret: str, *, device_name: str) -> "Session":
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
    def all_of(cls, user_id: UserId) -> list["Session"]:
        """Every session of an account, the expired ones too."""
        return list(cls.query(user_id, filter_condition=cls.expires_at.exists(), consistent_read=True))

    def require_recent_login(self) -> None:
        """Raises 403 unless it began by a login just now. Where the account has no identity, the key is all that
        anybody has. A guest's key that has been replaced proves nothing, however new it is. At most one GetItem.
        """
        age = time.time() - datetime.datetime.fromisoformat(self.authenticated_at).timestamp()
        account = Account.of(self.id) if age > RECENTLY or self.replaced else None
        if account and account.identities:
            raise Problem(
                403, "reauthentication_required", "Log in again, and do this with the new key within 10 minutes."
            )

    def seen(self) -> None:
        """Note that the session is in use, at most once a day; unless it has been ended meanwhile.

        Where no login opens the account, the session is all there is of it, and nothing but disuse ends it.
        """
        moment = now()
        if moment[:10] == self.last_seen_at[:10] or self.replaced:
            return
        latest = int(datetime.datetime.fromisoformat(self.created_at).timestamp()) + ABSOLUTE
        expires_at = int(time.time()) + SLIDING
        if expires_at > latest and ((account := Account.of(self.id)) is None or account.identities):
            expires_at = latest
        self.note(Session.last_seen_at.set(moment), Session.expires_at.set(expires_at))

    def took_over(self) -> None:
        self.note(Session.replaces.remove())

    def note(self, *actions: Action) -> None:
        """Write, unless the session has been ended meanwhile."""
        self.update_if(Session.id.exists(), *actions)
