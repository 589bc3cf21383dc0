"""The events of the embedded AWS: what arrives in the bucket reaches the handler, and comes again where that fails."""

import contextlib
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from local import events
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


def test_what_fails_comes_again(wired: Aws) -> None:
    assert wired.put(BODY, "recordings/a/b/c") == 200

    def fail(event: dict[str, Any]) -> None:
        if "Records" in event:
            raise RuntimeError

    with contextlib.suppress(RuntimeError):
        for _ in range(3):
            events.take(fail)
    assert taken() == ["recordings/a/b/c"]
