"""How much slow work an account has had, in the table `users`."""

import hashlib

from django.conf import settings
from pynamodb.attributes import (
    UnicodeAttribute,
)

from aws.dynamo import IntegerAttribute, Table
from recordings.keys import UserId


class Allowance(Table):
    """How much slow work of one kind an account has had within one hour. `id` is a hash: what outlives a closed
    account by an hour does not name it.
    """

    class Meta:
        table_name = settings.USERS_TABLE

    id = UnicodeAttribute(hash_key=True)
    auth_key = UnicodeAttribute(range_key=True, default="allowance")
    used = IntegerAttribute()
    expires_at = IntegerAttribute()  # seconds since 1970, for DynamoDB's TTL

    @classmethod
    def take(cls, kind: str, user_id: UserId, hour: int, amount: int) -> int:
        """Count `amount` more. Returns how much that is by now. One UpdateItem."""
        place = hashlib.sha256(f"{kind}:{user_id}:{hour}".encode()).hexdigest()
        row = cls(f"allowance:{place}", "allowance")
        row.update([cls.used.add(amount), cls.expires_at.set((hour + 2) * 3600)])
        return row.used
