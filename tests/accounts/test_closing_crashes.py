"""Signing up and closing, while AWS fails or loses an answer at each of their calls; then somebody tries again."""

import pytest
from django.conf import settings

from tests.accounts.test_closing_schedules import ACTS as CALLS
from tests.accounts.test_closing_schedules import (
    MARKS,
    check_last_look,
    late,
    left_in,
    machine,
    sign_up,
    sweep,
    worlds,
)
from tests.client import Client
from tests.recordings.stepping import Machine, Operation, Outcome
from tests.recordings.test_crashes import FAULTS, calls_of, died, disturbed, resent
from tests.recordings.worlds import World

__all__ = ["machine"]  # the fixture
pytestmark = pytest.mark.check


def ways(machine: Machine, operation: Operation, world: World) -> list[tuple[str, Outcome | None, World]]:
    """What fails, how the operation ends then, and what is stored."""
    found: list[tuple[str, Outcome | None, World]] = []
    for at in range(len(calls_of(machine, operation, world))):
        found += [(f"call {at} {fault}", *disturbed(machine, operation, world, at, fault)) for fault in FAULTS]
        found += [(f"call {at} sent twice", *resent(machine, operation, world, at))]
        found += [(f"died after call {at}", None, died(machine, operation, world, at))]
    return found


STARTS = ["new", "ready", "trashed", "shared", "in parts", "read by podcast apps", "closed just now"]


@pytest.mark.parametrize("start", STARTS)
def test_closing(machine: Machine, start: str) -> None:
    again = Operation("2 close", CALLS["close"])
    for what, outcome, world in ways(machine, Operation("1 close", CALLS["close"]), worlds(machine)[start]):
        assert outcome is None or outcome.status < 500 or outcome == Outcome(503, "unavailable"), what
        retried, closed = machine.finish(again, world)
        assert retried.status in (202, 401), what
        for last in (world, closed) if retried.status == 401 else (closed,):
            swept = machine.finish(Operation("sweep", sweep), last)[1]
            assert (left_in(swept), list(swept.versions), swept.uploads) == (MARKS, [], ()), what
            check_last_look(machine, swept, 0)


def test_the_last_look(machine: Machine) -> None:
    """Whatever fails in it, the next sweep goes on with it."""
    closed = machine.finish(Operation("given closing", CALLS["close"]), worlds(machine)["ready"])[1]
    start = machine.run(closed, "given bytes after it", late)
    for what, _, world in ways(machine, Operation("1 last look", sweep, 1), start):
        swept = machine.finish(Operation("2 last look", sweep, 2), world)[1]
        assert (left_in(swept), list(swept.versions), swept.uploads) == ([], [], ()), what


def test_signing_up(machine: Machine) -> None:
    def act() -> tuple[int, str]:
        answer = Client().post("accounts/login/", {"provider": "guest"})
        return answer.status, str(answer.code)

    for what, outcome, world in ways(machine, Operation("1 sign up", act), sign_up(machine)):
        assert outcome is None or outcome in (Outcome(201, "None"), Outcome(503, "unavailable")), what
        retried, world = machine.finish(Operation("2 sign up", act), world)
        assert retried.status == 201, what
        users = world.rows(settings.USERS_TABLE)
        accounts = {row["id"] for row in users if row["auth_key"] == "account"}
        assert {row["id"] for row in users if "last_seen_at" in row} == accounts, what
        assert {row["user_id"] for row in world.rows(settings.CHANGES_TABLE)} == accounts, what
        assert {row["user_id"] for row in world.rows(settings.RECORDINGS_TABLE)} == accounts, what
