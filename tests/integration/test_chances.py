"""tests/recordings/chances.py on real peers: the same schedules by chance, on DynamoDB Local and a strict S3.

`SEEDS=4000:5000` runs those alone, as a slice of `make soak`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from django.conf import settings

from aws import s3
from aws.dynamo import dynamo
from tests.recordings.chances import Schedule, blocks
from tests.recordings.scenes import playing
from tests.recordings.states import open_account
from tests.recordings.stepping import Call, Machine, Operation, Outcome, Reply
from tests.recordings.trios import READS
from tests.recordings.worlds import Upload, Version, World

SCENE = "short"  # one part, since this S3 wants 5 MiB of all others
CHECKED = range(20)
BLOCK, BLOCKS = 100, 20  # of `make soak`
TABLES = {settings.RECORDINGS_TABLE: ("id", "user_id"), settings.CHANGES_TABLE: ("user_id", "version")}
REFUSED: Any = {"Error": {"Code": "PreconditionFailed"}, "ResponseMetadata": {"HTTPStatusCode": 412}}


class Live(Machine):
    """Steps operations through the one world that there is: nothing is remembered of it, nor set back."""

    def __init__(self) -> None:
        super().__init__()
        self.checked: set[str] = set()  # multipart uploads whose parts come with a SHA-256

    def finish(self, operation: Operation, world: World) -> tuple[Outcome, World]:
        return self.meddle(operation, world, lambda at, call, step: step())

    def step(self, world: World, call: Call) -> tuple[Reply, World]:
        if call.params.get("IfNoneMatch") and call.params["Key"] in world.objects:
            # This S3 damages the object when it refuses.
            return Reply(None, ClientError(REFUSED, call.action)), world
        if call.params.get("UploadId") in self.checked and call.action == "UploadPart":
            call = Call(call.client, call.action, {**call.params, "ChecksumAlgorithm": "SHA256"})
        reply = self.reply_to(call)
        if call.action == "CreateMultipartUpload" and "ChecksumAlgorithm" in call.params:
            self.checked.add(reply.value["UploadId"])
        if call.action in READS:
            return reply, world
        return reply, self.read(world, rows="Item" in call.action)

    def read(self, before: World | None = None, *, rows: bool = False) -> World:
        """What the peers hold, asked past the app's control; of what was `before`, the rows or all else is new."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BaseClient, "_make_api_call", self.raw)
            tables = {name: scan(name) for name in TABLES} if rows or not before else before.tables
            if rows and before:
                return World(tables, before.versions, before.uploads, {})
            return World(tables, versions(before), tuple(uploads()), {})

    def wipe(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BaseClient, "_make_api_call", self.raw)
            s3.erase("recordings/")
            for table, keys in TABLES.items():
                for row in scan(table):
                    tables().delete_item(TableName=table, Key={name: row[name] for name in keys})
        self.forget()


def tables() -> Any:
    return dynamo().client


def scan(table: str) -> list[dict[str, Any]]:
    return sorted(tables().scan(TableName=table, ConsistentRead=True)["Items"], key=repr)


def versions(before: World | None) -> Mapping[str, list[Version]]:
    """Of each key, only the version that counts."""
    known = {version.etag: version for each in (before.versions if before else {}).values() for version in each}
    listed = s3.client().list_objects_v2(Bucket=settings.RECORDINGS_BUCKET).get("Contents", [])
    return {item["Key"]: [known.get(item["ETag"]) or got(item["Key"], item["ETag"])] for item in listed}


def got(key: str, etag: str) -> Version:
    answer = s3.client().get_object(Bucket=settings.RECORDINGS_BUCKET, Key=key)
    return Version("", answer["Body"].read(), etag)


def uploads() -> Iterator[Upload]:
    for item in s3.client().list_multipart_uploads(Bucket=settings.RECORDINGS_BUCKET).get("Uploads", []):
        yield Upload(item["Key"], item["UploadId"], None, ())


@pytest.fixture
def live(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    made = Live()
    with playing(made, monkeypatch):
        yield made


def play(live: Live, seeds: range) -> int:
    """Returns how many schedules there were."""
    for seed in seeds:
        live.wipe()
        Schedule(live, SCENE, live.run(live.read(), "account", open_account), seed).run()
    return len(seeds)


def test_some_schedules(live: Live, record_property: Callable[[str, object], None]) -> None:
    record_property("schedules", play(live, CHECKED))


@pytest.mark.soak
@pytest.mark.parametrize("seeds", blocks(BLOCK, BLOCKS), ids=lambda seeds: f"{seeds.start}:{seeds.stop}")
def test_very_many_schedules(live: Live, seeds: range, record_property: Callable[[str, object], None]) -> None:
    record_property("schedules", play(live, seeds))
