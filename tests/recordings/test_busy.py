"""503 `busy`: others change the account faster than a call can. It has changed nothing then, or says what it has."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from operations.sweep import sweep
from recordings.keys import RecordingId
from recordings.models import MULTIPART, Ledger, Recording
from tests.client import Answer, Client
from tests.recordings.test_events import tell
from tests.state import before_each, calls, kept, objects, put, row, snapshot, work

AUDIO, OTHER = b"RIFF, more or less", b"other bytes......."


@pytest.fixture(autouse=True)
def _time_flies(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 seconds between looks at the clock."""
    clock = count(step=2)
    monkeypatch.setattr("aws.retry.time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: 0))


@contextmanager
def storm(user_id: str, when: Callable[[], object] = lambda: True) -> Iterator[list[str]]:
    """Somebody else changes the account before each of the app's transactions. Yields the calls to AWS."""

    def blow() -> None:
        if when():
            Ledger(user_id).update([Ledger.last_version.add(1)])

    with calls() as sent, before_each("TransactWriteItems", blow):
        yield sent


def but_for_the_storm() -> dict[str, Any]:
    stored = snapshot()
    for each in stored["test-changes"]:
        each.pop("last_version", None)
    return stored


def ready(alice: Client) -> str:
    return str(alice.record(AUDIO)["id"])


def trashed(alice: Client) -> str:
    id = ready(alice)
    assert alice.delete(f"recordings/{id}/").status == 204
    return id


def uploading(alice: Client) -> str:
    return str(alice.create(AUDIO).json["recording"]["id"])


def arrived(alice: Client, content: bytes = AUDIO) -> str:
    id = uploading(alice)
    put(kept(alice.user_id, id).key, content)
    return id


def mismatch(alice: Client) -> str:
    id = ready(alice)
    Recording(RecordingId(id), alice.user_id).update(
        [Recording.status.set("mismatch"), Recording.verified_at.remove()]
    )
    return id


CALLS: dict[str, tuple[Callable[[Client], str], Callable[[Client, str], Answer]]] = {
    "create": (ready, lambda alice, id_: alice.create(OTHER)),
    "create in parts": (ready, lambda alice, id_: alice.create(OTHER, size=MULTIPART)),
    "create a trashed one": (trashed, lambda alice, id_: alice.create(AUDIO)),
    "create a mismatch": (mismatch, lambda alice, id_: alice.create(AUDIO)),
    "create with another size": (uploading, lambda alice, id_: alice.create(AUDIO, size=MULTIPART)),
    "small upload": (ready, lambda alice, id_: alice.upload(OTHER)),
    "complete": (arrived, lambda alice, id_: alice.post(f"recordings/{id_}/complete/")),
    "complete other bytes": (
        lambda alice: arrived(alice, OTHER),
        lambda alice, id_: alice.post(f"recordings/{id_}/complete/"),
    ),
    "edit": (ready, lambda alice, id_: alice.patch(f"recordings/{id_}/", {"name": "new"})),
    "trash": (ready, lambda alice, id_: alice.delete(f"recordings/{id_}/")),
    "restore": (trashed, lambda alice, id_: alice.post(f"recordings/{id_}/restore/")),
    "purge": (ready, lambda alice, id_: alice.delete(f"recordings/{id_}/?permanent=true")),
    "share": (ready, lambda alice, id_: alice.post(f"recordings/{id_}/shares/", {"start": 0, "end": 1})),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_has_changed_nothing(alice: Client, name: str) -> None:
    given, act = CALLS[name]
    id = given(alice)
    before = but_for_the_storm()
    with storm(alice.user_id) as sent:
        answer = act(alice, id)
    assert (answer.status, answer.code, answer.headers.get("Retry-After")) == (503, "busy", "2"), answer
    assert sent.count("TransactWriteItems") == 3  # at 0, 2 and 4 seconds; 6 are too many
    assert but_for_the_storm() == before
    assert act(alice, id).status in (200, 201, 204, 409)


@pytest.mark.parametrize("again", [True, False], ids=["the same call", "the event"])
def test_a_small_upload_may_have_begun(alice: Client, again: bool) -> None:
    with storm(alice.user_id, when=objects):
        assert alice.upload(AUDIO).code == "busy"
    (id,) = alice.shelf("uploading")
    stored = kept(alice.user_id, id)
    assert objects() == {stored.key: AUDIO}
    if again:
        answer = alice.upload(AUDIO)
        assert (answer.status, answer.json["status"]) == (200, "ready")
    else:
        tell(stored.key)
    assert kept(alice.user_id, id).verified_at
    assert objects() == {stored.key: AUDIO}
    assert alice.used_bytes() == len(AUDIO)


def test_an_order_to_empty_the_trash_stands(alice: Client) -> None:
    """202 is for what is certain to happen; the sweep does what this call could not."""
    id = trashed(alice)
    with storm(alice.user_id):
        assert alice.delete("recordings/?shelf=trash").status == 202
    assert work("trash", alice.user_id)
    assert alice.shelf("trash") == [id]
    sweep()
    assert row(alice.user_id, id) is None
    assert work("trash", alice.user_id) is None
    assert objects() == {}
