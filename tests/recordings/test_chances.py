"""The promise by chance: chances.py, on moto. `SEEDS=4000:5000` runs those alone, as a slice of `make soak`."""

import os
from collections.abc import Callable, Iterator

import pytest

from tests.recordings.chances import Schedule
from tests.recordings.scenes import playing
from tests.recordings.states import Given
from tests.recordings.stepping import Machine

SCENES = ("short uppy", "uppy")
CHECKED = range(300)
BLOCK, BLOCKS = 1000, 100  # of `make soak`
REMEMBERED = 50  # schedules: what all of them come to would fill the memory


@pytest.fixture
def machine(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine()
    with playing(made, monkeypatch):
        yield made


def play(machine: Machine, seeds: range) -> int:
    """Returns how many schedules there were."""
    worlds = {scene: Given(machine, scene).nothing for scene in SCENES}
    for number, seed in enumerate(seeds):
        if number % REMEMBERED == 0:
            machine.forget()
        scene = SCENES[seed % len(SCENES)]
        Schedule(machine, scene, worlds[scene], seed).run()
    return len(seeds)


@pytest.mark.check
def test_some_schedules(machine: Machine, record_property: Callable[[str, object], None]) -> None:
    record_property("schedules", play(machine, CHECKED))


def blocks() -> list[range]:
    if asked := os.environ.get("SEEDS"):
        first, _, end = asked.partition(":")
        return [range(int(first), int(end))]
    return [range(number * BLOCK, (number + 1) * BLOCK) for number in range(BLOCKS)]


@pytest.mark.soak
@pytest.mark.parametrize("seeds", blocks(), ids=lambda seeds: f"{seeds.start}:{seeds.stop}")
def test_very_many_schedules(machine: Machine, seeds: range, record_property: Callable[[str, object], None]) -> None:
    record_property("schedules", play(machine, seeds))
