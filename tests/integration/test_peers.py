"""The strict S3 is strict: what the other tests expect to be refused, it refuses. moto would take all of it."""

import datetime
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from django.conf import settings

from aws import presign
from aws import s3 as storage
from tests.client import sha256

KEY = "recordings/a/b/c"
BODY = b"some sound" * 100


def put(body: bytes = BODY, url: str = "", **changed: str) -> int:
    signed, headers = presign.presign_put(KEY, size=len(BODY), sha256=sha256(BODY), content_type="audio/wav")
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    return requests.put(url or signed, data=body, headers=headers, timeout=60).status_code


def test_takes_the_declared_bytes_once() -> None:
    assert put() == 200
    assert storage.stat(KEY) == storage.Stored(len(BODY), sha256(BODY))
    assert put() == 412


@pytest.mark.parametrize(
    ("status", "body", "changed"),
    [
        (400, BODY[:-1] + b"!", {}),
        (403, BODY + b"!", {}),
        (403, BODY[:-1], {}),
        (403, BODY, {"Content_Type": "text/html"}),
        (403, BODY, {"If_None_Match": ""}),
    ],
    ids=["a wrong byte", "a byte too many", "a byte too few", "another type", "no If-None-Match"],
)
def test_refuses_anything_else(status: int, body: bytes, changed: dict[str, str]) -> None:
    assert put(body, **changed) == status
    assert storage.stat(KEY) is None


def test_refuses_another_key_of_the_bucket() -> None:
    signed, _ = presign.presign_put(KEY, size=len(BODY), sha256=sha256(BODY), content_type="audio/wav")
    assert put(url=signed.replace("/a/b/", "/x/b/")) == 403


def test_refuses_a_url_signed_with_another_secret() -> None:
    stranger = boto3.client(
        "s3",
        endpoint_url=settings.S3_ENDPOINT_URL,
        region_name=settings.AWS_REGION,
        aws_access_key_id="test",
        aws_secret_access_key="another",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    url = stranger.generate_presigned_url("get_object", Params={"Bucket": settings.RECORDINGS_BUCKET, "Key": KEY})
    assert put() == 200
    assert requests.get(url, timeout=60).status_code == 403


def found(key: str = KEY) -> storage.Listed:
    stored = storage.stat(key)
    assert stored
    return storage.Listed(key, stored.size, datetime.datetime.now(datetime.UTC), etag=stored.etag)


def test_copies_what_was_proven_and_nothing_else() -> None:
    """And gives the copy a SHA-256 of the whole, also where its source came in parts."""
    upload_id = storage.start_multipart(KEY, "audio/wav")
    where: Any = {"Bucket": settings.RECORDINGS_BUCKET, "Key": KEY, "UploadId": upload_id}
    storage.client().upload_part(**where, PartNumber=1, Body=BODY, ChecksumAlgorithm="SHA256")
    storage.finish_multipart(KEY, upload_id, storage.list_parts(KEY, upload_id) or [])
    source = found()
    assert storage.stat(KEY) == storage.Stored(len(BODY), None)
    assert storage.copy(source, f"{KEY}-copy", "audio/ogg")
    assert storage.stat(f"{KEY}-copy") == storage.Stored(len(BODY), sha256(BODY))
    assert storage.content_type(f"{KEY}-copy") == "audio/ogg"
    storage.save(KEY, b"other bytes", "audio/wav")
    assert not storage.copy(source, f"{KEY}-copy", "audio/ogg")
    storage.delete(KEY)
    assert not storage.copy(source, f"{KEY}-copy", "audio/ogg")
    assert storage.digest(f"{KEY}-copy") == sha256(BODY)


def test_copies_in_parts_what_is_too_large_for_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MOST_COPY", 1)
    storage.save(KEY, BODY, "audio/wav")
    source = found()
    monkeypatch.setattr(storage, "PARTS", {"multipart_threshold": 1, "multipart_chunksize": 5 * 2**20})
    assert storage.copy(source, f"{KEY}-copy", "audio/ogg")
    assert storage.digest(f"{KEY}-copy") == sha256(BODY)
    storage.save(KEY, b"other bytes", "audio/wav")
    assert not storage.copy(source, f"{KEY}-copy", "audio/ogg")
