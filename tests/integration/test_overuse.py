"""A guest who races himself: many calls at once, in every way bytes come in, and never a byte above the quota."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from pytest_django import Settings

from accounts import grants
from aws import s3
from operations.lambda_handler import handler
from recordings.uploads import id_of
from tests.client import Client, declare, sha256
from tests.client import send as put
from tests.integration.test_concurrency import device
from tests.state import check_books, ledger, objects, row
from tests.web.test_uppy import Uppy, submit

QUOTA = 1000
CONTENTS = [bytes([number]) * (150 + 50 * number) for number in range(8)]  # together 2600 bytes
THREADS, STEPS = 8, 25


@pytest.fixture(autouse=True)
def small_quota(settings: Settings) -> None:
    settings.GUEST_QUOTA_BYTES = QUOTA


class Racer:
    """One device of the guest. What it is told may be an error; what it does is never more than it may."""

    def __init__(self, client: Client, endpoint: str, seed: int) -> None:
        self.user_id = client.user_id
        self.client, self.uppy, self.chance = device(client), Uppy(client, endpoint), random.Random(seed)

    def run(self) -> None:
        for _ in range(STEPS):
            content = self.chance.choice(CONTENTS)
            self.chance.choice([self.create, self.create, self.resize, self.small, self.form, self.purge])(content)

    def create(self, content: bytes) -> None:
        answer = self.client.create(content)
        if answer.status in (200, 201) and answer.json["upload"]:
            assert put(answer.json["upload"], content).status_code in (200, 412)
            self.client.post(f"recordings/{answer.json['recording']['id']}/complete/")

    def resize(self, content: bytes) -> None:
        """A size that is not the content's: what is then sent can't be it."""
        size = len(content) + self.chance.choice([-50, 50])
        answer = self.client.post("recordings/", declare(content, size=size))
        if answer.status in (200, 201) and answer.json["upload"]:
            upload = answer.json["upload"]
            assert (
                requests.put(upload["url"], data=b"z" * size, headers=upload["headers"], timeout=20).status_code >= 400
            )

    def small(self, content: bytes) -> None:
        assert self.client.upload(content).status in (200, 201, 409, 503)

    def form(self, content: bytes) -> None:
        given = self.uppy.params(content)
        if given.status == 200:
            submit(given.json, content)

    def purge(self, content: bytes) -> None:
        """The app's own recording, or Uppy's."""
        grant = self.chance.choice(["", grants.id_of(self.uppy.base.rpartition("/")[2])])
        self.client.delete(f"recordings/{id_of(self.user_id, sha256(content), grant)}/?permanent=true")


def watch(client: Client, over: threading.Event, seen: list[int]) -> None:
    while not over.is_set():
        seen.append(ledger(client.user_id).used_bytes)


def settle(client: Client) -> None:
    """S3's events for what is there, as it would send them."""
    keys = [item.key for page in s3.list_objects(f"recordings/{client.user_id}/") for item in page]
    records = [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": {"key": k}}} for k in keys]
    if records:
        handler({"Records": records})


@pytest.mark.parametrize("seed", [1, 2])
def test_racing_is_no_way_around_the_quota(alice: Client, seed: int) -> None:
    endpoint = alice.post("recordings/uppy/").json["endpoint"]
    racers = [Racer(alice, endpoint, 100 * seed + number) for number in range(THREADS)]
    over, seen = threading.Event(), [0]
    watcher = threading.Thread(target=watch, args=(alice, over, seen))
    watcher.start()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(racer.run) for racer in racers]:
                done.result()
    finally:
        over.set()
        watcher.join()
    settle(alice)
    settle(alice)
    assert max(seen) > QUOTA / 2
    assert max(seen) <= QUOTA
    stored = objects()
    for key, content in stored.items():
        found = row(alice.user_id, key.split("/")[2])
        assert found is not None
        assert (found.key, found.size, found.sha256) == (key, len(content), sha256(content))
    assert sum(map(len, stored.values())) <= ledger(alice.user_id).used_bytes <= QUOTA
    assert list(s3.list_uploads("")) in ([], [[]])
    check_books(alice.user_id)
