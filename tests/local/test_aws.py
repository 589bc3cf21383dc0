"""The embedded AWS of `make run`, as a process of its own: what it keeps, and what it refuses."""

import base64
import hashlib
import os
import re
import resource
import shutil
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
from botocore.exceptions import ClientError

from local import aws as embedded
from local.files import MISSING
from tests.processes import free_port, running

ROW: dict[str, Any] = {
    "id": {"S": "a"},
    "n": {"N": "1.5"},
    "tags": {"L": [{"S": "가"}]},
    "peaks": {"B": bytes(range(256))},
}
BODY = b"some sound" * 1000
NEVER: Any = {"Item": {"id": {"S": "a"}}, "ConditionExpression": "attribute_not_exists(id)"}
FACTS = ("ETag", "ContentLength", "ContentType", "LastModified", "ChecksumSHA256", "ChecksumType")
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
            "config": Config(
                signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}
            ),
        }
        self.s3 = boto3.client("s3", **keys)
        self.dynamodb = boto3.client("dynamodb", **{**keys, "config": Config(retries={"total_max_attempts": 1})})

    def start(self) -> None:
        with (self.directory / "lock").open("w") as lock:
            self.process = embedded.start(self.bind, self.directory, self.directory / "log", lock)
        wait_for(lambda: embedded._answers(self.process, self.bind, self.directory / "log"))

    def answers(self) -> bool:
        try:
            return requests.get(f"http://{self.bind}/_ministack/health", timeout=5).ok
        except requests.RequestException:  # also one that takes the connection, and has not come to it yet
            return False

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(BUSY)

    def restart(self) -> None:
        """After a kill that leaves it no time for anything."""
        self.process.kill()
        self.process.wait()
        self.start()

    def create_table(self) -> None:
        self.dynamodb.create_table(
            TableName="rows",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["id"]["S"]: row for row in self.dynamodb.scan(TableName="rows", ConsistentRead=True)["Items"]}

    def read(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket="files", Key=key)["Body"].read())

    def limit(self, more: int | None) -> None:
        """Let no file of it grow longer than its journal and `more` bytes; None takes the limit off."""
        journal = max((self.directory / "journal").glob("journal-*[0-9]"))
        most = resource.RLIM_INFINITY if more is None else journal.stat().st_size + more
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

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


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_keeps_everything_over_a_restart(aws: Aws, how: str) -> None:
    aws.create_table()
    aws.dynamodb.put_item(TableName="rows", Item=ROW)
    assert aws.put(BODY) == 200

    if how == "stop":
        assert aws.stop() == 0
        aws.start()
    else:
        aws.restart()

    assert aws.dynamodb.get_item(TableName="rows", Key={"id": {"S": "a"}})["Item"] == ROW
    stored = aws.s3.get_object(Bucket="files", Key="k", ChecksumMode="ENABLED")
    assert stored["Body"].read() == BODY
    assert base64.b64decode(stored["ChecksumSHA256"]) == hashlib.sha256(BODY).digest()


@pytest.mark.check
def test_every_kind_of_write_is_there_after_a_kill(aws: Aws) -> None:
    aws.create_table()
    put, name = aws.dynamodb.put_item, {"TableName": "rows"}
    for id in "abcdefgh":
        put(**name, Item={"id": {"S": id}, "n": {"N": "1"}})
    one: Any = {**name, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    aws.dynamodb.update_item(**one, Key={"id": {"S": "a"}})
    aws.dynamodb.delete_item(**name, Key={"id": {"S": "b"}})
    batch: Any = [{"DeleteRequest": {"Key": {"id": {"S": "c"}}}}, {"PutRequest": {"Item": {"id": {"S": "i"}}}}]
    aws.dynamodb.batch_write_item(RequestItems={"rows": batch})
    items: Any = [
        {"Delete": {**name, "Key": {"id": {"S": "d"}}}},
        {"Put": {**name, "Item": {"id": {"S": "j"}}}},
        {"Update": {**one, "Key": {"id": {"S": "e"}}}},
        {"ConditionCheck": {**name, "Key": {"id": {"S": "f"}}, "ConditionExpression": "attribute_exists(id)"}},
    ]
    aws.dynamodb.transact_write_items(TransactItems=items)
    with pytest.raises(aws.dynamodb.exceptions.TransactionCanceledException):
        aws.dynamodb.transact_write_items(TransactItems=[items[3] | {}, {"Put": {**name, **NEVER}}])
    with pytest.raises(aws.dynamodb.exceptions.ConditionalCheckFailedException):
        put(**name, **NEVER)
    for key in ("x", "y", "z"):
        assert aws.put(BODY, key) == 200
    aws.s3.delete_object(Bucket="files", Key="x")
    aws.s3.delete_objects(Bucket="files", Delete={"Objects": [{"Key": "y"}, {"Key": "never"}]})
    aws.s3.copy_object(Bucket="files", Key="copy", CopySource={"Bucket": "files", "Key": "z"})
    rows = aws.rows()
    assert sorted(rows) == [*"aefghij"]
    assert (rows["a"]["n"], rows["e"]["n"], rows["f"]["n"]) == ({"N": "2"}, {"N": "2"}, {"N": "1"})

    aws.restart()

    assert aws.rows() == rows
    assert aws.keys() == ["copy", "z"]
    assert aws.read("copy") == BODY
    assert len(list((aws.directory / "objects").iterdir())) == 2  # what was deleted is gone from the disk


def test_a_table_that_is_deleted_leaves_no_rows_to_the_next_of_its_name(aws: Aws) -> None:
    aws.create_table()
    aws.dynamodb.put_item(TableName="rows", Item=ROW)
    aws.dynamodb.delete_table(TableName="rows")
    aws.create_table()
    aws.restart()
    assert aws.rows() == {}


@pytest.mark.check
def test_an_upload_in_parts_goes_on_after_a_kill(aws: Aws) -> None:
    begun = aws.s3.create_multipart_upload(Bucket="files", Key="k", ChecksumAlgorithm="SHA256")
    where: Any = {"Bucket": "files", "Key": "k", "UploadId": begun["UploadId"]}
    over = aws.s3.create_multipart_upload(Bucket="files", Key="other")["UploadId"]
    aws.s3.upload_part(Bucket="files", Key="other", UploadId=over, PartNumber=1, Body=b"other")
    aws.s3.abort_multipart_upload(Bucket="files", Key="other", UploadId=over)
    parts = [aws.s3.upload_part(**where, PartNumber=number, Body=BODY[:number]) for number in (2, 1)]
    parts[0] = aws.s3.upload_part(**where, PartNumber=2, Body=BODY)  # another one in its place

    aws.restart()

    assert [each["Key"] for each in aws.s3.list_multipart_uploads(Bucket="files")["Uploads"]] == ["k"]
    listed = aws.s3.list_parts(**where)["Parts"]
    assert [(part["ETag"], part["Size"]) for part in listed] == [(parts[1]["ETag"], 1), (parts[0]["ETag"], len(BODY))]
    chosen: Any = [{name: part[name] for name in ("PartNumber", "ETag", "ChecksumSHA256")} for part in listed]
    aws.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": chosen})
    head: Any = aws.s3.head_object(Bucket="files", Key="k", ChecksumMode="ENABLED")
    aws.restart()
    assert aws.read("k") == BODY[:1] + BODY
    again: Any = aws.s3.head_object(Bucket="files", Key="k", ChecksumMode="ENABLED")
    assert [again[name] for name in FACTS] == [head[name] for name in FACTS]
    assert "Uploads" not in aws.s3.list_multipart_uploads(Bucket="files")
    assert len(list((aws.directory / "objects").iterdir())) == 1


@pytest.mark.check
@pytest.mark.check
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can limit another process")
@pytest.mark.parametrize("more", [0, 20])  # bytes that still fit: none, or a part of a line
def test_a_full_disk_refuses_writes_and_loses_nothing(aws: Aws, more: int) -> None:
    aws.create_table()
    aws.dynamodb.put_item(TableName="rows", Item=ROW)
    assert aws.put(BODY, "before") == 200
    begun = aws.s3.create_multipart_upload(Bucket="files", Key="k")["UploadId"]
    where: Any = {"Bucket": "files", "Key": "k", "UploadId": begun}
    tag = aws.s3.upload_part(**where, PartNumber=1, Body=b"part")["ETag"]
    change: Any = {"TableName": "rows", "Key": {"id": {"S": "a"}}, "UpdateExpression": "REMOVE n"}
    transaction: Any = [{"Update": change}, {"Put": {"TableName": "rows", "Item": {"id": {"S": "b"}}}}]
    done: Any = {**where, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": tag}]}}
    refused: list[Callable[[], object]] = [
        lambda: aws.dynamodb.put_item(TableName="rows", Item={"id": {"S": "b"}}),
        lambda: aws.dynamodb.update_item(**change),
        lambda: aws.dynamodb.delete_item(TableName="rows", Key={"id": {"S": "a"}}),
        lambda: aws.dynamodb.transact_write_items(TransactItems=transaction, ClientRequestToken="once"),
        lambda: aws.dynamodb.delete_table(TableName="rows"),
        lambda: aws.s3.put_object(Bucket="files", Key="new", Body=b"small"),
        lambda: aws.s3.put_object(Bucket="files", Key="new", Body=b"large" * 100_000),
        lambda: aws.s3.put_object(Bucket="files", Key="before", Body=b"other"),
        lambda: aws.s3.delete_object(Bucket="files", Key="before"),
        lambda: aws.s3.delete_objects(Bucket="files", Delete={"Objects": [{"Key": "before"}]}),
        lambda: aws.s3.upload_part(**where, PartNumber=1, Body=b"other"),
        lambda: aws.s3.upload_part(**where, PartNumber=2, Body=b"second"),
        lambda: aws.s3.abort_multipart_upload(**where),
        lambda: aws.s3.complete_multipart_upload(**done),
        lambda: aws.s3.create_multipart_upload(Bucket="files", Key="another"),
    ]
    aws.limit(more)
    for write in refused:
        with pytest.raises(ClientError, match=r"\(ServiceUnavailable\)|\(503\)"):
            write()
        check_as_before(aws, where, tag)
    aws.limit(None)
    aws.dynamodb.transact_write_items(TransactItems=transaction, ClientRequestToken="once")
    aws.s3.put_object(Bucket="files", Key="after", Body=b"after")
    aws.s3.complete_multipart_upload(**done)
    aws.restart()
    assert sorted(aws.rows()) == ["a", "b"]
    assert "n" not in aws.rows()["a"]
    assert (aws.read("before"), aws.read("after"), aws.read("k")) == (BODY, b"after", b"part")
    assert aws.keys() == ["after", "before", "k"]


def check_as_before(aws: Aws, where: Any, tag: str) -> None:
    """That of the refused write nothing is to be seen."""
    assert aws.rows() == {"a": ROW}
    assert aws.keys() == ["before"]
    assert aws.read("before") == BODY
    assert [each["Key"] for each in aws.s3.list_multipart_uploads(Bucket="files")["Uploads"]] == ["k"]
    assert [each["ETag"] for each in aws.s3.list_parts(**where)["Parts"]] == [tag]


@pytest.mark.check
def test_a_damaged_journal_is_named_and_stays_as_it_is(aws: Aws) -> None:
    aws.create_table()
    aws.dynamodb.put_item(TableName="rows", Item=ROW)
    assert aws.put(BODY) == 200
    aws.stop()
    journal = aws.directory / "journal" / "journal-000001"
    damaged = journal.read_bytes().replace(b'"rows"', b'"raws"', 1)
    journal.write_bytes(damaged)
    files = sorted(path for path in aws.directory.rglob("*") if path.name != "log")
    with pytest.raises(SystemExit) as ended:
        aws.start()
    assert re.search(rf"{journal} is damaged in line \d+\. Nothing was changed\.", str(ended.value))
    assert journal.read_bytes() == damaged
    assert sorted(path for path in aws.directory.rglob("*") if path.name != "log") == files


@pytest.mark.check
def test_an_object_whose_file_is_gone_is_named(aws: Aws) -> None:
    assert aws.put(BODY) == 200
    assert aws.put(BODY, "other") == 200
    next((aws.directory / "objects").iterdir()).unlink()
    aws.restart()
    assert len(aws.keys()) == 1
    assert (aws.directory / "log").read_text().count(MISSING) == 1


@pytest.mark.check
@pytest.mark.check
def test_a_copy_that_is_taken_while_it_runs_is_a_backup(aws: Aws) -> None:
    """The journal first, then the objects, as README.md says."""
    aws.create_table()
    aws.dynamodb.put_item(TableName="rows", Item=ROW)
    assert aws.put(BODY) == 200
    target = aws.directory / "copy"
    shutil.copytree(aws.directory / "journal", target / "journal")
    aws.dynamodb.put_item(TableName="rows", Item={"id": {"S": "later"}})
    assert aws.put(BODY, "later") == 200
    shutil.copytree(aws.directory / "objects", target / "objects")
    copied = Aws(target)
    copied.start()
    try:
        assert copied.rows() == {"a": ROW}
        assert (copied.keys(), copied.read("k")) == (["k"], BODY)
    finally:
        copied.stop()


@pytest.mark.check
@pytest.mark.check
def test_begins_with_what_ministack_had_saved_by_itself(aws: Aws) -> None:
    directory = aws.directory / "earlier"
    directory.mkdir()
    environ = {
        "PATH": os.environ["PATH"],
        "GATEWAY_PORT": aws.bind.rpartition(":")[2],
        "SERVICES": "dynamodb,s3,sqs",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(directory / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(directory / "s3"),
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",
    }
    earlier = Aws(directory)
    command = [sys.executable, "-m", "hypercorn", "--bind", earlier.bind, "ministack.app:app"]
    with running(command, environ, directory / "log") as process:
        wait_for(earlier.answers)
        earlier.create_table()
        earlier.dynamodb.put_item(TableName="rows", Item=ROW)
        earlier.s3.create_bucket(Bucket="files")
        assert earlier.put(BODY, "recordings/a/b") == 200
        process.terminate()
        process.wait(BUSY)
    earlier.start()
    try:
        assert earlier.rows() == {"a": ROW}
        earlier.dynamodb.put_item(TableName="rows", Item={"id": {"S": "b"}})
        earlier.restart()
        assert sorted(earlier.rows()) == ["a", "b"]
        assert (earlier.keys(), earlier.read("recordings/a/b")) == (["recordings/a/b"], BODY)
    finally:
        earlier.stop()
    (directory / "state" / "dynamodb.json").write_text("{")
    shutil.rmtree(directory / "journal")
    with pytest.raises(SystemExit, match=r"state/dynamodb\.json can't be read"):
        earlier.start()
    assert not (directory / "journal").exists()


def test_nothing_empties_it_past_the_journal(aws: Aws) -> None:
    assert aws.put(BODY) == 200
    assert requests.post(f"http://{aws.bind}/_ministack/reset", timeout=BUSY).status_code == 403
    assert aws.keys() == ["k"]
    with pytest.raises(ClientError, match="UnknownOperation"):
        aws.dynamodb.execute_statement(Statement="INSERT INTO rows VALUE {'id': 'a'}")
    with pytest.raises(ClientError, match="NotImplemented"):
        aws.s3.put_object_tagging(Bucket="files", Key="k", Tagging={"TagSet": []})


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


@pytest.mark.check
def test_ends_with_the_process_that_started_it(aws: Aws) -> None:
    bind = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "local.aws", bind, "999999999", str(aws.directory)]  # no such parent
    subprocess.run(command, check=True, timeout=BUSY, capture_output=True)
