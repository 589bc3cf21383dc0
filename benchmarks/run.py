"""`make bench`: what each call costs beside the raw AWS calls that it makes, and what a start costs beside the least.

All of it runs on this machine, against DynamoDB Local and a strict S3, in a copy of what the image holds. Prints a
table beside the last run's, writes .local/bench/<time>.json and .local/bench/table.md, and with --publish the table in
docs/performance.md.
"""

import argparse
import json
import resource
import statistics
import subprocess
import time

from benchmarks.report import report
from benchmarks.served import throughput
from benchmarks.task import PYTHON, TASK, build, environ_of, run
from tests.integration import peers


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=200, help="calls of each endpoint")
    options.add_argument("--starts", type=int, default=25, help="cold starts of each kind")
    options.add_argument("--rows", type=int, nargs="+", default=[100, 10_000], help="recordings in the accounts")
    options.add_argument("--callers", type=int, nargs="*", default=[1, 8, 32], help="of gunicorn, at once")
    options.add_argument("--publish", action="store_true", help="write the table into docs/performance.md too")
    chosen = options.parse_args()
    build()
    environ = peers.environ()
    with peers.running(environ["AWS_ENDPOINT_URL_DYNAMODB"], environ["AWS_ENDPOINT_URL_S3"]):
        run("manage.py", "create_tables", environ=environ)
        sizes = map(str, chosen.rows)
        measured = json.loads(run("-m", "benchmarks.endpoints", str(chosen.rounds), *sizes, environ=environ))
        figures, key = measured["figures"], measured["key"]
        figures["cold start"] = cold(key, environ, chosen.starts)
        megabytes = run("-m", "benchmarks.cold", "memory", key, environ=environ)
        figures["memory after 1,000 lists"] = {"MB": float(megabytes.split()[-1])}
        figures |= throughput(key, environ, chosen.callers)
    report(figures, publish=chosen.publish)


def cold(key: str, environ: dict[str, str], starts: int) -> dict[str, float]:
    """Process start to the first answer, beside the floor. They take turns; the first of each does not count."""
    taken: dict[str, list[tuple[float, float]]] = {"app": [], "floor": []}
    for _ in range(starts + 1):
        for kind, times in taken.items():
            before, start = children_cpu(), time.perf_counter()
            command = [str(PYTHON), "-m", "benchmarks.cold", kind, key]
            subprocess.run(command, cwd=TASK, env=environ_of(environ), check=True, stderr=subprocess.DEVNULL)
            times.append((time.perf_counter() - start, children_cpu() - before))
    clock, cpu, bare_clock, bare_cpu = (
        [each[column] * 1e3 for each in taken[kind][1:]] for kind in ("app", "floor") for column in (0, 1)
    )
    return {
        "p50 ms": statistics.median(clock),
        "p99 ms": max(clock),
        "floor p50 ms": statistics.median(bare_clock),
        "ratio": statistics.median(clock) / statistics.median(bare_clock),
        "cpu ms": statistics.median(cpu),
        "floor cpu ms": statistics.median(bare_cpu),
        "cpu ratio": statistics.median(app / floor for app, floor in zip(cpu, bare_cpu, strict=True)),
    }


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
