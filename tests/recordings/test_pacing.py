"""One account gets so much slow work an hour: more parts are refused, more decoding waits, and nobody else notices."""

import pytest
from django.conf import settings
from pytest_django import Settings

from operations.sweep import sweep
from recordings import pacing
from recordings.analysis.decoding import cpu_seconds
from recordings.models import Recording
from tests.client import Client
from tests.recordings.test_events import tell
from tests.sound import encode, tone
from tests.state import calls, check_books, kept, make_due, snapshot

SOUND = encode(tone(1, 8000), "wav, mu-law")


class Clock:
    """The time that counts."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0 + 100

    def time(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Clock:
    settings.THROTTLE = True
    clock = Clock()
    monkeypatch.setattr(pacing, "time", clock)
    return clock


def few(monkeypatch: pytest.MonkeyPatch, kind: str, most: int) -> None:
    monkeypatch.setitem(pacing.MOST, kind, most)


def unheard(client: Client, content: bytes) -> Recording:
    row: Recording = kept(client.user_id, client.upload(content).json["id"])
    return row


def test_parts_beyond_the_bound_are_refused_until_the_next_hour(
    alice: Client, charlie: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch, "excerpt", 2)
    shares, theirs = (f"recordings/{unheard(each, SOUND).id}/shares/" for each in (alice, charlie))
    part = {"start": 0, "end": 0.5}
    assert [alice.post(shares, part).status for _ in range(2)] == [201, 201]
    before = snapshot()["objects"]
    refused = alice.post(shares, part)
    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (429, "too_many_requests", "3500")
    assert snapshot()["objects"] == before
    assert len(alice.get(shares).json["results"]) == 2
    assert alice.post(shares, {}).status == 201  # all of it: nothing has to be cut
    assert charlie.post(theirs, part).status == 201
    clock.now += 3500
    assert alice.post(shares, part).status == 201


def test_what_is_not_there_costs_nothing(alice: Client, charlie: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, "excerpt", 1)
    shares = f"recordings/{unheard(alice, SOUND).id}/shares/"
    assert charlie.post(shares, {"start": 0, "end": 0.5}).status == 404
    assert alice.post(shares, {"start": 2, "end": 1}).status == 400
    assert alice.post(shares, {"start": 0, "end": 0.5}).status == 201


def test_forty_parts_in_a_row_are_too_many(alice: Client) -> None:
    rows = [unheard(alice, SOUND + bytes(number)) for number in range(2)]
    found = [
        alice.post(f"recordings/{row.id}/shares/", {"start": 0, "end": 0.5}).status for row in rows for _ in range(20)
    ]
    assert found == [201] * 30 + [429] * 10


def test_decoding_beyond_the_bound_waits_for_the_next_hour_and_is_done(
    alice: Client, charlie: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch, "decoding", 2 * cpu_seconds(len(SOUND)))
    rows = [unheard(alice, SOUND + bytes(number)) for number in range(4)]
    theirs = unheard(charlie, SOUND)
    for row in (*rows, theirs):
        assert tell(row.key) == {"ready": 1}
    found = [kept(row.user_id, row.id) for row in (*rows, theirs)]
    assert [row.playable for row in found] == [True, True, None, None, True]
    waiting = found[2:4]
    assert all(row.due_at and not row.tries for row in waiting)
    for row in waiting:
        make_due(row.user_id, row.id)
    assert sweep() == {"postponed": 2}
    assert [kept(row.user_id, row.id).tries or 0 for row in waiting] == [0, 0]
    clock.now += 3600
    for row in waiting:
        make_due(row.user_id, row.id)
    assert sweep() == {"heard": 2}
    assert all(kept(row.user_id, row.id).playable for row in rows)
    check_books(alice.user_id)


def test_what_waits_is_due_when_the_hour_is_over(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, "decoding", 0)
    row = unheard(alice, SOUND)
    monkeypatch.setattr("recordings.analysis.analyse.days_from_now", lambda days: f"in {round(days * 86400)} s")
    tell(row.key)
    assert kept(row.user_id, row.id).due_at == "in 3500 s"


def test_a_large_file_takes_more_of_it(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = unheard(alice, SOUND), unheard(alice, SOUND + bytes(2**21))
    few(monkeypatch, "decoding", cpu_seconds(small.size) + cpu_seconds(large.size) - 1)
    for row in (small, large):
        tell(row.key)
    assert [kept(row.user_id, row.id).playable for row in (small, large)] == [True, None]


def test_a_file_that_has_had_its_tries_ends_whatever_its_account_has_had(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch, "decoding", 0)
    row = unheard(alice, SOUND)
    row.update([Recording.tries.set(3)])
    make_due(row.user_id, row.id)
    assert sweep() == {"heard": 1}
    assert kept(row.user_id, row.id).playable is False


def test_it_costs_one_call_and_names_nobody(alice: Client) -> None:
    row = unheard(alice, SOUND)
    with calls() as sent:
        tell(row.key)
    assert sent == ["GetItem", "UpdateItem", "UpdateItem", "GetObject", "GetItem", "GetItem", "TransactWriteItems"]
    rows = [row for row in snapshot()[settings.USERS_TABLE] if row["id"].startswith("allowance:")]
    assert [row["used"] for row in rows] == [cpu_seconds(len(SOUND))]
    assert alice.user_id not in repr(rows)
