"""The promise, when three meet: see trios.py. All paths that delete or erase, with what was let go of before.

`make check` runs what tells most, `make soak` every three, from one state each. The checker has to find the faults
that are put in on purpose, or it would prove nothing.
"""

from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement, product
from typing import Any

import pytest

from aws.s3 import Listed
from lib.clock import days_from_now
from recordings.library import PROOF_DAYS, leave_to_sweep, settle
from recordings.models import Ledger, Recording, used_bytes
from recordings.transactions import change
from recordings.uploads import check_quota, clear
from tests.recordings.scenes import playing
from tests.recordings.stepping import Machine
from tests.recordings.trios import Checks, Trio, operation, starts

MACHINE = Machine()  # its memory serves all tests of a process
CHECKS = Checks(MACHINE)
PAGE_LATE, PHONE_LATE = "a page's, the phone's bytes late", "forgotten, its bytes late"
# Scene, state, the two that interleave, the third.
COMPLETE = ("short uppy", "a page's", "params", "late", "finish")
RESTART = ("short uppy", "a phone's", "params", "late", "begin")
ERASE = ("short uppy", "a phone's", "small upload", "move on", "late")
EVENT = ("short uppy", PAGE_LATE, "params", "late", "event")
WRONG = ("short uppy", "forgotten, a page's wrong", "finish", "late", "event")
OFTEN = [
    COMPLETE,
    RESTART,
    EVENT,
    WRONG,
    ("short uppy", "a page's wrong", "params", "late", "finish"),
    ("short uppy", "a page's", "finish", "late", "abort"),
    ("short uppy", "a page's", "begin", "late", "sweep"),
    ("short uppy", "forgotten", "params", "late", "event"),
    ("short uppy", PHONE_LATE, "event", "params", "mend"),
    ("short uppy", PHONE_LATE, "mend", "event", "small upload"),
    ("parts", "forgotten", "complete", "late", "resize"),
    ("parts", "forgotten, wrong", "complete", "late", "event"),
    ("parts", "mismatch", "create", "late", "event"),
    ("parts", "mismatch, sent again", "complete", "late", "event"),
    ("parts", "forgotten", "late", "mend", "purge"),
]
ACTS = {
    "short uppy": ("params", "begin", "finish", "abort", "small upload", "resize", "event", "sweep", "late", "mend"),
    "parts": ("create", "resize", "complete", "purge", "event", "sweep", "late", "mend"),
}
STATES = {
    "short uppy": ("a phone's", "a page's", "a page's wrong", PAGE_LATE, "forgotten", PHONE_LATE, WRONG[1]),
    "parts": ("first", "forgotten", "forgotten, wrong", "mismatch", "mismatch, sent again", "mismatch, wrong again"),
}
# Every three, each from one of the states in turn: all from each would take days.
ALL = [
    (scene, STATES[scene][number % len(STATES[scene])], *pair, third)
    for scene, acts in ACTS.items()
    for number, (pair, third) in enumerate(product(combinations_with_replacement(acts, 2), acts))
]


@pytest.fixture
def machine(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with playing(MACHINE, monkeypatch):
        yield MACHINE


def explore(checks: Checks, scene: str, state: str, *names: str, stale: bool = True) -> int:
    key, worlds = starts(checks.machine, scene)
    one, two, third = (operation(scene, name, f"{at} {name}", worlds[state], key) for at, name in enumerate(names, 1))
    return Trio(checks, one, two, third).explore(worlds[state], stale=stale)


@pytest.mark.check
@pytest.mark.parametrize("case", OFTEN, ids=" ".join)
def test_three_operations(
    machine: Machine, case: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    record_property("places", explore(CHECKS, *case))


@pytest.mark.check
def test_a_small_upload_that_two_others_overtake(
    machine: Machine, record_property: Callable[[str, object], None]
) -> None:
    record_property("places", explore(CHECKS, *ERASE, stale=False))


@pytest.mark.soak
@pytest.mark.parametrize("case", ALL, ids=" ".join)
def test_every_three_operations(aws: None, monkeypatch: pytest.MonkeyPatch, case: tuple[str, ...]) -> None:
    checks = Checks(Machine())  # all that is remembered of all of them would fill the memory
    with playing(checks.machine, monkeypatch):
        explore(checks, *case)


# Faults that are put in on purpose.


def take_the_attempt_itself(seen: Recording, source: Listed) -> bool:
    """In place of `adopt`: the row names a key again that it has let go of."""

    def decide(row: Recording | None, ledger: Ledger) -> None:
        if row is None or row.version != seen.version:
            return
        attempt = source.key.rpartition("/")[2]
        values: dict[str, Any] = {"attempt": attempt, "size": source.size, "upload_id": None, "any_parts": None}
        if row.status == "mismatch":
            due_at = row.due_at if row.trashed_at else days_from_now(PROOF_DAYS)
            values |= {"kept": row.kept or row.attempt, "kept_size": row.stored_size, "due_at": due_at}
        check_quota(ledger, used_bytes(source.size, values.get("kept_size")) - row.used_bytes)
        clear(row)
        values["discarded"] = [row.leftover] if row.awaits_bytes else None
        leave_to_sweep(clear, change(row, ledger, values))

    settle(seen.user_id, seen.id, decide)
    return True


@pytest.mark.check
@pytest.mark.parametrize(
    "case",
    [COMPLETE, RESTART, ERASE, EVENT],
    ids=["a complete", "a restart's clean-up", "a small upload's erase", "an event's removal"],
)
def test_finds_what_takes_an_adopted_object(aws: None, monkeypatch: pytest.MonkeyPatch, case: tuple[str, ...]) -> None:
    for module in ("events", "fsck.repair"):
        monkeypatch.setattr(f"operations.{module}.adopt", take_the_attempt_itself)
    checks = Checks(Machine())
    gone = "an object went that a row names"
    with playing(checks.machine, monkeypatch), pytest.raises(AssertionError, match=gone):
        explore(checks, *case, stale=case is not ERASE)
