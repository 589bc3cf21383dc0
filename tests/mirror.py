"""A device's copy of an account, made of nothing but the answers of changes/."""

from typing import Any

from tests.client import Answer, Client

Entry = dict[str, Any]


class Mirror:
    """`rows` by id, as the last entry for each says; `cursor`, from where to go on."""

    def __init__(self, cursor: str = "", rows: dict[str, Entry] | None = None) -> None:
        self.cursor, self.rows = cursor, dict(rows or {})

    def copy(self) -> "Mirror":
        """What this device has now, as its backup keeps it."""
        return Mirror(self.cursor, self.rows)

    def follow(self, client: Client, limit: int) -> tuple[list[Entry], bool]:
        """Take in one page of changes. Returns it, and whether there is more."""
        answer = client.get(f"recordings/changes/?cursor={self.cursor}&limit={limit}")
        assert answer.status == 200, answer
        assert len(answer.json["changes"]) <= limit
        return self.take(answer)

    def take(self, answer: Answer) -> tuple[list[Entry], bool]:
        """Take in what changes/ has answered."""
        entries: list[Entry] = answer.json["changes"]
        for entry in entries:
            if entry.get("deleted"):
                assert entry == {"id": entry["id"], "deleted": True}
                self.rows.pop(entry["id"], None)
            else:
                self.rows[entry["id"]] = entry
        self.cursor = answer.json["cursor"]
        more: bool = answer.json["has_more"]
        assert entries or not more
        return entries, more


def stored(client: Client) -> dict[str, Entry]:
    """What a mirror should hold: every recording on every shelf of the account, by id."""
    found: dict[str, Entry] = {}
    for shelf in ("library", "trash", "uploading"):
        cursor = ""
        while cursor is not None:
            page = client.get(f"recordings/?shelf={shelf}&limit=200&cursor={cursor}").json
            found |= {row["id"]: row for row in page["results"]}
            cursor = page["next_cursor"]
    return found
