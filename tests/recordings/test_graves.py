"""Whether an attempt was purged: told by one row, however much the account has changed since."""

from typing import Any

import pytest

from operations.sweep import sweep
from recordings.models import Change, Grave, Recording
from tests.client import Client
from tests.recordings.test_events import tell, upload
from tests.recordings.test_verifying import kinds
from tests.state import calls, check_books, kept, let_urls_end, make_due, objects, put, traces
from tests.torn import Place, parts, torn

AUDIO = b"RIFF, more or less"


@pytest.fixture
def purged(alice: Client) -> Recording:
    """A recording as it was; its owner has had it purged."""
    row = upload(alice, AUDIO)
    assert tell(row.key) == {"ready": 1}
    assert alice.delete(f"recordings/{row.id}/?permanent=true").status == 204
    return row


def graves(row: Recording) -> list[Grave]:
    return list(Grave.query(row.user_id, Grave.version < 0))


def test_late_bytes_cost_one_look_however_many_changes_there_are(alice: Client, purged: Recording) -> None:
    with Change.batch_write() as changes:
        for version in range(1000, 1300):
            changes.save(Change(alice.user_id, version, recording_id="0" * 32))
    put(purged.key, AUDIO)
    with calls() as sent:
        assert tell(purged.key) == {"orphan": 1}
    assert sent == ["GetItem", "HeadObject", "TransactGetItems", "DeleteObject"]
    assert objects() == {}


def test_of_a_purge_by_an_earlier_version_the_tombstone_tells(purged: Recording) -> None:
    """As after going back to it and forward again."""
    for grave in graves(purged):
        grave.delete()
    put(purged.key, AUDIO)
    with calls() as sent:
        assert tell(purged.key) == {"orphan": 1}
    assert sent.count("Query") == 1
    assert objects() == {}


def test_it_goes_with_its_tombstone(purged: Recording) -> None:
    (tombstone,) = Change.all_of(purged.user_id)
    (grave,) = graves(purged)
    assert (grave.recording_id, grave.life, grave.expires_at) == (purged.id, purged.life, tombstone.expires_at)


def test_nobody_hears_of_it(alice: Client, purged: Recording) -> None:
    assert [entry.get("deleted") for entry in alice.get("recordings/changes/").json["changes"]] == [True]
    assert alice.get("accounts/me/export/").json["recordings"] == []
    assert kinds() == []
    check_books(alice.user_id)


def test_what_is_given_up_has_none(alice: Client) -> None:
    """Nobody wanted it to go: its bytes may come back."""
    id = alice.create(AUDIO).json["recording"]["id"]
    row = kept(alice.user_id, id)
    make_due(alice.user_id, id)
    assert dict(sweep()) == {"purged": 1}
    assert graves(row) == []
    put(row.key, AUDIO)
    assert tell(row.key) == {"unknown": 1}


def test_closing_takes_it_too(alice: Client, purged: Recording) -> None:
    assert alice.delete("accounts/me/").status == 202
    sweep()
    assert graves(purged) == []
    let_urls_end(alice.user_id)
    sweep()
    assert traces(alice.user_id) == []


def test_half_a_purge_looks_like_none_or_the_whole(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Late bytes of an attempt that is over, while the rows of the purge come to be one by one."""
    id = alice.create(AUDIO).json["recording"]["id"]
    over = kept(alice.user_id, id).key
    assert alice.create(AUDIO, size=len(AUDIO) + 1).status == 200
    outcomes: list[Any] = []

    def meet(places: list[Place]) -> None:
        for part in list(parts(places)) if len(places) > 2 else []:  # the purge's first transaction
            put(over, b"late")
            double.hide(part)
            monkeypatch.setattr("aws.retry.time.sleep", lambda seconds, part=part: double.come(part))
            outcomes.append(tell(over))
            double.come(part)

    with torn() as double:
        double.after_each = meet
        alice.delete(f"recordings/{id}/")
    assert len(outcomes) > 10
    assert all(outcome == {"orphan": 1} for outcome in outcomes)
    assert objects() == {}
