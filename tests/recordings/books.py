"""What must be true of everything that is stored."""

from typing import Any

from django.conf import settings

from tests.client import sha256
from tests.recordings.worlds import Upload, World


class Books:
    """One account's rows, objects, uploads, changes and ledger."""

    def __init__(self, world: World) -> None:
        self.rows = [row for row in world.rows(settings.RECORDINGS_TABLE) if ":" not in row["id"]]
        self.objects, self.uploads = world.objects, world.uploads
        (self.ledger,) = (row for row in world.rows(settings.CHANGES_TABLE) if row["version"] == 0)
        self.changes = [row for row in world.rows(settings.CHANGES_TABLE) if row["version"] > 0]

    def check(self) -> None:
        """What holds at any time."""
        for row in self.rows:
            if row["status"] in ("ready", "mismatch"):
                content = self.objects.get(key_of(row, row.get("kept", row["attempt"])))
                assert content is not None, f"a {row['status']} recording without its object"
                size = row.get("kept_size", row["size"])
                assert len(content) == size, f"a {row['status']} one of another size"
                assert "kept" in row or "kept_size" not in row, "a size of nothing that is kept"
                assert "verified_at" not in row or sha256(content) == row["sha256"], "a verified one with other bytes"
        used = sum(max(row["size"], row.get("kept_size", 0)) for row in self.rows)
        assert self.ledger["used_bytes"] == used, "the ledger counts other bytes than the recordings"
        newest = max((row["version"] for row in self.changes), default=0)
        assert self.ledger["last_version"] == newest, "a version was taken that no change tells of"
        noted = [(row["recording_id"], row["version"]) for row in self.changes if not row.get("deleted")]
        shown = [(row["id"], row["version"]) for row in self.rows if row["status"] != "purging"]
        assert sorted(noted) == sorted(shown), "the changes are not the recordings' versions"
        tombs = [(row["recording_id"], row["version"]) for row in self.changes if row.get("deleted")]
        purging = [(row["id"], row["version"]) for row in self.rows if row["status"] == "purging"]
        assert set(purging) <= set(tombs), "a purge has no tombstone"

    def check_objects(self) -> None:
        """What holds where nobody is about to write the row of an object, or to delete it."""
        assert not self.strange_objects, "an object that no row names"

    @property
    def strange_objects(self) -> set[str]:
        named = {key for row in self.rows for key in [*wanted(row), *(key for key, _ in leftovers(row))]}
        return set(self.objects) - named

    @property
    def uploads_wanted(self) -> list[Upload]:
        """Multipart uploads that a row waits for."""
        named = {(key_of(row, row["attempt"]), row["upload_id"]) for row in self.rows if "upload_id" in row}
        return [upload for upload in self.uploads if (upload.key, upload.id) in named]

    @property
    def strays(self) -> list[Upload]:
        """Multipart uploads that no row knows of."""
        over = {place for row in self.rows for place in leftovers(row)}
        wanted = self.uploads_wanted
        return [upload for upload in self.uploads if upload not in wanted and (upload.key, upload.id) not in over]


def check_step(before: World, after: World) -> None:
    """What one call may do: an object goes only once no row wants it, and versions follow each other."""
    old, new = Books(before), Books(after)
    gone = old.objects.keys() - new.objects.keys()
    assert not gone.intersection(key for row in old.rows for key in wanted(row)), "an object went that a row names"
    assert new.ledger["last_version"] - old.ledger["last_version"] in (0, 1), "a version was left out"


def key_of(row: dict[str, Any], attempt: str) -> str:
    return f"recordings/{row['user_id']}/{row['id']}/{attempt}"


def wanted(row: dict[str, Any]) -> list[str]:
    """The keys that the row relies on, until it is purged."""
    attempts = [row["attempt"], *([row["kept"]] if "kept" in row else [])]
    return [] if row["status"] == "purging" else [key_of(row, attempt) for attempt in attempts]


def leftovers(row: dict[str, Any]) -> list[tuple[str, str]]:
    """(key, multipart upload id or "") of what the row remembers only to have it deleted."""
    over = [*row.get("discarded", [])]
    if row["status"] == "purging":
        over += [row["attempt"], *([row["kept"]] if "kept" in row else [])]
    parted = (leftover.partition(" ") for leftover in over)
    return [(key_of(row, attempt), upload_id) for attempt, _, upload_id in parted]
