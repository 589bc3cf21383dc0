"""What moto holds, as values: its tables and its bucket are read into a World, and set to one."""

import base64
import copy
import functools
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import FakeDeleteMarker, FakeKey, FakeMultipart, S3Backend, get_canned_acl, s3_backends


@dataclass(frozen=True)
class Version:
    """One version of an object; a delete marker has no content. `checksum` is its algorithm, value, type and parts."""

    id: str
    content: bytes | None
    etag: str = ""
    checksum: tuple[str | None, str | None, str | None, int | None] = (None, None, None, None)


@dataclass(frozen=True)
class Upload:
    """A multipart upload that has not ended."""

    key: str
    id: str
    checksums: str | None
    parts: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, eq=False)
class World:
    """Everything that is stored. Machine makes one object for equal contents."""

    tables: Mapping[str, list[dict[str, Any]]]
    versions: Mapping[str, list[Version]]
    uploads: tuple[Upload, ...]
    ids: Mapping[str, int]  # how many versions and uploads each key has ever had

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self._rows[table]

    @functools.cached_property
    def _rows(self) -> dict[str, list[dict[str, Any]]]:
        return {table: [_plain(row) for row in rows] for table, rows in self.tables.items()}

    @functools.cached_property
    def objects(self) -> dict[str, bytes]:
        """What a GET finds."""
        newest = {key: versions[-1].content for key, versions in self.versions.items() if versions}
        return {key: content for key, content in newest.items() if content is not None}


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(*next(iter(typed.items()))) for name, typed in value.items()}


def _value(kind: str, value: Any) -> Any:
    if kind == "L":
        return [_value(*next(iter(item.items()))) for item in value]
    return int(float(value)) if kind == "N" else value


class Ids:
    """Stands for the `random` and the `os` of moto's S3: counts the versions and uploads of each key."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.key = ""  # that the call at hand names

    def next(self) -> int:
        self.counts[self.key] = self.counts.get(self.key, 0) + 1
        return self.counts[self.key]

    def uuid4(self) -> str:
        return f"v{self.next()}"

    def urandom(self, length: int) -> bytes:
        return hashlib.sha512(f"{self.key} {self.next()}".encode()).digest()[:length]


@contextmanager
def steady_moto(ids: Ids) -> Iterator[None]:
    """moto whose answers depend on its contents alone; an upload that is over is NoSuchUpload everywhere."""

    def over(name: str) -> Any:
        act = getattr(S3Backend, name)

        def guarded(self: S3Backend, bucket_name: str, multipart_id: str, *rest: Any, **named: Any) -> Any:
            if multipart_id not in self.get_bucket(bucket_name).multiparts:
                raise NoSuchUpload(upload_id=multipart_id)
            made = act(self, bucket_name, multipart_id, *rest, **named)
            made.multipart = None  # by which moto would know the upload again
            return made

        return guarded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moto.s3.models.random", ids)
        patch.setattr("moto.s3.models.os", ids)
        for name in ("complete_multipart_upload", "upload_part"):
            patch.setattr(S3Backend, name, over(name))
        yield


def read(ids: Mapping[str, int]) -> World:
    tables = {
        name: sorted((item.to_json()["Attributes"] for item in table.all_items()), key=repr)
        for name, table in sorted(_dynamodb().tables.items())
    }
    bucket = _bucket()
    versions = {key: [_version(item) for item in items] for key, items in sorted(bucket.keys._iterlists())}
    uploads = tuple(_upload(item) for _, item in sorted(bucket.multiparts.items()))
    return World(tables, {key: items for key, items in versions.items() if items}, uploads, dict(ids))


def put_back(world: World) -> None:
    for name, table in _dynamodb().tables.items():
        table.items.clear()
        for row in world.tables[name]:
            table.put_item(copy.deepcopy(row))
    bucket = _bucket()
    for key in bucket.keys:
        bucket.keys.setlist(key, [])  # closes what is there; pop() can't with delete markers
    dict.clear(bucket.keys)
    for key, versions in world.versions.items():
        bucket.keys.setlist(key, [_stored(key, version) for version in versions])
    for id in list(bucket.multiparts):
        del bucket.multiparts[id]
    for upload in world.uploads:
        bucket.multiparts[upload.id] = _under_way(upload)


def _dynamodb() -> Any:
    return dynamodb_backends[DEFAULT_ACCOUNT_ID][settings.AWS_REGION]


def _bucket() -> Any:
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[settings.RECORDINGS_BUCKET]


def _version(item: Any) -> Version:
    if isinstance(item, FakeDeleteMarker):
        return Version(item.version_id, None)
    checksum = (item.checksum_algorithm, item.checksum_value, item.checksum_type, item.checksum_parts)
    return Version(item.version_id, item.value, item.etag, checksum)


def _stored(key: str, version: Version) -> Any:
    algorithm, value, kind, parts = version.checksum
    item = FakeKey(
        name=key,
        value=version.content or b"",
        account_id=DEFAULT_ACCOUNT_ID,
        region_name=settings.AWS_REGION,
        etag=version.etag.strip('"') or None,
        is_versioned=True,
        version_id=version.id,
        bucket_name=settings.RECORDINGS_BUCKET,
        checksum_value=value,
        checksum_type=kind,
        checksum_parts=parts,
    )
    item.checksum_algorithm = algorithm
    if version.content is not None:
        return item
    marker = FakeDeleteMarker(item)
    marker._version_id = version.id
    return marker


def _upload(item: Any) -> Upload:
    parts = tuple((number, item.parts[number].value) for number in item.partlist)
    return Upload(item.key_name, item.id, item.metadata.get("x-amz-checksum-algorithm"), parts)


def _under_way(upload: Upload) -> FakeMultipart:
    metadata: Any = {"x-amz-checksum-algorithm": upload.checksums} if upload.checksums else {}
    acl = get_canned_acl("private")
    item = FakeMultipart(upload.key, metadata, DEFAULT_ACCOUNT_ID, settings.AWS_REGION, tags={}, acl=acl)
    item.id = upload.id
    for number, content in upload.parts:
        item.set_part(number, content)
    return item


def checksum(content: bytes) -> str:
    """As S3 writes it."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()
