"""The embedded AWS of `make run`, as a process of its own: what it keeps, and what it refuses."""

import base64
import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

from local import aws as embedded
from tests.processes import free_port

ROW: dict[str, Any] = {
    "id": {"S": "a"},
    "n": {"N": "1.5"},
    "tags": {"L": [{"S": "가"}]},
    "peaks": {"B": bytes(range(256))},
}
BODY = b"some sound" * 1000
BUSY = 60  # seconds; how long a busy machine may take


class Aws:
    """ministack at a free port, with its data in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bind = f"127.0.0.1:{free_port()}"
        keys: dict[str, Any] = {
            "endpoint_url": f"http://{self.bind}",
            "region_name": "us-east-1",
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
            "config": Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        }
        self.s3 = boto3.client("s3", **keys)
        self.dynamodb = boto3.client("dynamodb", **{**keys, "config": None})

    def start(self) -> None:
        with (self.directory / "lock").open("w") as lock:
            self.process = embedded.start(self.bind, self.directory, self.directory / "log", lock)
        wait_for(self.answers)

    def answers(self) -> bool:
        try:
            return requests.get(f"http://{self.bind}/_ministack/health", timeout=5).ok
        except requests.RequestException:  # also one that takes the connection, and has not come to it yet
            return False

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(BUSY)

    def put(self, body: bytes, key: str = "k") -> int:
        """PUT `body` where BODY was declared."""
        checksum = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
        declared = {"Bucket": "files", "Key": key, "ContentLength": len(BODY), "ChecksumSHA256": checksum}
        url = self.s3.generate_presigned_url("put_object", Params=declared)
        return requests.put(url, data=body, headers={"x-amz-checksum-sha256": checksum}, timeout=BUSY).status_code

    def keys(self) -> list[str]:
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket="files").get("Contents", [])]


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BUSY
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def aws(tmp_path: Path) -> Iterator[Aws]:
    aws = Aws(tmp_path)
    aws.start()
    try:
        aws.s3.create_bucket(Bucket="files")
        yield aws
    finally:
        aws.stop()


def test_keeps_everything_over_a_restart(aws: Aws) -> None:
    aws.dynamodb.create_table(
        TableName="rows",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    aws.dynamodb.put_item(TableName="rows", Item=ROW)
    assert aws.put(BODY) == 200

    assert aws.stop() == 0
    aws.start()

    assert aws.dynamodb.get_item(TableName="rows", Key={"id": {"S": "a"}})["Item"] == ROW
    stored = aws.s3.get_object(Bucket="files", Key="k", ChecksumMode="ENABLED")
    assert stored["Body"].read() == BODY
    assert base64.b64decode(stored["ChecksumSHA256"]) == hashlib.sha256(BODY).digest()


def test_refuses_other_bytes_than_declared(aws: Aws) -> None:
    assert aws.put(b"S" + BODY[1:]) == 400
    assert aws.put(BODY[1:]) == 403
    assert aws.keys() == []


def test_refuses_a_body_that_was_cut_off(aws: Aws) -> None:
    checksum = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    headers = {"Host": aws.bind, "Content-Length": len(BODY), "x-amz-checksum-sha256": checksum}
    head = "\r\n".join(["PUT /files/k HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""])
    host, port = aws.bind.split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(head.encode() + BODY[:-1])
        client.shutdown(socket.SHUT_WR)
        assert b" 400 " in client.recv(1000)
    assert aws.keys() == []


def test_what_is_deleted_stays_deleted(aws: Aws) -> None:
    aws.s3.put_bucket_versioning(Bucket="files", VersioningConfiguration={"Status": "Enabled"})
    assert aws.put(BODY) == 200
    aws.s3.delete_object(Bucket="files", Key="k")
    aws.stop()
    aws.start()
    assert aws.keys() == []


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
        ("Host", "rebound.example:4566", 403),
        ("Origin", "http://localhost:3000", 200),
    ],
)
def test_answers_pages_of_this_machine_only(aws: Aws, header: str, value: str, status: int) -> None:
    assert requests.get(f"http://{aws.bind}/files", headers={header: value}, timeout=BUSY).status_code == status


def test_ends_with_the_process_that_started_it(aws: Aws) -> None:
    bind = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "local.aws", bind, "999999999"]  # no such parent
    subprocess.run(command, check=True, timeout=BUSY, capture_output=True)
