"""The bucket's objects: stored, listed, read, put together from parts, deleted.

Botocore's errors end here, and base64 hashes (but for those in presigned URLs).

boto3 and django-storages are imported by the first call that needs them: a list of recordings needs no S3, and they
cost 30 ms of cold start.
"""

import base64
import datetime
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import ContentFile

from lib.deadline import begin_in_time
from lib.logs import called
from lib.problems import Problem, unavailable

if TYPE_CHECKING:
    from boto3.session import Session
    from types_boto3_s3 import S3Client

CONNECT_TIMEOUT, READ_TIMEOUT, TRIES = 1, 5, 3  # seconds, of each try; see deadline.py
COPY_TIMEOUT = 300  # seconds: S3 answers a CopyObject when all is copied
PARTS: Any = {"multipart_chunksize": 256 * 2**20}  # of larger copies, in bytes
MOST_COPY = 5 * 10**9  # bytes, https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
CHUNK = 1024 * 1024
ABSENT = {"404", "NoSuchKey", "NotFound"}


@dataclass(frozen=True)
class Stored:
    """What S3 says of an object: its size in bytes, and its SHA-256 in hex where the store kept one. `etag` is another
    for other bytes.
    """

    size: int
    sha256: str | None
    etag: str = field(default="", compare=False)


@dataclass(frozen=True)
class Listed:
    """An object as the bucket's listing has it, or an upload that has not ended; `id` is its version's or its own.
    With an `etag`, its bytes alone are meant, whatever is under its key by now.
    """

    key: str
    size: int
    moment: datetime.datetime  # last written, or begun; aware
    id: str = ""
    etag: str = ""


@dataclass(frozen=True)
class Part:
    """A part of a multipart upload as S3 lists it. `sha256` is base64, only ever handed back to S3."""

    number: int
    size: int
    etag: str
    sha256: str | None


def config(endpoint: str | None) -> Config:
    """SigV4; on AWS the bucket's own host in its region, since a redirect would break signatures and CORS.

    Checksums are ours to choose (the SHA-256 that the recording declares), so botocore adds none where S3 wants none.
    """
    return Config(
        signature_version="s3v4",
        s3={
            "addressing_style": "path" if endpoint else "virtual",
            "us_east_1_regional_endpoint": "regional",
        },
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        max_pool_connections=32,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


@cache
def session() -> "Session":
    """What all clients of S3 have their credentials from."""
    import boto3

    return boto3.session.Session()


@cache
def _s3(**timeouts: int) -> Any:
    """boto3's resource for the endpoint that the server itself uses."""
    endpoint = settings.S3_ENDPOINT_URL
    how = config(endpoint).merge(Config(**timeouts))  # type: ignore[arg-type]
    s3 = session().resource("s3", region_name=settings.AWS_REGION, endpoint_url=endpoint, config=how)
    s3.meta.client.meta.events.register("before-call.s3", lambda model, **_: called(model.name))
    s3.meta.client.meta.events.register("before-send.s3", begin_in_time)
    return s3


def client() -> "S3Client":
    made: S3Client = _s3().meta.client
    return made


def copier() -> "S3Client":
    """A client with the patience that copies take."""
    made: S3Client = _s3(read_timeout=COPY_TIMEOUT).meta.client
    return made


@cache
def _files() -> Any:
    """django-storages for the bytes that pass through the server; S3 checks their SHA-256 as it takes them."""
    from boto3.s3.transfer import TransferConfig
    from storages.backends.s3 import S3Storage

    class Files(S3Storage):  # type: ignore[misc]
        @property
        def connection(self) -> Any:
            return _s3()  # one for the process; S3Storage makes one for each thread

    return Files(
        bucket_name=settings.RECORDINGS_BUCKET,
        object_parameters={"ChecksumAlgorithm": "SHA256"},
        transfer_config=TransferConfig(use_threads=False, multipart_threshold=64 * 1024 * 1024),
    )


@contextmanager
def edge() -> Iterator[None]:
    """Turn what may pass by itself into a 503 Problem."""
    try:
        yield
    except ClientError as error:
        answer = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if answer >= 500 or answer == 429 or error.response["Error"].get("Code") in ("SlowDown", "OperationAborted"):
            raise unavailable() from error
        raise
    except BotoCoreError as error:
        raise unavailable() from error


def save(key: str, content: bytes, content_type: str) -> None:
    """Store bytes that came through the server."""
    file = ContentFile(content)
    file.content_type = content_type  # type: ignore[attr-defined]  # where S3Storage looks for it
    with edge():
        _files().save(key, file)


def save_file(key: str, path: Path, content_type: str) -> None:
    """Store a file, read from disk as it is sent. One PutObject."""
    with path.open("rb") as file:
        sha256 = base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()
        file.seek(0)
        with edge():
            client().put_object(
                Bucket=settings.RECORDINGS_BUCKET, Key=key, Body=file, ContentType=content_type, ChecksumSHA256=sha256
            )


def stat(key: str) -> Stored | None:
    """What is stored under `key`, or None. One HeadObject."""
    with edge():
        try:
            head = client().head_object(Bucket=settings.RECORDINGS_BUCKET, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"].get("Code") in ABSENT:
                return None
            raise
    checksum, etag = head.get("ChecksumSHA256", ""), head.get("ETag", "")
    in_parts = "-" in etag or head.get("ChecksumType") == "COMPOSITE"
    if not checksum or "-" in checksum or in_parts:  # a hash of the parts' hashes
        return Stored(head["ContentLength"], None, etag)
    return Stored(head["ContentLength"], base64.b64decode(checksum).hex(), etag)


def digest(key: str) -> str | None:
    """The SHA-256 of the stored bytes, in hex, read in constant memory; None where there is no object."""
    found = read(key)
    return found.sha256 if found else None


def read(key: str, version_id: str = "") -> Stored | None:
    """What the stored bytes themselves say, read in constant memory; None where there is no object."""
    which: Any = {"VersionId": version_id} if version_id else {}
    with edge():
        answer = get(key, **which)
        if answer is None:
            return None
        sha256 = hashlib.sha256()
        for chunk in answer["Body"].iter_chunks(CHUNK):
            begin_in_time()
            sha256.update(chunk)
        return Stored(answer["ContentLength"], sha256.hexdigest(), answer.get("ETag", ""))


def get(key: str, **options: Any) -> Any:
    try:
        return client().get_object(Bucket=settings.RECORDINGS_BUCKET, Key=key, **options)
    except ClientError as error:
        if error.response["Error"].get("Code") in ABSENT:
            return None
        raise


def delete(key: str) -> None:
    """Delete the object; a versioned bucket keeps it as an old version until its lifecycle expires it."""
    with edge():
        client().delete_object(Bucket=settings.RECORDINGS_BUCKET, Key=key)


def discard(key: str, upload_id: str = "") -> None:
    """Delete the object, and abort the multipart upload that would still make it."""
    if upload_id:
        abort_multipart(key, upload_id)
    delete(key)


def start_multipart(key: str, content_type: str, *, checksums: bool = True) -> str:
    """Begin a multipart upload, with `checksums` one whose parts S3 checks by SHA-256. Returns its upload id."""
    how: Any = {"ChecksumAlgorithm": "SHA256"} if checksums else {}
    with edge():
        begun = client().create_multipart_upload(
            Bucket=settings.RECORDINGS_BUCKET, Key=key, ContentType=content_type, **how
        )
    return begun["UploadId"]


def list_parts(key: str, upload_id: str) -> list[Part] | None:
    """The parts that S3 holds, in order; None where the upload is over. One ListParts for each 1,000."""
    parts: list[Part] = []
    with edge():
        try:
            pages = client().get_paginator("list_parts")
            for page in pages.paginate(Bucket=settings.RECORDINGS_BUCKET, Key=key, UploadId=upload_id):
                listed = page.get("Parts", [])
                parts += [Part(p["PartNumber"], p["Size"], p["ETag"], p.get("ChecksumSHA256")) for p in listed]
        except ClientError as error:
            if error.response["Error"].get("Code") == "NoSuchUpload":
                return None
            raise
    return parts


def finish_multipart(key: str, upload_id: str, parts: list[Part]) -> None:
    """Put the parts together. One that is over already is no error: what became of it, `stat` tells.

    Raises 409 `upload_incomplete` where a part was replaced while this looked, `part_mismatch` for one too small.
    """
    listed: Any = []
    for part in parts:
        entry = {"PartNumber": part.number, "ETag": part.etag}
        listed.append(entry | {"ChecksumSHA256": part.sha256} if part.sha256 else entry)
    with edge():
        try:
            client().complete_multipart_upload(
                Bucket=settings.RECORDINGS_BUCKET, Key=key, UploadId=upload_id, MultipartUpload={"Parts": listed}
            )
        except ClientError as error:
            code = error.response["Error"].get("Code")
            if code in ("InvalidPart", "InvalidPartOrder"):
                raise Problem(409, "upload_incomplete", "A part changed just now. Call this again.") from error
            if code == "EntityTooSmall":
                raise Problem(409, "part_mismatch", "Every part but the last is at least 5 MiB long.") from error
            if code != "NoSuchUpload":
                raise


def abort_multipart(key: str, upload_id: str) -> None:
    with edge():
        try:
            client().abort_multipart_upload(Bucket=settings.RECORDINGS_BUCKET, Key=key, UploadId=upload_id)
        except ClientError as error:
            if error.response["Error"].get("Code") != "NoSuchUpload":
                raise


def erase(prefix: str, go_on: Callable[[], bool] = lambda: True) -> bool:
    """Delete everything under `prefix`, for ever: multipart uploads that never ended, then objects and their old
    versions, since an upload may end meanwhile. Only the closing of an account may; all else uses `delete`. What
    somebody else has deleted counts as deleted, which some stores call an error.

    Asks before each page of what it finds whether it shall `go_on`. Returns whether it came to the end.
    """
    s3, bucket = client(), settings.RECORDINGS_BUCKET
    with edge():
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
            uploads = page.get("Uploads", [])
            if uploads and not go_on():
                return False
            for upload in uploads:
                abort_multipart(upload["Key"], upload["UploadId"])
        for versions in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            found: list[Any] = [*versions.get("Versions", []), *versions.get("DeleteMarkers", [])]
            if found and not go_on():
                return False
            if found:
                objects: Any = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
                answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
                if any(error.get("Code") != "NoSuchVersion" for error in answer.get("Errors", [])):
                    raise unavailable()
    return True


def list_objects(prefix: str, *, after: str = "", until: str = "") -> Iterator[list[Listed]]:
    """What the bucket holds under `prefix`, in the order of the keys; those `after` one key and before `until` where
    these are given. One call for each page of 1,000.
    """
    start: Any = {"StartAfter": after} if after else {}
    pages = client().get_paginator("list_objects_v2")
    with edge():
        for page in pages.paginate(Bucket=settings.RECORDINGS_BUCKET, Prefix=prefix, **start):
            found = page.get("Contents", [])
            yield [Listed(i["Key"], i["Size"], i["LastModified"]) for i in found if not until or i["Key"] < until]
            if until and found and found[-1]["Key"] >= until:
                return


def list_uploads(prefix: str, *, after: str = "", until: str = "") -> Iterator[list[Listed]]:
    """The multipart uploads that have not ended, as `list_objects` has objects."""
    start: Any = {"KeyMarker": after} if after else {}
    pages = client().get_paginator("list_multipart_uploads")
    with edge():
        for page in pages.paginate(Bucket=settings.RECORDINGS_BUCKET, Prefix=prefix, **start):
            found = page.get("Uploads", [])
            within = [item for item in found if not until or item["Key"] < until]
            yield [Listed(item["Key"], 0, item["Initiated"], item["UploadId"]) for item in within]
            if len(within) < len(found):
                return


def list_versions(prefix: str) -> Iterator[Listed]:
    """Every version under `prefix` that has bytes, the current ones too."""
    with edge():
        for page in (
            client().get_paginator("list_object_versions").paginate(Bucket=settings.RECORDINGS_BUCKET, Prefix=prefix)
        ):
            for item in page.get("Versions", []):
                version = "" if item["VersionId"] == "null" else item["VersionId"]  # the bucket is not versioned
                yield Listed(item["Key"], item["Size"], item["LastModified"], version)


def copy(source: Listed, key: str, content_type: str) -> bool:
    """Make the bytes of one version the current ones of `key`, without reading them. Returns False where they are
    gone, or where others are in their place.

    One CopyObject, which gives the object a SHA-256 of its own, also where its source came in parts. What is too large
    for that is copied in parts.
    """
    which: Any = {"Bucket": settings.RECORDINGS_BUCKET, "Key": source.key}
    how: Any = {"ContentType": content_type, "MetadataDirective": "REPLACE"}
    if source.id:
        which["VersionId"] = source.id
    if source.etag:
        how["CopySourceIfMatch"] = source.etag
    with edge():
        try:
            if source.size <= MOST_COPY:
                how["ChecksumAlgorithm"] = "SHA256"
                copier().copy_object(Bucket=settings.RECORDINGS_BUCKET, Key=key, CopySource=which, **how)
            else:
                copier().copy(which, settings.RECORDINGS_BUCKET, key, ExtraArgs=how, Config=_in_parts())
        except ClientError as error:
            if error.response["Error"].get("Code") in {*ABSENT, "NoSuchVersion", "PreconditionFailed", "412"}:
                return False
            raise
    return True


def _in_parts() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(use_threads=False, **PARTS)


def content_type(key: str) -> str:
    with edge():
        return client().head_object(Bucket=settings.RECORDINGS_BUCKET, Key=key)["ContentType"]
