"""Everything that is stored about an account, for its owner."""

import json
from typing import Any

import pytest
import requests

from recordings.changes import export
from recordings.models import Change, Recording
from tests.accounts.conftest import SignIn
from tests.client import Client, declare, sign_up


def exported(client: Client) -> list[dict[str, Any]]:
    """All pages."""
    pages, cursor = [], ""
    while cursor is not None:
        answer = client.get(f"accounts/me/export/?cursor={cursor}")
        assert answer.status == 200, answer
        assert answer.headers["Cache-Control"] == "no-store"
        pages.append(answer.json)
        cursor = answer.json["next_cursor"]
    return pages


def test_it_is_all_there(sign_in: SignIn) -> None:
    alice = sign_in("alice", device_name="phone")
    ready = alice.record(b"a talk", notes="by heart")
    link = alice.post(f"recordings/{ready['id']}/shares/", {"password": "open sesame"}).json["url"]
    trashed = alice.upload(b"an old one").json
    alice.delete(f"recordings/{trashed['id']}/")
    uploading = alice.create(b"not here yet").json["recording"]
    purged = alice.upload(b"gone").json
    alice.delete(f"recordings/{purged['id']}/?permanent=true")
    (page,) = exported(alice)
    account = page["account"]
    assert account["user_id"] == alice.user_id
    assert account["expires_at"] is None
    assert [row["device_name"] for row in account["sessions"]] == ["phone"]
    assert [(row["provider"], row["subject"]) for row in account["identities"]] == [("corp", "alice")]
    found = {row["id"]: row for row in page["recordings"]}
    assert set(found) == {ready["id"], trashed["id"], uploading["id"]}
    url = found[ready["id"]].pop("download_url")
    assert found[ready["id"]].pop("shares") == alice.get(f"recordings/{ready['id']}/shares/").json["results"]
    assert found[ready["id"]] == alice.get(f"recordings/{ready['id']}/").json
    assert requests.get(url, timeout=10).content == b"a talk"
    assert found[uploading["id"]]["download_url"] is None
    assert len(alice.get(f"recordings/{ready['id']}/shares/").json["results"]) == 1
    for secret in (alice.auth_key.partition(".")[2], link.rpartition("/")[2], "scrypt"):
        assert secret not in json.dumps(page)


def test_a_stranger_gets_his_own(alice: Client, charlie: Client) -> None:
    alice.upload(b"a talk")
    (page,) = exported(charlie)
    assert page["recordings"] == []
    assert page["account"]["user_id"] == charlie.user_id


def test_pages_follow_each_other(alice: Client, charlie: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 2)
    ids = [alice.upload(f"talk {number}".encode()).json["id"] for number in range(5)]
    first = alice.get("accounts/me/export/").json
    assert [row["id"] for row in first["recordings"]] == ids[:2]
    alice.patch(f"recordings/{ids[0]}/", {"notes": "changed meanwhile"})
    rest, cursor = [], first["next_cursor"]
    while cursor:
        page = alice.get(f"accounts/me/export/?cursor={cursor}").json
        assert page["account"] is None
        rest += [row["id"] for row in page["recordings"]]
        cursor = page["next_cursor"]
    assert rest == [*ids[2:], ids[0]]
    assert charlie.get(f"accounts/me/export/?cursor={first['next_cursor']}").pointers == ["/cursor"]
    assert alice.get("accounts/me/export/?cursor=nonsense").status == 400
    assert alice.get("accounts/me/export/?page=2").pointers == ["/page"]


def test_no_page_outgrows_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 recordings with the longest texts there can be: the answer, escaped into Lambda's, stays below 6 MB."""
    alice, longest = sign_up(), "\U0001f3a4"
    fields = {
        "name": longest * 255,
        "notes": longest * 4000,
        "tags": [f"{number:02}" + longest * 48 for number in range(20)],
    }
    created = alice.post("recordings/", declare(b"a", **fields)).json["recording"]
    row = Recording.find(created["id"], alice.user_id)
    assert row
    row.status, row.version = "ready", 201
    changes = [Change(alice.user_id, version, recording_id=str(version)) for version in range(1, 202)]
    monkeypatch.setattr(Change, "since", lambda user_id, after, limit: changes[after : after + limit])
    monkeypatch.setattr(Recording, "batch", lambda user_id, ids: dict.fromkeys(ids, row))
    pages, shown = 0, 0
    after: int | None = 0
    while after is not None:
        rows, after = export.export_page(alice.user_id, after)
        shown, pages = shown + len(rows), pages + 1
        assert len(json.dumps({"body": json.dumps(rows)})) < 6_000_000
    assert shown == 201
    assert pages < 10
