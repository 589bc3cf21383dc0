"""The rows of recordings, their changes and their shares."""

from recordings.models.allowance import Allowance
from recordings.models.changes import Change, Grave, Ledger, life_of
from recordings.models.due import OLD_SHARDS, SHARDS, Excerpt, Work, due_shard, is_closing, is_for_all, stands_in
from recordings.models.recording import MULTIPART, STATUSES, Declaration, Marker, Recording, used_bytes
from recordings.models.shares import Share, ShareEntry

__all__ = [
    "MULTIPART",
    "OLD_SHARDS",
    "SHARDS",
    "STATUSES",
    "Allowance",
    "Change",
    "Declaration",
    "Excerpt",
    "Grave",
    "Ledger",
    "Marker",
    "Recording",
    "Share",
    "ShareEntry",
    "Work",
    "due_shard",
    "is_closing",
    "is_for_all",
    "life_of",
    "stands_in",
    "used_bytes",
]
