"""recordings/states.py is the whole truth: there is no other state, and no other way from one to another."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from recordings import transactions
from recordings.keys import RecordingId, UserId
from recordings.models import Recording
from recordings.states import ABSENT, STATES, TRANSITIONS, state_of
from tests.client import Client
from tests.recordings.scenes import SCENES, playing
from tests.recordings.states import starts
from tests.recordings.stepping import Machine
from tests.recordings.test_events import tell
from tests.recordings.worlds import World
from tests.sound import encode, tone
from tests.state import kept

MACHINE = Machine()
Step = tuple[str, str, str]  # by, origin, to


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> set[Step]:
    """The steps that rows take, while the test runs."""
    found: set[Step] = set()

    def note(write: Callable[..., Any]) -> Callable[..., Any]:
        def noted(row: Recording, *args: Any, **kwargs: Any) -> Any:
            origin = ABSENT if write.__name__ == "add" else state_of(row)
            answer = write(row, *args, **kwargs)
            found.add((caller(), origin, ABSENT if write.__name__ == "remove" else state_of(row)))
            return answer

        return noted

    for name in ("add", "change", "remove"):
        real: Callable[..., Any] = getattr(transactions, name)
        for module in [each for path, each in sys.modules.items() if path.startswith("recordings.")]:
            if getattr(module, name, None) is real:
                monkeypatch.setattr(module, name, note(real))
    return found


def caller() -> str:
    """The function of the app that has something written, as TRANSITIONS names it."""
    frame = sys._getframe(2)
    while frame.f_globals["__name__"].endswith(".transactions") or frame.f_code.co_name == "noted":
        assert frame.f_back
        frame = frame.f_back
    module, function = frame.f_globals["__name__"], frame.f_code.co_qualname
    return f"{module.removeprefix('recordings.')}.{function.partition('.')[0]}"


def allowed() -> set[Step]:
    return {(each.by, origin, each.to or origin) for each in TRANSITIONS for origin in each.origin}


def rows(world: World) -> Iterator[Recording]:
    for values in world.rows(Recording.Meta.table_name):
        if ":" not in values["id"]:
            columns = ("status", "kept", "upload_id", "verified_at", "trashed_at")
            found: Any = {name: values.get(name) for name in columns}
            yield Recording(values["id"], values["user_id"], **found)


ASIDE = ("shares.", "analysis.")  # what the scenes leave out


@pytest.mark.check
def test_rows_move_in_no_other_way_and_in_each_of_these(seen: set[Step], monkeypatch: pytest.MonkeyPatch) -> None:
    found: set[str] = set()
    with playing(MACHINE, monkeypatch):
        for scene, acts in SCENES.items():
            for start, world in starts(MACHINE, scene).items():
                found |= {state_of(row) for row in rows(world)}
                for day in (0, 100):
                    for name in acts.names:
                        if operation := acts.operation(name, f"states {scene} {start} {name} {day}", world, day):
                            MACHINE.finish(operation, world)
        mismatch = starts(MACHINE, "parts")["mismatch"]
        for name in ("trash", "restore"):
            operation = SCENES["parts"].operation(name, f"states mismatch {name}", mismatch)
            assert operation
            _, mismatch = MACHINE.finish(operation, mismatch)
    assert seen - allowed() == set()
    assert {step for step in allowed() - seen if not step[0].startswith(ASIDE)} == set()
    assert found == set(STATES)


def test_shares_and_sound_leave_the_state(alice: Client, seen: set[Step]) -> None:
    id = alice.record(encode(tone(1, 8000), "wav, mu-law"))["id"]
    tell(kept(alice.user_id, id).key)
    share = alice.post(f"recordings/{id}/shares/").json["id"]
    assert alice.delete(f"recordings/{id}/shares/{share}/").status == 204
    assert seen - allowed() == set()
    assert {by for by, _, _ in seen if by.startswith(ASIDE)} == {
        each.by for each in TRANSITIONS if each.by.startswith(ASIDE)
    }


def test_each_is_made_by_a_function_that_is_there() -> None:
    for each in TRANSITIONS:
        module, _, name = each.by.rpartition(".")
        assert callable(getattr(sys.modules[f"recordings.{module}"], name)), each


def test_the_states_leave_no_doubt() -> None:
    """No row is in two of them."""
    for status in ("uploading", "ready", "mismatch", "purging"):
        for flags in range(16):
            kept_, upload, verified, trashed = ("x" if flags & 1 << bit else None for bit in range(4))
            row = Recording(RecordingId("0"), UserId("1"), status=status, kept=kept_, upload_id=upload)
            row.verified_at, row.trashed_at = verified, trashed
            assert sum(state.fits(row) for state in STATES.values()) <= 1


@pytest.mark.parametrize(
    "values",
    [
        {"status": "ready", "kept": "0"},
        {"status": "uploading", "verified_at": "2026"},
        {"status": "lost"},
        {"status": "mismatch", "upload_id": "1"},
    ],
    ids=str,
)
def test_what_is_in_no_state_is_told(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no known state"):
        state_of(Recording(RecordingId("0"), UserId("1"), **values))
