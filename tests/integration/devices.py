"""Devices that use Recorder all at once, and repeat what failed as the documentation says."""

import hashlib
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

import requests

from tests.client import Answer, Client, declare, sha256
from tests.mirror import Mirror

PART = 8 * 2**20
LARGE = 2 * PART + 12_345
PATIENCE = 120  # seconds that a device goes on repeating


@dataclass
class Account:
    """What two devices of one person know together."""

    auth_key: str
    user_id: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: dict[str, str] = field(default_factory=dict)  # the SHA-256 of each recording that was acknowledged, by id
    purged: set[str] = field(default_factory=set)  # or may be, from just before the call on


@dataclass
class Device(threading.Thread):
    url: str
    account: Account
    dice: random.Random
    until: float
    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.http = requests.Session()
        self.mirror = Mirror()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        acts = {self.upload: 25, self.send: 20, self.send_parts: 1, self.look: 10, self.sync: 10, self.listen: 15}
        acts |= {self.rename: 6, self.trash: 4, self.restore: 3, self.purge: 2, self.check: 3}
        while time.monotonic() < self.until and not self.faults:
            (act,) = self.dice.choices(list(acts), list(acts.values()))
            try:
                act()
            except Exception as error:  # noqa: BLE001 - a thread's is seen by nobody
                self.faults.append(f"{act.__name__}: {error!r}")

    def ask(self, method: str, path: str, *right: int, **options: Any) -> requests.Response:
        """Repeat while the answer is 503 or 429. `right` are the statuses that may come."""
        end = time.monotonic() + PATIENCE
        headers = {"Authorization": f"Bearer {self.account.auth_key}"} | options.pop("headers", {})
        while True:
            answer = self.http.request(method, f"{self.url}/api/v1/{path}", headers=headers, timeout=40, **options)
            self.statuses[f"{method} {answer.status_code}"] += 1
            if answer.status_code not in (429, 503) or time.monotonic() > end:
                break
            assert answer.headers["Content-Type"] == "application/problem+json"
            time.sleep(self.dice.uniform(0, int(answer.headers["Retry-After"])))
        assert answer.status_code in right, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer

    def content(self, size: int) -> bytes:
        return self.dice.randbytes(size)

    def acknowledged(self, id: str, content: bytes) -> None:
        with self.account.lock:
            self.account.kept[id] = sha256(content)

    def some(self) -> str:
        """A recording that was acknowledged once; another device may have purged it since."""
        with self.account.lock:
            return self.dice.choice(list(self.account.kept) or ["0" * 32])

    def missing(self, id: str, answer: requests.Response) -> bool:
        """Whether it is not there, which it may only be after a purge."""
        if answer.status_code != 404:
            return False
        assert id == "0" * 32 or id in self.account.purged, f"{id} is lost"
        return True

    def upload(self) -> None:
        content = self.content(self.dice.randrange(1, 50_000))
        kind = {"Content-Type": "audio/wav"}
        made = self.ask("PUT", f"recordings/upload/{len(content)}.wav/", 200, 201, data=content, headers=kind).json()
        assert (made["sha256"], made["status"], bool(made["verified_at"])) == (sha256(content), "ready", True)
        self.acknowledged(made["id"], content)

    def send(self) -> None:
        content = self.content(self.dice.randrange(1, 50_000))
        created = self.ask("POST", "recordings/", 200, 201, json=declare(content)).json()
        upload, id = created["upload"], created["recording"]["id"]
        assert requests.put(upload["url"], content, headers=upload["headers"], timeout=60).status_code == 200
        assert self.ask("POST", f"recordings/{id}/complete/", 200).json()["verified_at"]
        self.acknowledged(id, content)

    def send_parts(self) -> None:
        content = self.content(LARGE)
        created = self.ask("POST", "recordings/", 200, 201, json=declare(content)).json()
        id = created["recording"]["id"]
        pieces = [content[start : start + PART] for start in range(0, LARGE, PART)]
        wanted = [{"number": number, "sha256": sha256(piece)} for number, piece in enumerate(pieces, 1)]
        for part in self.ask("POST", f"recordings/{id}/parts/", 200, json={"parts": wanted}).json()["parts"]:
            piece = pieces[part["number"] - 1]
            assert requests.put(part["url"], piece, headers=part["headers"], timeout=60).status_code == 200
        assert self.ask("POST", f"recordings/{id}/complete/", 200).json()["status"] == "ready"
        self.acknowledged(id, content)

    def look(self) -> None:
        page = self.ask("GET", "recordings/?limit=20", 200).json()
        assert all(row["status"] == "ready" for row in page["results"])

    def get(self, path: str) -> Answer:
        """As tests.client has it."""
        return Answer(self.ask("GET", path, 200))

    def sync(self) -> None:
        more = True
        while more:
            _, more = self.mirror.follow(cast("Client", self), 100)

    def listen(self) -> None:
        id = self.some()
        answer = self.ask("GET", f"recordings/{id}/download/?redirect=false", 200, 404)
        if not self.missing(id, answer):
            got = requests.get(answer.json()["url"], timeout=60)
            if got.status_code == 200:
                assert hashlib.sha256(got.content).hexdigest() == self.account.kept[id], f"{id} is altered"
            else:
                assert id in self.account.purged

    def rename(self) -> None:
        id = self.some()
        news = {"name": f"Talk {self.dice.random()}", "tags": ["a"], "favorite": self.dice.random() < 0.5}
        self.missing(id, self.ask("PATCH", f"recordings/{id}/", 200, 404, json=news))

    def trash(self) -> None:
        id = self.some()
        self.missing(id, self.ask("DELETE", f"recordings/{id}/", 204, 404))

    def restore(self) -> None:
        id = self.some()
        self.missing(id, self.ask("POST", f"recordings/{id}/restore/", 200, 404))

    def purge(self) -> None:
        id = self.some()
        with self.account.lock:
            self.account.purged.add(id)
        self.ask("DELETE", f"recordings/{id}/?permanent=true", 204, 404)

    def check(self) -> None:
        id = self.some()
        if id in self.account.kept:
            (found,) = self.ask("POST", "recordings/check/", 200, json={"sha256": [self.account.kept[id]]}).json()[
                "results"
            ]
            assert found["status"] in ("ready", "trashed") or id in self.account.purged
