"""`make run`, killed again and again while eight people use it: nothing that it acknowledged is lost or altered.

`kill -9` of everything at once, at a moment that nobody chose. What was asked for and not answered may have happened
or not; what was answered must be there, bit for bit, and no version of an account may stand for two states.
"""

import contextlib
import hashlib
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import free_ports
from tests.walk import descendants

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = 8
STARTS_WITHIN = 120  # seconds, on a machine with much to do
GONE = None


class Server:
    """What `make run` runs, in process groups that a test may kill."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.starts: list[float] = []  # seconds that each start took
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        port, aws = free_ports(2)
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            **dict.fromkeys(("SECRET_KEY", "ALLOWED_HOSTS", "PUBLIC_URL", "CORS_ORIGINS", "AWS_REGION"), ""),
            **dict.fromkeys(("USERS_TABLE", "RECORDINGS_TABLE", "CHANGES_TABLE", "RECORDINGS_BUCKET"), ""),
            "LOCAL": "true",
            "LOCAL_DIR": str(self.home),
            "EMBEDDED_AWS_PORT": str(aws),
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
        }
        command = [sys.executable, "manage.py", "runserver", f"127.0.0.1:{port}", "--noreload"]
        began = time.monotonic()
        with (self.home / "output").open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environ, stdout=output, stderr=output, start_new_session=True
            )
        while not self.healthy(port):
            assert self.process.poll() is None, (self.home / "output").read_text()
            assert time.monotonic() < began + STARTS_WITHIN, (self.home / "output").read_text()
            time.sleep(0.05)
        self.starts.append(time.monotonic() - began)
        return f"http://127.0.0.1:{port}/api/v1/"

    def healthy(self, port: int) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health/?deep=1", timeout=30, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """The groups of all processes, in any order."""
        if not self.process:
            return
        groups = list({os.getpgid(pid) for pid in descendants(self.process.pid)})
        random.shuffle(groups)
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self.process.wait()
        self.process = None


@dataclass
class Known:
    """A recording as its owner knows it. `names` are those that it may have: more than one after no answer came."""

    sha256: str
    data: bytes
    names: set[str | None]  # None: purged
    version: int = 0  # of the last answer
    proven: bool = False


@dataclass
class Person:
    """An account, and everything that the server has acknowledged to it."""

    number: int
    key: str
    known: dict[str, Known] = field(default_factory=dict)
    unanswered: dict[str, bytes] = field(default_factory=dict)  # bytes by SHA-256
    states: dict[int, tuple[Any, ...]] = field(default_factory=dict)  # by version
    answers: int = 0
    fresh: set[str] = field(default_factory=set)  # ids whose bytes are to be compared after the next start

    def work(self, base: str, over: threading.Event) -> None:
        """Upload, rename and purge until the server is gone."""
        with self.http(base) as http:
            while not over.is_set():
                try:
                    random.choice((self.upload, self.upload, self.send_to_s3, self.rename, self.purge))(http)
                except httpx.TransportError:
                    time.sleep(0.05)

    def http(self, base: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=base, headers=headers, timeout=60, trust_env=False)

    def answered(self, response: httpx.Response, *statuses: int) -> bool:
        """Whether it was done. A 5xx says nothing: a part of the server may have been killed before the other."""
        if response.status_code >= 500:
            return False
        assert response.status_code in statuses, response.text
        self.answers += 1
        return True

    def note(self, recording: dict[str, Any]) -> None:
        """A version stands for one state, now and for ever."""
        state = (recording["id"], recording["name"], recording["sha256"], recording["status"])
        assert self.states.setdefault(recording["version"], state) == state

    def new(self) -> tuple[bytes, str]:
        data = random.randbytes(random.randrange(1, 20_000))
        sha256 = hashlib.sha256(data).hexdigest()
        self.unanswered[sha256] = data
        return data, sha256

    def acknowledge(self, recording: dict[str, Any], data: bytes) -> None:
        self.note(recording)
        assert recording["status"] == "ready"
        assert recording["verified_at"]
        self.unanswered.pop(recording["sha256"])
        id, names = recording["id"], {recording["name"]}
        self.known[id] = Known(recording["sha256"], data, names, recording["version"], proven=True)
        self.fresh.add(id)

    def upload(self, http: httpx.Client) -> None:
        data, _ = self.new()
        response = http.put("recordings/upload/a.wav/", content=data, headers={"Content-Type": "audio/wav"})
        if self.answered(response, 201):
            self.acknowledge(response.json(), data)

    def send_to_s3(self, http: httpx.Client) -> None:
        data, sha256 = self.new()
        declared = {"name": "b.wav", "size": len(data), "sha256": sha256, "content_type": "audio/wav"}
        response = http.post("recordings/", json=declared)
        if not self.answered(response, 201):
            return
        upload, id = response.json()["upload"], response.json()["recording"]["id"]
        sent = httpx.put(upload["url"], content=data, headers=upload["headers"], timeout=60, trust_env=False)
        if sent.status_code >= 500:
            return
        assert sent.status_code == 200, sent.text
        self.known[id] = Known(sha256, data, {"b.wav"})  # S3 has acknowledged it: it becomes ready by itself
        self.fresh.add(id)
        response = http.post(f"recordings/{id}/complete/")
        if self.answered(response, 200):
            self.acknowledge(response.json(), data)

    def rename(self, http: httpx.Client) -> None:
        if not (settled := [id for id, known in self.known.items() if known.proven and len(known.names) == 1]):
            return
        id, name = random.choice(settled), f"{random.random()}.wav"
        known = self.known[id]
        if GONE in known.names:
            return
        known.names.add(name)
        response = http.patch(f"recordings/{id}/", json={"name": name})
        if self.answered(response, 200):
            self.note(response.json())
            known.names, known.version = {name}, response.json()["version"]

    def purge(self, http: httpx.Client) -> None:
        if random.random() < 0.7 or not (settled := [id for id, each in self.known.items() if each.names != {GONE}]):
            return
        id = random.choice(settled)
        self.known[id].names.add(GONE)
        if self.answered(http.delete(f"recordings/{id}/", params={"permanent": "true"}), 204, 404):
            self.known[id].names = {GONE}

    def check(self, base: str, *, everything: bool = False) -> None:
        """Compare all that was acknowledged with what the server says, and the bytes of what is new."""
        with self.http(base) as http:
            found = self.changes(http)
            for id, known in self.known.items():
                self.check_one(found.get(id), known)
            for id in self.known if everything else self.fresh:
                if id in found:
                    self.check_bytes(http, id, self.known[id].data)
        self.fresh.clear()

    def changes(self, http: httpx.Client) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        page: dict[str, Any] = {"cursor": "", "has_more": True}
        while page["has_more"]:
            response = http.get("recordings/changes/", params={"cursor": page["cursor"]} if page["cursor"] else {})
            assert response.status_code == 200, response.text
            page = response.json()
            for entry in page["changes"]:
                if not entry.get("deleted"):
                    found[entry["id"]] = entry
        assert len({entry["version"] for entry in found.values()}) == len(found)
        for entry in found.values():
            self.note(entry)
        return found

    def check_one(self, entry: dict[str, Any] | None, known: Known) -> None:
        if entry is None:
            assert GONE in known.names, f"{self.number} has lost {known}"
            known.names = {GONE}
            return
        assert entry["sha256"] == known.sha256
        assert entry["name"] in known.names
        assert entry["version"] >= known.version
        assert not known.proven or entry["verified_at"]
        known.names, known.version = {entry["name"]}, entry["version"]

    def check_bytes(self, http: httpx.Client, id: str, data: bytes) -> None:
        deadline = time.monotonic() + 60
        while (response := http.get(f"recordings/{id}/download/")).status_code == 409:  # S3's event is on its way
            assert time.monotonic() < deadline, response.text
            time.sleep(0.2)
        assert response.status_code == 302, response.text
        assert httpx.get(response.headers["location"], timeout=60, trust_env=False).content == data
        self.known[id].proven = True


@pytest.fixture
def server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Server]:
    caplog.set_level(logging.WARNING, "httpx")
    server = Server(tmp_path)
    try:
        yield server
    finally:
        server.kill()


@pytest.mark.parametrize(
    "kills", [pytest.param(5, marks=pytest.mark.check), pytest.param(200, marks=pytest.mark.soak)]
)
def test_nothing_that_was_acknowledged_is_lost_to_kills(server: Server, kills: int) -> None:
    base = server.start()
    people = [Person(number, sign_up(base)) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(kills):
            over = threading.Event()
            working = [pool.submit(person.work, base, over) for person in people]
            time.sleep(random.uniform(0.2, 2.5))
            server.kill()
            over.set()
            for each in working:
                each.result()
            base = server.start()
            check_all(pool, people, base)
        check_all(pool, people, base, everything=True)
    answers, recordings = sum(person.answers for person in people), sum(len(person.known) for person in people)
    starts = sorted(server.starts)
    print(
        f"\n{kills} kills, {answers} answers about {recordings} recordings; a start took"
        f" {starts[len(starts) // 2]:.1f} s in the middle, {starts[-1]:.1f} s at most"
    )
    assert answers > kills


def check_all(pool: ThreadPoolExecutor, people: list[Person], base: str, *, everything: bool = False) -> None:
    for each in [pool.submit(person.check, base, everything=everything) for person in people]:
        each.result()


def sign_up(base: str) -> str:
    response = httpx.post(f"{base}accounts/login/", json={"provider": "guest"}, timeout=60, trust_env=False)
    return str(response.json()["auth_key"])
