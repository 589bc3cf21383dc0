"""Lists answered a second by gunicorn, with two workers of eight threads, as the image's `serve` starts it."""

import http.client
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from benchmarks.task import PYTHON, TASK, environ_of
from tests.integration import peers

SLICES, SECONDS = 5, 2.0
PATH = "/api/v1/recordings/"


@contextmanager
def serving(application: str, environ: dict[str, str]) -> Iterator[int]:
    """The port where it answers."""
    port = int(peers.environ()["AWS_ENDPOINT_URL_S3"].rpartition(":")[2])
    command = [str(PYTHON), "-m", "gunicorn", application, "-w", "2", "--threads", "8", "-b", f"127.0.0.1:{port}"]
    server = subprocess.Popen(command, cwd=TASK, env=environ_of(environ), stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        server.terminate()
        server.wait()


def throughput(key: str, environ: dict[str, str], callers: list[int]) -> dict[str, dict[str, float]]:
    """By number of callers. Recorder and the bare calls take turns of some seconds."""
    with (
        serving("recorder_project.wsgi:application", environ) as port,
        serving("benchmarks.bare:application", environ) as bare_port,
    ):
        for each in (port, bare_port):
            wait_for(each, key)
        return {f"gunicorn, {number} callers": compared(port, bare_port, key, number) for number in callers}


def compared(port: int, bare_port: int, key: str, callers: int) -> dict[str, float]:
    taken, bare = [], []
    for _ in range(SLICES):
        taken.append(answers(port, key, callers))
        bare.append(answers(bare_port, key, callers))
    times, bare_times = sorted(chain(*taken)), sorted(chain(*bare))
    a_second, least = rate(taken), rate(bare)
    return {
        "p50 ms": statistics.median(times) * 1e3,
        "p99 ms": times[len(times) * 99 // 100] * 1e3,
        "floor p50 ms": statistics.median(bare_times) * 1e3,
        "a second": a_second,
        "floor a second": least,
        "ratio": least / a_second,
    }


def rate(slices: list[list[float]]) -> float:
    return statistics.median(len(each) for each in slices) / SECONDS


def answers(port: int, key: str, callers: int) -> list[float]:
    """How long each answer took, of all that so many callers got in one slice."""
    times: list[float] = []
    end = time.monotonic() + SECONDS

    def call() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.monotonic() < end:
            start = time.perf_counter()
            ask(connection, key)
            times.append(time.perf_counter() - start)
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def ask(connection: http.client.HTTPConnection, key: str) -> None:
    connection.request("GET", PATH, headers={"Authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, answer.status


def wait_for(port: int, key: str) -> None:
    for _ in range(300):
        try:
            ask(http.client.HTTPConnection("127.0.0.1", port, timeout=30), key)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("gunicorn does not answer")
