"""Links to recordings, in the table `users`."""

from typing import TypedDict

from django.conf import settings
from pynamodb.attributes import (
    NumberAttribute,
    UnicodeAttribute,
)

from aws.dynamo import IntegerAttribute, TokenRow, id_attribute
from recordings.keys import RecordingId, UserId


class ShareEntry(TypedDict):
    """What a recording says of a share."""

    id: str  # as Share has it
    expires_at: int  # seconds since 1970
    excerpt: bool  # whether it is of a part


class Share(TokenRow):
    """A link by which anybody may listen to one recording."""

    KIND = "share"

    class Meta:
        table_name = settings.USERS_TABLE

    user_id = id_attribute(UserId)
    recording_id = id_attribute(RecordingId)
    created_at = UnicodeAttribute()
    expires_at = IntegerAttribute()  # seconds since 1970; checked in code, since DynamoDB's TTL deletes late
    password = UnicodeAttribute(null=True)  # hashed
    at = NumberAttribute(null=True)  # these three are seconds of the recording
    start = NumberAttribute(null=True)
    end = NumberAttribute(null=True)
    status = UnicodeAttribute()  # ready; an excerpt is first preparing, then ready or failed
    tries = IntegerAttribute(null=True)  # at cutting the excerpt

    @property
    def is_excerpt(self) -> bool:
        return self.start is not None

    @property
    def entry(self) -> ShareEntry:
        """What its recording says of it."""
        return {"id": self.public_id, "expires_at": self.expires_at, "excerpt": self.is_excerpt}
