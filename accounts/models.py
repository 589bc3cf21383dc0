"""The table `users`: accounts, their sessions and their identities, told apart by the range key."""

import datetime
import time
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from pynamodb.attributes import BooleanAttribute, ListAttribute, UnicodeAttribute
from pynamodb.exceptions import UpdateError

from recordings.models import (
    IntegerAttribute,
    Table,
    Work,
    close_ledger,
    commit,
    days_from_now,
    now,
    open_ledger,
    transaction,
)

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
    created_at = UnicodeAttribute()
    closed_at = UnicodeAttribute(null=True)

    @classmethod
    def of(cls, user_id: str) -> "Account | None":
        return cls.find(user_id, "account")

    def rename(self, name: str) -> None:
        self.update([Account.name.set(name)], condition=Account.closed_at.does_not_exist() & Account.id.exists())


class Identity(Table):
    """One account at one login provider; `id` is `"identity:<provider>:<subject>"`."""

    class Meta:
        table_name = settings.USERS_TABLE

    id = UnicodeAttribute(hash_key=True)
    auth_key = UnicodeAttribute(range_key=True, default="identity")
    user_id = UnicodeAttribute()


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


def sign_up(account: Account, session: Session) -> None:
    """Put a new account, its first session and its ledger in, together; a guest's last day too."""
    write = transaction()
    write.save(account, Account.id.does_not_exist())
    write.save(session)
    open_ledger(write, account.id, is_guest=account.is_guest)
    if account.is_guest:
        write.save(Work.of("account", account.id, due_at=days_from_now(GUEST_DAYS)))
    commit(write)


def mark_closed(account: Account, unseen: Iterable[Session] = ()) -> None:
    """Close account and ledger, take the identities away and put the rest on the sweep's list, together.

    Raises Conflict where it is closed already, or where one of the sessions `unseen` has been seen meanwhile.
    """
    write = transaction()
    write.update(
        account,
        [Account.closed_at.set(now())],
        condition=Account.closed_at.does_not_exist() & Account.id.exists(),
    )
    for id in account.identities:
        write.delete(Identity(id))
    for session in unseen:
        same: Any = Session.last_seen_at == session.last_seen_at
        write.condition_check(Session, session.id, session.auth_key, condition=same)
    close_ledger(write, account.id)
    write.save(Work.of("account", account.id, due_at=now()))
    commit(write)
