"""What the sweep finds in the table `recordings`: the shards of `by_due`, and rows for what is no recording."""

import hashlib

from django.conf import settings
from pynamodb.attributes import (
    UnicodeAttribute,
)

from aws.dynamo import IntegerAttribute, Table, id_attribute
from lib.clock import now
from recordings.keys import RecordingId, UserId
from recordings.models.recording import Recording

OLD_SHARDS = [f"{number:x}" for number in range(16)]  # until they are empty
SHARDS = [f"{number:02x}" for number in range(256)] + OLD_SHARDS


def due_shard(id: str) -> str:
    """The shard of `by_due` that a row waits in: two hex digits, spread evenly."""
    return hashlib.sha256(id.encode()).hexdigest()[:2]


def stands_in(shard: str | None, id: str) -> bool:
    """Whether the sweep finds a row in this shard: its own, or the one of 16 that it had in earlier versions."""
    return bool(shard) and due_shard(id).startswith(str(shard))


def is_closing(id: str) -> bool:
    """Whether it is work that erases an account (or looks whether a guest's is to be), which may be a role's own."""
    return id.startswith("account:")


def is_for_all(id: str) -> bool:
    """Whether every sweep does what such a row waits for, and not one role alone."""
    return not (settings.CLOSING_ROLE and is_closing(id))


class Work(Table):
    """Something for the sweep to do for an account, in the table of recordings so that `by_due` finds it.

    `id` is `"<kind>:<user_id>"`, which no recording's id can be.
    """

    class Meta:
        table_name = settings.RECORDINGS_TABLE

    id = UnicodeAttribute(hash_key=True)
    user_id = id_attribute(UserId, range_key=True)
    created_at = UnicodeAttribute()
    up_to = IntegerAttribute(null=True)  # of an order to empty the trash: the account's last version then
    due_shard = UnicodeAttribute()
    due_at = UnicodeAttribute()

    @classmethod
    def of(cls, kind: str, user_id: UserId, *, due_at: str) -> "Work":
        id = f"{kind}:{user_id}"
        return cls(id, user_id, created_at=now(), due_shard=due_shard(id), due_at=due_at)


class Excerpt(Table):
    """What the sweep has to see to for a share of a part: that it is cut, and that its objects go. Stays until then.

    `id` is `"excerpt:<share id>"`, in the table of recordings so that `by_due` finds it.
    """

    class Meta:
        table_name = settings.RECORDINGS_TABLE

    id = UnicodeAttribute(hash_key=True)
    user_id = id_attribute(UserId, range_key=True)
    recording_id = id_attribute(RecordingId)
    due_shard = UnicodeAttribute()
    due_at = UnicodeAttribute()

    @staticmethod
    def id_of(share_id: str) -> str:
        return f"excerpt:{share_id}"

    @classmethod
    def of(cls, share_id: str, row: Recording, *, due_at: str) -> "Excerpt":
        id = cls.id_of(share_id)
        return cls(id, row.user_id, recording_id=row.id, due_shard=due_shard(id), due_at=due_at)
