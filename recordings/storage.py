"""The bucket: what is stored under a key, presigned URLs, deletion. Base64 hashes and botocore's errors end here.

boto3 and django-storages are imported by the first call that needs them: a list of recordings needs no S3, and they
cost 30 ms of cold start.
"""

import base64
import datetime
import hashlib
import io
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import ContentFile
from django.utils.http import content_disposition_header

from recorder_project.logs import called
from recorder_project.problems import Problem, not_found, unavailable

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

log = logging.getLogger(__name__)

UPLOAD_SECONDS = DOWNLOAD_SECONDS = 6 * 3600
CHUNK = 1024 * 1024
ABSENT = {"404", "NoSuchKey", "NotFound"}


@dataclass(frozen=True)
class Stored:
    """What S3 says of an object: its size in bytes, and its SHA-256 in hex where the store kept one."""

    size: int
    sha256: str | None


@dataclass(frozen=True)
class Listed:
    """An object as the bucket's listing has it, or an upload that has not ended; `id` is its version's or its own."""

    key: str
    size: int
    moment: datetime.datetime  # last written, or begun; aware
    id: str = ""


@dataclass(frozen=True)
class Part:
    """A part of a multipart upload as S3 lists it. `sha256` is base64, only ever handed back to S3."""

    number: int
    size: int
    etag: str
    sha256: str | None


def _config() -> Config:
    """SigV4; on AWS the bucket's own host in its region, since a redirect would break signatures and CORS.

    Checksums are ours to choose (the SHA-256 that the recording declares), so botocore adds none where S3 wants none.
    """
    return Config(
        signature_version="s3v4",
        s3={
            "addressing_style": "path" if settings.S3_ENDPOINT_URL else "virtual",
            "us_east_1_regional_endpoint": "regional",
        },
        connect_timeout=1,
        read_timeout=5,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=32,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


@cache
def _s3() -> Any:
    """boto3's resource for the endpoint that the server itself uses."""
    import boto3

    s3 = boto3.session.Session().resource(
        "s3", region_name=settings.AWS_REGION, endpoint_url=settings.S3_ENDPOINT_URL, config=_config()
    )
    s3.meta.client.meta.events.register("before-call.s3", lambda model, **_: called(model.name))
    return s3


def _client() -> "S3Client":
    client: S3Client = _s3().meta.client
    return client


@cache
def _signer() -> "S3Client":
    """A client for presigned URLs, which name the endpoint that the app can reach."""
    if settings.S3_PUBLIC_ENDPOINT_URL == settings.S3_ENDPOINT_URL:
        return _client()
    import boto3

    client: S3Client = boto3.session.Session().client(
        "s3", region_name=settings.AWS_REGION, endpoint_url=settings.S3_PUBLIC_ENDPOINT_URL, config=_config()
    )
    return client


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
def _edge() -> Iterator[None]:
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
    with _edge():
        _files().save(key, file)


def stat(key: str) -> Stored | None:
    """What is stored under `key`, or None. One HeadObject."""
    with _edge():
        try:
            head = _client().head_object(Bucket=settings.RECORDINGS_BUCKET, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"].get("Code") in ABSENT:
                return None
            raise
    checksum = head.get("ChecksumSHA256", "")
    in_parts = "-" in head.get("ETag", "") or head.get("ChecksumType") == "COMPOSITE"
    if not checksum or "-" in checksum or in_parts:  # a hash of the parts' hashes
        return Stored(head["ContentLength"], None)
    return Stored(head["ContentLength"], base64.b64decode(checksum).hex())


def digest(key: str, version_id: str = "") -> str | None:
    """The SHA-256 of the stored bytes, in hex, read in constant memory; None where there is no object."""
    which: Any = {"VersionId": version_id} if version_id else {}
    with _edge():
        answer = _get(key, **which)
        if answer is None:
            return None
        sha256 = hashlib.sha256()
        for chunk in answer["Body"].iter_chunks(CHUNK):
            sha256.update(chunk)
        return sha256.hexdigest()


class Reader(io.RawIOBase):
    """A stored object as a file that can be read anywhere, a block at a time. It holds `KEPT` blocks and no more."""

    BLOCK, KEPT = 4 * 2**20, 4

    def __init__(self, key: str) -> None:
        self.key = key
        self.size = 0
        self.at = 0
        self.blocks: dict[int, bytes] = {}
        self.block(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence])
        return self.at

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, and no more than the block still holds; b"" at the end."""
        if self.at >= self.size:
            return b""
        number, start = divmod(self.at, self.BLOCK)
        block = self.block(number)
        taken = block[start:] if size < 0 else block[start : start + size]
        self.at += len(taken)
        return taken

    def block(self, number: int) -> bytes:
        """One GetObject, unless it is at hand. Raises 404 where the object has gone."""
        if number not in self.blocks:
            first = number * self.BLOCK
            with _edge():
                answer = _get(self.key, Range=f"bytes={first}-{first + self.BLOCK - 1}")
                if answer is None:
                    raise not_found()
                content: bytes = answer["Body"].read()
            self.size = int(answer["ContentRange"].rpartition("/")[2])
            while len(self.blocks) >= self.KEPT:
                del self.blocks[next(iter(self.blocks))]
            self.blocks[number] = content
        return self.blocks[number]


def open_object(key: str) -> Reader | None:
    """The object as a file, or None where there is none. One GetObject for each 4 MiB that is read."""
    try:
        return Reader(key)
    except Problem as problem:
        if problem.status_code != 404:
            raise
        return None


def _get(key: str, **options: Any) -> Any:
    try:
        return _client().get_object(Bucket=settings.RECORDINGS_BUCKET, Key=key, **options)
    except ClientError as error:
        if error.response["Error"].get("Code") in ABSENT:
            return None
        raise


def delete(key: str) -> None:
    """Delete the object; a versioned bucket keeps it as an old version until its lifecycle expires it."""
    with _edge():
        _client().delete_object(Bucket=settings.RECORDINGS_BUCKET, Key=key)


def discard(key: str, upload_id: str = "") -> None:
    """Delete the object, and abort the multipart upload that would still make it."""
    if upload_id:
        abort_multipart(key, upload_id)
    delete(key)


def start_multipart(key: str, content_type: str, *, checksums: bool = True) -> str:
    """Begin a multipart upload, with `checksums` one whose parts S3 checks by SHA-256. Returns its upload id."""
    how: Any = {"ChecksumAlgorithm": "SHA256"} if checksums else {}
    with _edge():
        begun = _client().create_multipart_upload(
            Bucket=settings.RECORDINGS_BUCKET, Key=key, ContentType=content_type, **how
        )
    return begun["UploadId"]


def list_parts(key: str, upload_id: str) -> list[Part] | None:
    """The parts that S3 holds, in order; None where the upload is over. One ListParts for each 1,000."""
    parts: list[Part] = []
    with _edge():
        try:
            pages = _client().get_paginator("list_parts")
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
    with _edge():
        try:
            _client().complete_multipart_upload(
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
    with _edge():
        try:
            _client().abort_multipart_upload(Bucket=settings.RECORDINGS_BUCKET, Key=key, UploadId=upload_id)
        except ClientError as error:
            if error.response["Error"].get("Code") != "NoSuchUpload":
                raise


def erase(prefix: str, *, until: float = math.inf) -> bool:
    """Delete everything under `prefix`: objects, their old versions, and multipart uploads that never ended.

    Returns whether it was done before `until` (time.monotonic).
    """
    client, bucket = _client(), settings.RECORDINGS_BUCKET
    with _edge():
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
            for upload in page.get("Uploads", []):
                client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        for versions in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            found: list[Any] = [*versions.get("Versions", []), *versions.get("DeleteMarkers", [])]
            if found and time.monotonic() > until:
                return False
            if found:
                objects: Any = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
                failed = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors")
                if failed:
                    raise unavailable()
    return True


def list_objects(prefix: str) -> Iterator[list[Listed]]:
    """What the bucket holds under `prefix`, in the order of the keys. One call for each page of 1,000."""
    with _edge():
        for page in (
            _client().get_paginator("list_objects_v2").paginate(Bucket=settings.RECORDINGS_BUCKET, Prefix=prefix)
        ):
            yield [Listed(item["Key"], item["Size"], item["LastModified"]) for item in page.get("Contents", [])]


def list_uploads(prefix: str) -> Iterator[list[Listed]]:
    """The multipart uploads under `prefix` that have not ended. One call for each page of 1,000."""
    with _edge():
        for page in (
            _client()
            .get_paginator("list_multipart_uploads")
            .paginate(Bucket=settings.RECORDINGS_BUCKET, Prefix=prefix)
        ):
            found = page.get("Uploads", [])
            yield [Listed(item["Key"], 0, item["Initiated"], item["UploadId"]) for item in found]


def list_versions(prefix: str) -> Iterator[Listed]:
    """Every version under `prefix` that has bytes, the current ones too."""
    with _edge():
        for page in (
            _client().get_paginator("list_object_versions").paginate(Bucket=settings.RECORDINGS_BUCKET, Prefix=prefix)
        ):
            for item in page.get("Versions", []):
                version = "" if item["VersionId"] == "null" else item["VersionId"]  # the bucket is not versioned
                yield Listed(item["Key"], item["Size"], item["LastModified"], version)


def copy(source: Listed, key: str, content_type: str) -> None:
    """Make the bytes of one version the current ones of `key`, without reading them."""
    which: Any = {"Bucket": settings.RECORDINGS_BUCKET, "Key": source.key}
    if source.id:
        which["VersionId"] = source.id
    how = {"ContentType": content_type, "MetadataDirective": "REPLACE", "ChecksumAlgorithm": "SHA256"}
    with _edge():
        _client().copy(which, settings.RECORDINGS_BUCKET, key, ExtraArgs=how)


def content_type(key: str) -> str:
    with _edge():
        return _client().head_object(Bucket=settings.RECORDINGS_BUCKET, Key=key)["ContentType"]


def presign_put(key: str, *, size: int, sha256: str, content_type: str) -> tuple[str, dict[str, str]]:
    """A URL for one PUT of exactly these bytes, and the headers that go with it. No call to AWS.

    Content-Length, Content-Type, the SHA-256 and `If-None-Match: *` are signed: S3 refuses another length (403),
    other bytes (400) and a second write (412).
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    """
    checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
    url = _signer().generate_presigned_url(
        "put_object",
        Params={
            "Bucket": settings.RECORDINGS_BUCKET,
            "Key": key,
            "ContentLength": size,
            "ContentType": content_type,
            "ChecksumSHA256": checksum,
            "IfNoneMatch": "*",
        },
        ExpiresIn=UPLOAD_SECONDS,
    )
    return url, {"Content-Type": content_type, "x-amz-checksum-sha256": checksum, "If-None-Match": "*"}


def presign_part(key: str, upload_id: str, number: int, *, size: int, sha256: str) -> tuple[str, dict[str, str]]:
    """A URL for one PUT of exactly this part, and its headers. Length and SHA-256 are signed. No call to AWS."""
    checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
    url = _signer().generate_presigned_url(
        "upload_part",
        Params={
            "Bucket": settings.RECORDINGS_BUCKET,
            "Key": key,
            "UploadId": upload_id,
            "PartNumber": number,
            "ContentLength": size,
            "ChecksumSHA256": checksum,
        },
        ExpiresIn=UPLOAD_SECONDS,
    )
    return url, {"x-amz-checksum-sha256": checksum}


def presign_any_part(key: str, upload_id: str, number: int) -> str:
    """A URL for one PUT of whatever bytes, for a client that can say neither their length nor their hash before."""
    part: Any = {"Bucket": settings.RECORDINGS_BUCKET, "Key": key, "UploadId": upload_id, "PartNumber": number}
    return _signer().generate_presigned_url("upload_part", Params=part, ExpiresIn=UPLOAD_SECONDS)


def presign_post(key: str, *, size: int, sha256: str, content_type: str) -> dict[str, Any]:
    """A POST policy (`url`, `fields`) for one form with exactly these bytes, under exactly this key. No call to AWS.

    S3 refuses another length, type or key, other bytes, and any field that the policy does not name.
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
    """
    checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
    fields = {
        "Content-Type": content_type,
        "x-amz-checksum-algorithm": "SHA256",
        "x-amz-checksum-sha256": checksum,
        "success_action_status": "201",
    }
    conditions: list[Any] = [["content-length-range", size, size], *({name: value} for name, value in fields.items())]
    return _signer().generate_presigned_post(
        settings.RECORDINGS_BUCKET, key, Fields=fields, Conditions=conditions, ExpiresIn=UPLOAD_SECONDS
    )


def presign_get(key: str, *, name: str, content_type: str, inline: bool) -> str:
    """A URL for reading one object (Range works), under the recording's name. No call to AWS.

    The name travels as RFC 6266 and RFC 8187 have it, so that it survives in any script.
    """
    return _signer().generate_presigned_url(
        "get_object",
        Params={
            "Bucket": settings.RECORDINGS_BUCKET,
            "Key": key,
            "ResponseContentType": content_type,
            "ResponseContentDisposition": _disposition(name, inline=inline),
        },
        ExpiresIn=DOWNLOAD_SECONDS,
    )


def _disposition(name: str, *, inline: bool) -> str:
    """Content-Disposition that holds the name even when inline, where Django leaves it out."""
    header: str = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    return "inline" + header.removeprefix("attachment") if inline else header


def reachable() -> None:
    """One HeadBucket. Raises a 503 Problem when S3 does not answer."""
    with _edge():
        _client().head_bucket(Bucket=settings.RECORDINGS_BUCKET)


def create_bucket(origins: list[str]) -> None:
    """Make the bucket: private, versioned, with CORS for `origins`, and stale leftovers expired. Safe to repeat.

    A store other than S3 may lack one of these; what it lacks is logged.
    """
    client, bucket = _client(), settings.RECORDINGS_BUCKET
    elsewhere = settings.AWS_REGION != "us-east-1"
    place: Any = {"CreateBucketConfiguration": {"LocationConstraint": settings.AWS_REGION}} if elsewhere else {}
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=bucket, **place)
    private = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    rule = {
        "AllowedMethods": ["GET", "HEAD", "PUT", "POST"],
        "AllowedOrigins": origins,
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "Location"],
        "MaxAgeSeconds": 3600,
    }
    leftovers = {
        "ID": "leftovers",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": settings.UPLOAD_DAYS + 7},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    }
    calls: dict[str, dict[str, Any]] = {
        "put_public_access_block": {"PublicAccessBlockConfiguration": private},
        "put_bucket_versioning": {"VersioningConfiguration": {"Status": "Enabled"}},
        "put_bucket_cors": {"CORSConfiguration": {"CORSRules": [rule]}},
        "put_bucket_lifecycle_configuration": {"LifecycleConfiguration": {"Rules": [leftovers]}},
    }
    for name, arguments in calls.items():
        try:
            getattr(client, name)(Bucket=bucket, **arguments)
        except ClientError as error:
            log.warning("%s: %s", name, error)
