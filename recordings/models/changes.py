"""The table `changes`: what happened to an account's recordings, and what they use. Written by transactions.py."""

import hashlib
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from pynamodb.attributes import (
    BooleanAttribute,
    UnicodeAttribute,
)

from aws.dynamo import IntegerAttribute, Table, id_attribute
from recordings.keys import RecordingId, UserId


def life_of(attempt: str) -> str:
    """What all attempts of a row have in common, and no attempt of a later row for the same content."""
    return attempt[:16]


class Change(Table):
    """The newest change to one recording. `deleted` rows are tombstones of purged ones; they expire. A recording that
    comes back leaves those of its earlier lives where they are.
    """

    class Meta:
        table_name = settings.CHANGES_TABLE

    user_id = id_attribute(UserId, hash_key=True)
    version = IntegerAttribute(range_key=True)
    recording_id = id_attribute(RecordingId, null=True)
    deleted = BooleanAttribute(null=True)
    life = UnicodeAttribute(null=True)  # of a tombstone: whose attempts were purged
    lost = BooleanAttribute(null=True)  # nobody had it purged: the row was missing, or its upload given up
    expires_at = IntegerAttribute(null=True)  # seconds since 1970, for DynamoDB's TTL
    made_at = IntegerAttribute(null=True)  # seconds since 1970

    @classmethod
    def purged(cls, user_id: UserId, recording_id: RecordingId, attempt: str) -> bool | None:
        """Whether this attempt was purged, as far back as tombstones go; None where the recording's newest change is a
        tombstone that says neither whose it is nor that it is none's.

        One GetItem where a Grave says so. Only for what has none, as purges of earlier versions of Recorder, one Query
        for each MB of the account's changes, the newest first.
        """
        if Grave.find(user_id, Grave.place(recording_id, life_of(attempt))):
            return True
        return cls.searched(user_id, recording_id, attempt)

    @classmethod
    def searched(cls, user_id: UserId, recording_id: RecordingId, attempt: str) -> bool | None:
        """`purged` from the tombstones alone."""
        notes = cls.query(
            user_id,
            cls.version >= 1,
            cls.recording_id == recording_id,
            consistent_read=True,
            scan_index_forward=False,
        )
        unclear = None
        for note in notes:
            if note.deleted and note.life == life_of(attempt):
                return True
            if unclear is None:
                unclear = bool(note.deleted and not note.life and not note.lost)
        return None if unclear else False

    @classmethod
    def newest(cls, user_id: UserId) -> int:
        """The highest version of an account's change rows, 0 without any. One Query."""
        rows = cls.query(user_id, cls.version >= 1, consistent_read=True, scan_index_forward=False, limit=1)
        return next((row.version for row in rows), 0)

    @classmethod
    def since(cls, user_id: UserId, version: int, *, limit: int) -> list["Change"]:
        """At most `limit` changes after `version` in order, all that had been acknowledged before. One Query."""
        return list(cls.query(user_id, cls.version > version, consistent_read=True, limit=limit))

    @classmethod
    def all_of(cls, user_id: UserId, recording_id: RecordingId | None = None) -> Iterator["Change"]:
        """Every change row of an account, in order, or those of one recording. One Query for each MB."""
        only = cls.recording_id == recording_id if recording_id else None
        yield from cls.query(user_id, cls.version >= 1, only, consistent_read=True)


class Grave(Table):
    """That the attempts of one life of a recording were purged, where one GetItem finds it. Comes with the tombstone
    and expires with it. Its `version` is negative, so that no list of changes has it.
    """

    class Meta:
        table_name = settings.CHANGES_TABLE

    user_id = id_attribute(UserId, hash_key=True)
    version = IntegerAttribute(range_key=True)
    recording_id = id_attribute(RecordingId)
    life = UnicodeAttribute()
    expires_at = IntegerAttribute()  # seconds since 1970, for DynamoDB's TTL

    @staticmethod
    def place(recording_id: RecordingId, life: str) -> int:
        """120 bits of a hash, negative: DynamoDB's numbers have 38 digits."""
        return -1 - int(hashlib.sha256(f"{recording_id}:{life}".encode()).hexdigest()[:30], 16)

    @classmethod
    def of(cls, user_id: UserId, recording_id: RecordingId, life: str, *, expires_at: int | None = None) -> "Grave":
        place = cls.place(recording_id, life)
        return cls(user_id, place, recording_id=recording_id, life=life, expires_at=expires_at)


class Ledger(Table):
    """Row 0 of an account's changes: its last version and the bytes it uses."""

    class Meta:
        table_name = settings.CHANGES_TABLE

    user_id = id_attribute(UserId, hash_key=True)
    version = IntegerAttribute(range_key=True, default=0)
    last_version = IntegerAttribute()
    used_bytes = IntegerAttribute()
    quota_bytes = IntegerAttribute(null=True)  # only where an operator set one
    is_guest = BooleanAttribute()
    closed = BooleanAttribute(null=True)

    @property
    def quota(self) -> int:
        """The most bytes that this account may use."""
        default = settings.GUEST_QUOTA_BYTES if self.is_guest else settings.QUOTA_BYTES
        return self.quota_bytes or int(default)

    @classmethod
    def everything(cls, segment: int = 0, segments: int = 1) -> Iterator["Ledger"]:
        """Every account's ledger, or those of one of so many segments of the table. One consistent Scan for each MB of
        all changes.
        """
        part: Any = {"segment": segment, "total_segments": segments} if segments > 1 else {}
        yield from cls.scan(cls.version == 0, consistent_read=True, **part)

    def set_quota(self, quota_bytes: int) -> None:
        self.update([Ledger.quota_bytes.set(quota_bytes)], condition=Ledger.last_version.exists())
