"""The strict S3 is strict: what the other tests expect to be refused, it refuses. moto would take all of it."""

import boto3
import pytest
import requests
from botocore.config import Config
from django.conf import settings

from recordings import presigning, storage
from tests.client import sha256

KEY = "recordings/a/b/c"
BODY = b"some sound" * 100


def put(body: bytes = BODY, url: str = "", **changed: str) -> int:
    signed, headers = presigning.presign_put(KEY, size=len(BODY), sha256=sha256(BODY), content_type="audio/wav")
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
    signed, _ = presigning.presign_put(KEY, size=len(BODY), sha256=sha256(BODY), content_type="audio/wav")
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
