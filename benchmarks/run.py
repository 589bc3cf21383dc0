"""`make bench`: what each call costs beside the raw AWS calls that it makes, and what a start costs beside the least.

Everything runs on this machine against DynamoDB Local and a strict S3. The floor of an endpoint is the same calls with
the same arguments through a bare botocore client in the same process. Prints a table, writes
.local/bench/<time>.json, and sets the last run beside this one.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.integration import peers

os.environ |= {"LOCAL": "true", "AWS_REGION": "us-east-1", "DJANGO_SETTINGS_MODULE": "recorder_project.settings"}
os.environ |= peers.environ()
os.environ["AWS_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]

RESULTS = Path(__file__).resolve().parent.parent / ".local" / "bench"
Figures = dict[str, dict[str, float]]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=200, help="calls of each endpoint")
    options.add_argument("--starts", type=int, default=15, help="cold starts of each kind")
    options.add_argument("--rows", type=int, nargs="+", default=[100, 10_000], help="recordings in the tables")
    chosen = options.parse_args()
    with peers.running(os.environ["AWS_ENDPOINT_URL_DYNAMODB"], os.environ["AWS_ENDPOINT_URL_S3"]):
        import django

        django.setup()
        from django.core.management import call_command

        call_command("create_tables", verbosity=0)
        figures = measure(chosen.rounds, chosen.starts, chosen.rows)
    report(figures)


def measure(rounds: int, starts: int, sizes: list[int]) -> Figures:
    from benchmarks.endpoints import Bench

    bench = Bench()
    figures: Figures = {}
    seeded = 0
    for size in sizes:
        bench.seed(seeded, size)
        seeded = size
        for name in ("list", "list: tag", "detail", "changes", "check 500"):
            figures[f"{name} ({size} rows)"] = bench.endpoint(name, rounds)
    for name in ("me", "download", "create", "complete", "change", "trash", "restore", "parts", "purge"):
        figures[name] = bench.endpoint(name, rounds)
    figures["cold start"] = cold(bench.key, starts)
    figures["memory after 1,000 requests"] = {"MB": bench.memory(1000)}
    for callers in (1, 8, 32):
        figures[f"gunicorn, {callers} callers"] = served(bench.key, callers)
    return figures


def cold(key: str, starts: int) -> dict[str, float]:
    """Process start to the first answer, beside the floor; CPU seconds, which a busy machine distorts least."""
    taken: dict[str, list[tuple[float, float]]] = {"app": [], "floor": []}
    for _ in range(starts):
        for kind, times in taken.items():
            before, start = children_cpu(), time.perf_counter()
            subprocess.run([sys.executable, "-m", "benchmarks.cold", kind, key], check=True)
            times.append((time.perf_counter() - start, children_cpu() - before))
    app, floor = ([statistics.median(column) for column in zip(*taken[kind], strict=True)] for kind in taken)
    return {"p50 ms": app[0] * 1e3, "cpu ms": app[1] * 1e3, "floor ms": floor[1] * 1e3, "ratio": app[1] / floor[1]}


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def served(key: str, callers: int, seconds: float = 5) -> dict[str, float]:
    """Lists answered a second by gunicorn with two workers of eight threads."""
    import httpx

    port = peers.environ()["AWS_ENDPOINT_URL_S3"].rpartition(":")[2]
    command = ["gunicorn", "recorder_project.wsgi:application", "-w", "2", "--threads", "8", "-b", f"127.0.0.1:{port}"]
    server = subprocess.Popen([sys.executable, "-m", *command], stderr=subprocess.DEVNULL)
    url, headers = f"http://127.0.0.1:{port}/api/v1/recordings/", {"Authorization": f"Bearer {key}"}
    times: list[float] = []

    def call_until(end: float) -> None:
        with httpx.Client(headers=headers, timeout=30) as client:
            while time.monotonic() < end:
                start = time.perf_counter()
                client.get(url).raise_for_status()
                times.append(time.perf_counter() - start)

    try:
        wait_for(lambda: httpx.get(url, headers=headers, timeout=30).status_code == 200)
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=call_until, args=(end,)) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        server.terminate()
        server.wait()
    return {"p50 ms": percentile(times, 50), "p99 ms": percentile(times, 99), "a second": len(times) / seconds}


def wait_for(true: Callable[[], bool]) -> None:
    import httpx

    for _ in range(200):
        try:
            if true():
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError("gunicorn does not answer")


def percentile(times: list[float], percent: int) -> float:
    """Milliseconds."""
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)] * 1e3


def report(figures: Figures) -> None:
    earlier = sorted(RESULTS.glob("*.json"))
    last: Figures = json.loads(earlier[-1].read_text())["figures"] if earlier else {}
    columns = ["p50 ms", "p99 ms", "cpu ms", "floor ms", "ratio", "a second", "MB"]
    print(f"{'':34}" + "".join(f"{column:>10}" for column in columns) + "      last")
    for name, row in figures.items():
        cells = "".join(f"{row[column]:>10.2f}" if column in row else " " * 10 for column in columns)
        key = "ratio" if "ratio" in row else next(iter(row))
        before = f"{last[name][key]:>10.2f} {key}" if key in last.get(name, {}) else ""
        print(f"{name:34}{cells}{before}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "machine": platform.machine()}
    document = {"machine": machine, "figures": figures}
    (RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}.json").write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
