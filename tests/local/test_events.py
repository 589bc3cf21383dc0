"""The events of the embedded AWS: what arrives in the bucket reaches the handler, and comes again where that fails."""

import contextlib
import time
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from local import events
from operations import lambda_handler
from tests.local.test_aws import BODY, Aws, aws  # noqa: F401 - the fixture


@pytest.fixture
def wired(aws: Aws, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Aws:  # noqa: F811
    settings.EMBEDDED_AWS, settings.RECORDINGS_BUCKET = f"http://{aws.bind}", "files"
    settings.AWS_REGION = "us-east-1"
    monkeypatch.setattr(events, "BUSY", 1)
    events.wire()
    return aws


def taken() -> list[str]:
    """The keys of the events that wait now; test events have none."""
    keys: list[str] = []

    def note(event: dict[str, Any]) -> None:
        keys.extend(record["s3"]["object"]["key"] for record in event.get("Records", []))

    for _ in range(3):
        events.take(note)
    return keys


@pytest.mark.check
def test_what_arrives_is_told(wired: Aws) -> None:
    events.wire()  # as every start does
    assert wired.put(BODY, "recordings/a/b/c") == 200
    begun = wired.s3.create_multipart_upload(Bucket="files", Key="recordings/d/e/f")
    where: Any = {"Bucket": "files", "Key": "recordings/d/e/f", "UploadId": begun["UploadId"]}
    tag = wired.s3.upload_part(**where, PartNumber=1, Body=BODY)["ETag"]
    assert taken() == ["recordings/a/b/c"]
    wired.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    wired.s3.delete_object(Bucket="files", Key="recordings/a/b/c")
    assert taken() == ["recordings/d/e/f"]
    assert taken() == []


def fail(event: dict[str, Any]) -> None:
    if "Records" in event:
        raise RuntimeError


@pytest.mark.check
def test_what_fails_comes_again(wired: Aws) -> None:
    assert wired.put(BODY, "recordings/a/b/c") == 200

    with contextlib.suppress(RuntimeError):
        for _ in range(3):
            events.take(fail)
    assert taken() == ["recordings/a/b/c"]


@pytest.mark.check
@pytest.mark.parametrize("times", [0, 1], ids=["untouched", "handed out"])
def test_an_event_outlives_a_kill_until_it_is_handled(wired: Aws, times: int) -> None:
    assert wired.put(BODY, "recordings/a/b/c") == 200
    with contextlib.suppress(RuntimeError):
        for _ in range(3 * times):
            events.take(fail)
    wired.restart()
    assert taken() == ["recordings/a/b/c"]
    wired.restart()
    assert taken() == []


def test_it_sweeps_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon after the start and then again and again, also after one that failed."""
    asked: list[Any] = []
    waits: list[float] = []

    def handler(event: dict[str, Any]) -> None:
        asked.append(event)
        raise RuntimeError

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(events, "_handler", lambda: handler)
    monkeypatch.setattr(time, "sleep", wait)
    with pytest.raises(KeyboardInterrupt):
        events.sweep()
    assert waits == [events.SWEEP_AFTER, events.SWEEP_EVERY, events.SWEEP_EVERY]
    assert len(asked) == 2
    assert all(map(lambda_handler.is_schedule, asked))
