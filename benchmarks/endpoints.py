"""Each endpoint through lambda_handler, and beside it its floor: `python -m benchmarks.endpoints ROUNDS ROWS…`.

Prints JSON: figures by name, and the auth_key of the smallest account. Call and floor take turns, so that whatever
else the machine does meets both.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

from benchmarks.account import Account, Act
from benchmarks.floor import Floor, Recorded

Figures = dict[str, dict[str, float]]
Taken = list[tuple[float, float]]  # seconds by the clock, and of this process's CPU


def main(rounds: int, sizes: list[int]) -> None:
    accounts, floor = [Account(size) for size in sizes], Floor()
    figures: Figures = {}
    for name in accounts[0].reads():
        figures |= read(name, accounts, floor, rounds)
    for name, prepare in accounts[-1].calls().items():
        figures[name] = write(prepare, floor, rounds)
    print(json.dumps({"figures": figures, "key": accounts[0].key}))


def read(name: str, accounts: list[Account], floor: Floor, rounds: int) -> Figures:
    """The same call on accounts of each size, in turn."""
    acts = [account.reads()[name] for account in accounts]
    floors = [floor.again(made_by(act)) for act in acts]
    taken: list[tuple[Taken, Taken]] = [([], []) for _ in accounts]
    for _ in range(rounds):
        for act, bare, (times, bare_times) in zip(acts, floors, taken, strict=True):
            times.append(timed(act))
            bare_times.append(timed(bare))
    found = [summary(times, bare_times) for times, bare_times in taken]
    for each in found[1:]:
        each["to smallest"] = each["cpu ms"] / found[0]["cpu ms"]
    return {f"{name} ({account.size:,} rows)": each for account, each in zip(accounts, found, strict=True)}


def write(prepare: Callable[[], Act], floor: Floor, rounds: int) -> dict[str, float]:
    made = made_by(prepare())
    times, bare_times = [], []
    for _ in range(rounds):
        act, bare = prepare(), floor.again(made)
        times.append(timed(act))
        bare_times.append(timed(bare))
    return summary(times, bare_times)


def made_by(act: Act) -> list[tuple[str, dict[str, object]]]:
    with Recorded() as recorded:
        act()
    return recorded.made


def timed(act: Act) -> tuple[float, float]:
    start, used = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - start, time.process_time() - used


def summary(times: Taken, bare_times: Taken) -> dict[str, float]:
    """Milliseconds, medians but for p99. CPU is of this process; DynamoDB and S3 are others."""
    clock, cpu = zip(*times, strict=True)
    bare_clock, bare_cpu = zip(*bare_times, strict=True)
    figures = {
        "p50 ms": statistics.median(clock) * 1e3,
        "p99 ms": sorted(clock)[len(clock) * 99 // 100] * 1e3,
        "floor p50 ms": statistics.median(bare_clock) * 1e3,
        "cpu ms": statistics.median(cpu) * 1e3,
        "floor cpu ms": statistics.median(bare_cpu) * 1e3,
    }
    figures["ratio"] = figures["p50 ms"] / figures["floor p50 ms"]
    figures["cpu ratio"] = figures["cpu ms"] / figures["floor cpu ms"]
    return figures


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(size) for size in sys.argv[2:]])
