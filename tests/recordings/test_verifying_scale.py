"""verify_storage at scale: in segments, going on after a stop, one account at its own cost, and what --deep costs."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from aws import s3
from operations.fsck import check as verifying
from operations.fsck.differences import Scope
from recordings.keys import UserId
from recordings.models import Change, Ledger
from tests.client import Client, sign_up
from tests.recordings.test_verifying import put, verify
from tests.state import calls, kept

AUDIO = b"a lecture, more or less" * 9
PEOPLE, SEGMENTS = 6, 4


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    """Everybody has a recording without an object, one without a change, an orphan, and a wrong ledger."""
    monkeypatch.setattr(verifying, "GRACE", -60.0)
    clients = [sign_up() for _ in range(PEOPLE)]
    for client in clients:
        gone, silent = client.record(AUDIO), client.record(AUDIO * 2)
        s3.erase(kept(client.user_id, gone["id"]).key)
        Change(client.user_id, silent["version"]).delete()
        Change(client.user_id, client.create(AUDIO * 3).json["recording"]["version"]).delete()
        put(f"recordings/{client.user_id}/{'0' * 32}/{'1' * 32}", b"nobody's")
        Ledger(client.user_id, 0).update([Ledger.used_bytes.add(1)])
    return clients


def said(found: list[dict[str, Any]]) -> Counter[str]:
    return Counter(f"{each['kind']} {each['account']} {each['key']} {each['detail']}" for each in found)


def test_segments_find_together_what_one_run_finds(people: list[Client]) -> None:
    whole = said(verify())
    assert {line.partition(" ")[0] for line in whole} == {
        "missing_object",
        "missing_change",
        "orphan_object",
        "wrong_usage",
    }
    together = Counter[str]()
    for number in range(1, SEGMENTS + 1):
        together += said(verify("--segment", f"{number}/{SEGMENTS}"))
    assert together == whole


@pytest.mark.check
def test_segments_mend_together(people: list[Client]) -> None:
    for _ in range(2):
        for number in range(SEGMENTS, 0, -1):
            verify("--segment", f"{number}/{SEGMENTS}", "--repair")
    left = {each["kind"] for each in verify("--repair")}
    assert left == {"missing_object", "orphan_object"}  # bytes that are lost, and bytes that are nobody's


def test_every_key_of_the_bucket_is_in_one_segment() -> None:
    keys = [f"recordings/{each}" for each in ("", "!", "00", "0000", "7fff", "8", "8000" + "0" * 28, "ffff" * 8, "x")]
    for key in keys:
        put(key, b"x")
    for segments in (1, 2, 3, 16):
        listed = [
            item.key
            for number in range(segments)
            for page in s3.list_objects("recordings/", **Scope(UserId(""), number, segments).keys)
            for item in page
        ]
        assert sorted(listed) == sorted(keys)


@pytest.mark.check
def test_a_run_goes_on_where_it_stopped(people: list[Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, note = said(verify()), tmp_path / "state"
    real, parts = verifying.check_objects, list[Scope]()

    def stop(scope: Scope, tick: Any) -> Any:
        if len(parts) == 3:
            raise KeyboardInterrupt
        parts.append(scope)
        return real(scope, tick)

    monkeypatch.setattr(verifying, "check_objects", stop)
    output = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        call_command("verify_storage", "--resume", str(note), stdout=output)
    assert len(note.read_text().splitlines()) == 2 * 16 + 3
    monkeypatch.undo()
    monkeypatch.setattr(verifying, "GRACE", -60.0)
    with calls() as sent:
        rest = said(verify("--resume", str(note)))
    assert sent.count("ListObjectsV2") >= 13
    assert sent.count("Scan") == 16  # of ledgers: no row is looked at again
    assert not note.exists()
    assert set(rest) < set(whole)
    assert {line for line in whole if line.startswith("wrong_usage")} <= set(rest)


def test_one_account_costs_what_it_has(people: list[Client]) -> None:
    alice = people[0]
    with calls() as sent:
        found = verify("--account", alice.user_id)
    assert {each["account"] for each in found} == {alice.user_id}
    assert len(found) == 5
    assert "Scan" not in sent
    before = len(sent)
    for _ in range(5):
        sign_up().record(AUDIO)
    with calls() as sent:
        verify("--account", alice.user_id)
    assert len(sent) == before


def test_deep_says_first_what_it_costs(alice: Client) -> None:
    alice.record(AUDIO)
    alice.record(AUDIO * 2)
    alice.create(AUDIO * 3)
    told = io.StringIO()
    call_command("verify_storage", "--deep", stdout=io.StringIO(), stderr=told)
    assert told.getvalue().startswith(f"--deep reads 2 recordings, {3 * len(AUDIO)} bytes: 4 requests to S3, 0.00 $")
    assert "2026-11-24" in told.getvalue()


@pytest.mark.parametrize("segment", ["0/2", "3/2", "1", "1/0", "x/y", "1/2000"])
def test_a_segment_is_one_of_so_many(segment: str) -> None:
    with pytest.raises(CommandError):
        call_command("verify_storage", "--segment", segment)


def test_an_account_has_no_segments(alice: Client) -> None:
    with pytest.raises(CommandError):
        call_command("verify_storage", "--account", alice.user_id, "--segment", "1/2")
