"""A backup that is killed again and again, with the API in a process of its own and S3 as strict as Amazon's.

Relays stand between the client and the API, the client and S3, and the API and S3: they show that no byte of the
recording passes the API, and that no part that S3 has is sent again.
"""

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import httpx
import pytest
from django.conf import settings

from aws import s3 as storage
from examples.client import Recorder
from operations.lambda_handler import handler
from tests.integration.relay import Relay, relaying
from tests.processes import free_port
from tests.state import check_books, kept, snapshot

ROOT = Path(__file__).resolve().parents[2]
SIZE = 200 * 10**6
PART = 8 * 2**20


@dataclass
class Scene:
    """The three relays, and the process that serves the API."""

    api: Relay
    s3: Relay  # as the client reaches it
    inner: Relay  # as the API reaches it
    worker: int

    def resident(self) -> int:
        """Bytes of the API's memory."""
        shown = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.worker)], capture_output=True, text=True, check=True
        )
        return int(shown.stdout) * 1024


@pytest.fixture
def scene(aws: None, tmp_path: Path) -> Iterator[Scene]:
    assert settings.S3_ENDPOINT_URL
    address = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        s3, inner, api = (
            stack.enter_context(relaying(target))
            for target in (settings.S3_ENDPOINT_URL, settings.S3_ENDPOINT_URL, f"http://{address}")
        )
        endpoints = {"AWS_ENDPOINT_URL_S3": inner.url, "S3_PUBLIC_ENDPOINT_URL": s3.url}
        master = stack.enter_context(serving(address, tmp_path / "api.log", endpoints))
        children = subprocess.run(["pgrep", "-P", str(master)], capture_output=True, text=True, check=True)
        yield Scene(api, s3, inner, int(children.stdout))


@contextmanager
def serving(address: str, log: Path, endpoints: dict[str, str]) -> Iterator[int]:
    """gunicorn with one worker. Yields its process id once it answers."""
    environ = os.environ | {"LOCAL": "true", "ALLOWED_HOSTS": "127.0.0.1", "GUEST_QUOTA_BYTES": str(2**30)} | endpoints
    command = [sys.executable, "-m", "gunicorn", "recorder_project.wsgi", "--bind", address, "--threads", "8"]
    command += ["--keep-alive", "75"]  # seconds: longer than any client rests, who would meet a connection that closes
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=output)
    try:
        wait_for(60, lambda: answers(address) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)  # it gives requests 30 seconds to end


def answers(address: str) -> bool:
    try:
        with urlopen(f"http://{address}/health/", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_for(seconds: float, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def backup(scene: Scene, recorder: Recorder, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    environ = os.environ | {"RECORDER_KEY": recorder.auth_key, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "examples", "--url", scene.api.url, "backup", str(folder), "--wait", "0"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def run(scene: Scene, recorder: Recorder, folder: Path) -> str:
    with backup(scene, recorder, folder) as process:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return output


def kill_somewhere(scene: Scene, recorder: Recorder, folder: Path, share: float, dice: random.Random) -> int:
    """Begin a backup and kill it: mostly once it has sent a random number of bytes, sometimes before it sends any."""
    begun, seconds = scene.s3.received, dice.uniform(0, 1.5)
    enough = begun + dice.uniform(0, 1.5 * share)  # never all that is left
    early = dice.random() < 0.2
    with backup(scene, recorder, folder) as process:
        start = time.monotonic()
        wait_for(
            300,
            lambda: (
                process.poll() is not None
                or scene.s3.received > enough
                or (early and time.monotonic() - start > seconds)
            ),
        )
        assert process.poll() is None, "It was done before it was killed."
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for(120, lambda: scene.s3.under_way == scene.api.under_way == 0)  # what was sent whole arrives
    return scene.s3.received - begun


@pytest.fixture
def recorder(scene: Scene, tmp_path: Path) -> Iterator[Recorder]:
    """A guest, before whom another one was here: so the API has loaded all it needs."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "first.wav").write_bytes(bytes(2 * PART + 1))
    for folder in ("first", ""):
        with httpx.Client() as http:
            guest = Recorder(scene.api.url, http=http)
            guest.log_in_as_guest()
            if folder:
                run(scene, guest, tmp_path / folder)
            else:
                for relay in (scene.api, scene.s3, scene.inner):
                    relay.passages.clear()
                yield guest


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_arrives_bit_for_bit(scene: Scene, recorder: Recorder, tmp_path: Path, kills: int) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    print(f"seed {seed}")
    folder = tmp_path / "recordings"
    folder.mkdir()
    content = dice.randbytes(SIZE)
    (folder / "lecture.wav").write_bytes(content)
    most = before = scene.resident()
    for left in range(kills, 0, -1):
        parts = sum(each.status == 200 for each in scene.s3.puts())
        kill_somewhere(scene, recorder, folder, (SIZE - parts * PART) / (left + 1), dice)
        most = max(most, scene.resident())
    assert run(scene, recorder, folder).startswith("lecture.wav: uploaded, not verified yet")
    most = max(most, scene.resident())

    # No part that S3 has was sent again: each was answered with 200 once.
    puts = scene.s3.puts()
    assert not [each for each in puts if each.known]
    assert sorted(int(each.part) for each in puts if each.status == 200) == list(range(1, 25))
    assert {each.status for each in puts} <= {0, 200}

    # The API moved none of its bytes and its memory stayed flat.
    assert scene.api.moved + scene.inner.moved < SIZE / 200
    assert most - before < 25 * 2**20

    # It is all there, once.
    (id,) = {match[1] for each in puts if (match := re.search(r"/recordings/[0-9a-f]{32}/([0-9a-f]{32})/", each.path))}
    row = kept(recorder.user_id, id)
    assert storage.digest(row.key) == hashlib.sha256(content).hexdigest()
    event = {"eventSource": "aws:s3", "eventName": "ObjectCreated:CompleteMultipartUpload"}
    assert handler({"Records": [event | {"s3": {"object": {"key": row.key}}}]}) == {"ready": 1}
    assert run(scene, recorder, folder).startswith("lecture.wav: safe to delete from this phone")
    assert len(scene.s3.puts()) == len(puts)
    assert [key for key in snapshot()["objects"] if recorder.user_id in key] == [row.key]
    assert snapshot()["uploads"] == []
    check_books(recorder.user_id)
    sent = sum(each.size for each in puts)
    print(
        f"{kills} kills: {len(puts)} PUTs with {sent / 1e6:.0f} MB, {sum(not each.status for each in puts)} cut off; "
        f"{scene.api.moved / 1e3:.0f} kB through the API, {scene.inner.moved / 1e3:.0f} kB between it and S3; "
        f"its memory {before / 2**20:.0f} MiB, at most {most / 2**20:.0f}"
    )
