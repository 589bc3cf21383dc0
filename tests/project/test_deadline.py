"""A slow or silent DynamoDB, S3 or login provider: 503 with Retry-After, before Lambda ends the request."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django import Settings

from accounts.providers import http as remote
from aws import dynamo, presign, s3
from lib import deadline
from tests.client import Answer, Client, send
from tests.state import before_each, kept, put, snapshot

AUDIO = b"RIFF, more or less"
COLD_START = 1.5  # seconds, which count for API Gateway
API_GATEWAY = 29  # seconds, https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that takes connections and says nothing, and time-outs that are soon over."""
    monkeypatch.setattr(dynamo, "READ_TIMEOUT", 0.05)
    monkeypatch.setattr(s3, "READ_TIMEOUT", 0.05)
    monkeypatch.setattr(dynamo, "RETRIES", 0)
    monkeypatch.setattr(s3, "TRIES", 1)
    made = (dynamo.dynamo, s3._s3, s3._files, presign._signer)
    with socket.create_server(("127.0.0.1", 0)) as server:
        for each in made:
            each.cache_clear()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    for each in made:
        each.cache_clear()


def unavailable(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "unavailable"), answer
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_silent_dynamodb(alice: Client, silent: str, settings: Settings) -> None:
    settings.DYNAMODB_ENDPOINT_URL = silent
    for method, path in (("GET", "recordings/"), ("GET", "accounts/me/"), ("DELETE", "recordings/?shelf=trash")):
        unavailable(alice.call(method, path))
    unavailable(Client().post("accounts/login/", {"provider": "guest"}))
    assert alice.get("/health/?deep=1").status == 503


def test_a_silent_s3(alice: Client, silent: str, settings: Settings) -> None:
    settings.S3_ENDPOINT_URL = silent
    id = alice.create(AUDIO).json["recording"]["id"]  # one PUT, which is signed without a call
    unavailable(alice.post(f"recordings/{id}/complete/"))
    unavailable(alice.upload(b"other bytes"))
    unavailable(alice.create(AUDIO, size=2**24, sha256="0" * 64))
    assert kept(alice.user_id, id).status == "uploading"
    assert alice.get("recordings/").status == 200


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The deadline's own clock, which stands still until somebody moves it."""
    moment = [0.0]
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: moment[0]))
    return moment


def test_no_call_begins_late(alice: Client, clock: list[float], subtests: pytest.Subtests) -> None:
    ready, created = alice.record(AUDIO)["id"], alice.create(b"other bytes").json
    send(created["upload"], b"other bytes")

    def pass_time() -> None:
        clock[0] += deadline.SECONDS + 1

    for operation, method, path, body in (
        ("Query", "GET", "recordings/", None),
        ("TransactWriteItems", "PATCH", f"recordings/{ready}/", {"name": "new"}),
        ("TransactWriteItems", "DELETE", f"recordings/{ready}/", None),
        ("HeadObject", "POST", f"recordings/{created['recording']['id']}/complete/", None),
        ("PutObject", "PUT", "recordings/upload/x/", b"new bytes"),
    ):
        with subtests.test(operation=operation, method=method):
            before = snapshot()
            kind = {"content_type": "audio/wav"} if method == "PUT" else {}
            with before_each(operation, pass_time):
                unavailable(alice.call(method, path, body, **kind))
            after = snapshot()
            assert after["objects"] == before["objects"]
            assert method == "PUT" or after == before  # its row comes first
    assert alice.upload(b"new bytes").status in (200, 201)


def test_what_drips_is_read_until_the_deadline(
    alice: Client, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the store kept no checksum, complete reads the object."""
    row = kept(alice.user_id, alice.create(AUDIO).json["recording"]["id"])
    put(row.key, AUDIO)
    read = []

    def dripping(size: int) -> Iterator[bytes]:
        for byte in AUDIO:
            clock[0] += 1
            read.append(byte)
            yield bytes([byte])

    monkeypatch.setattr(deadline, "SECONDS", 5)
    with monkeypatch.context() as patch:
        patch.setattr(s3, "get", lambda key: {"Body": SimpleNamespace(iter_chunks=dripping)})
        unavailable(alice.post(f"recordings/{row.id}/complete/"))
    assert len(read) == 6
    assert kept(alice.user_id, row.id).status == "uploading"
    assert alice.post(f"recordings/{row.id}/complete/").json["status"] == "ready"


def test_the_worst_that_can_come_ends_in_time() -> None:
    """A try that begins just before the deadline runs into its time-outs, and botocore waits before the next one,
    which does not begin: `random() * 2 ** tries` seconds, as its standard mode has it. A provider has `remote.SECONDS`
    for the connection and the headers, and for the body, in which one read may begin at the very end.
    """
    configs: list[Any] = [client.meta.config for client in (dynamo.dynamo().client, s3.client())]
    assert all(config.retries["mode"] == "standard" for config in configs)
    tries = [
        config.connect_timeout + config.read_timeout + 2.0 ** (config.retries["total_max_attempts"] - 2)
        for config in configs
    ]
    template = Path(__file__).parents[2] / "template.yaml"
    (timeout,) = re.findall(r"wsgi.lambda_handler\]\n(?:.*\n){1,3} +Timeout: (\d+)", template.read_text())
    assert deadline.SECONDS + max(*tries, 3 * remote.SECONDS) < API_GATEWAY - COLD_START < int(timeout)
