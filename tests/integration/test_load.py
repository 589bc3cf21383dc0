"""Everything at once, for minutes, while DynamoDB and S3 fail now and then: nothing is lost, altered or left over.

Devices speak to gunicorn in a process of its own, and it to its peers through relays that fail (faults.py). What they
say has been acknowledged is there at the end, bit for bit, and verify_storage finds nothing once the sweep has done
what is due and S3's events have come. Requests answer nothing above 500 but 503, and memory stays flat.
"""

import io
import random
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from accounts.services import set_quota
from aws import s3
from operations.lambda_handler import handler
from recordings.keys import UserId
from tests.client import Client, sign_up
from tests.integration import faults
from tests.integration.devices import Account, Device
from tests.integration.test_kill import serving
from tests.mirror import stored
from tests.processes import free_port
from tests.state import check_books, kept

ACCOUNTS, DEVICES = 4, 2  # of each
GROWTH = 20 * 2**20  # bytes of a worker's memory, from the second third of the time to the last


@contextmanager
def served(tmp_path: Path, dice: random.Random) -> Iterator[tuple[str, int, list[faults.Faulty]]]:
    """The API's address, its worker's process id, and the relays between it and its peers."""
    assert settings.DYNAMODB_ENDPOINT_URL
    assert settings.S3_ENDPOINT_URL
    address = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        peers = ((settings.DYNAMODB_ENDPOINT_URL, faults.DYNAMODB), (settings.S3_ENDPOINT_URL, faults.S3))
        relays = [stack.enter_context(faults.failing_now_and_then(*peer, dice)) for peer in peers]
        endpoints = {
            "AWS_ENDPOINT_URL_DYNAMODB": relays[0].url,
            "AWS_ENDPOINT_URL_S3": relays[1].url,
            "S3_PUBLIC_ENDPOINT_URL": settings.S3_ENDPOINT_URL,
        }
        master = stack.enter_context(serving(address, tmp_path / "api.log", endpoints))
        children = subprocess.run(["pgrep", "-P", str(master)], capture_output=True, text=True, check=True)
        yield f"http://{address}", int(children.stdout), relays


class Scale(threading.Thread):
    """Weighs a process every second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.weights, self.over = str(pid), list[int](), threading.Event()

    def run(self) -> None:
        while not self.over.wait(1):
            shown = subprocess.run(["ps", "-o", "rss=", "-p", self.pid], capture_output=True, text=True, check=True)
            self.weights.append(int(shown.stdout) * 1024)

    def growth(self) -> int:
        """From the median of the second third to that of the last; the first is for loading what is needed."""
        third = len(self.weights) // 3
        return int(statistics.median(self.weights[2 * third :]) - statistics.median(self.weights[third : 2 * third]))


def deliver_events() -> None:
    """All that S3 would have said of what is there by now."""
    for page in s3.list_objects("recordings/"):
        for item in page:
            event = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": {"key": item.key}}}
            handler({"Records": [event]})


def differences() -> str:
    output = io.StringIO()
    try:
        call_command("verify_storage", "--deep", stdout=output, stderr=io.StringIO())
    except SystemExit:
        return output.getvalue()
    return ""


def check_account(account: Account, devices: list[Device]) -> int:
    """Each recording that was acknowledged is there, and each device's copy becomes what is there."""
    client = Client(account.auth_key)
    for id in account.kept.keys() - account.purged:
        row = kept(account.user_id, id)
        assert (row.status, row.sha256) == ("ready", account.kept[id])
        assert row.verified_at
        assert s3.digest(row.key) == account.kept[id], f"{id} is altered"
    check_books(account.user_id)
    there = stored(client)
    for device in devices:
        while device.mirror.follow(client, 100)[1]:
            pass
        assert device.mirror.rows == there
    return len(account.kept.keys() - account.purged)


@pytest.mark.parametrize(
    "seconds", [pytest.param(180, marks=pytest.mark.load), pytest.param(1800, marks=pytest.mark.soak)]
)
def test_nothing_is_lost_under_load(
    aws: None, tmp_path: Path, capfd: pytest.CaptureFixture[str], seconds: float
) -> None:
    seed = random.randrange(2**32)
    with served(tmp_path, random.Random(seed)) as (url, worker, relays):
        scale = Scale(worker)
        people = [sign_up() for _ in range(ACCOUNTS)]
        accounts = [Account(person.auth_key, person.user_id) for person in people]
        for account in accounts:
            set_quota(UserId(account.user_id), 100 * 2**30)  # half an hour fills a gigabyte
        until = time.monotonic() + seconds
        devices = [
            Device(url, account, random.Random(f"{seed} {number}"), until)
            for number, account in enumerate(accounts * DEVICES)
        ]
        for thread in (scale, *devices):
            thread.start()
        for device in devices:
            device.join(seconds + 300)
        scale.over.set()
        scale.join()  # before the worker ends, which it could not weigh any more
        injected = [dict(relay.done) for relay in relays]
    statuses = sum((device.statuses for device in devices), Counter[str]())
    shown = (tmp_path / "api.log").read_text()
    least, most = min(scale.weights) >> 20, max(scale.weights) >> 20
    with capfd.disabled():
        print(f"\nseed {seed}; {statuses.total()} requests: {dict(statuses)}")
        print(f"at DynamoDB {injected[0]}; at S3 {injected[1]}")
        print(f"memory {least} to {most} MiB, grew by {scale.growth() >> 10} KiB")
    assert not [fault for device in devices for fault in device.faults]
    assert not [status for status in statuses if status[-3:] >= "500" and status[-3:] != "503"]
    assert "Traceback" not in shown
    assert scale.growth() < GROWTH

    call_command("sweep", stdout=io.StringIO())
    deliver_events()
    assert differences() == ""
    alive = sum(
        check_account(account, [device for device in devices if device.account is account]) for account in accounts
    )
    with capfd.disabled():
        print(f"{alive} recordings are there, {sum(len(account.purged) for account in accounts)} were purged")
