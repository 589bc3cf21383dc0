"""The promise by chance: chances.py, on moto. `SEEDS=4000:5000` runs those alone, as a slice of `make soak`."""

from collections.abc import Callable, Iterator

import pytest

from tests.recordings.chances import Schedule, blocks
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


@pytest.mark.soak
@pytest.mark.parametrize("seeds", blocks(BLOCK, BLOCKS), ids=lambda seeds: f"{seeds.start}:{seeds.stop}")
def test_very_many_schedules(machine: Machine, seeds: range, record_property: Callable[[str, object], None]) -> None:
    record_property("schedules", play(machine, seeds))
