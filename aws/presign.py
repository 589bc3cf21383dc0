"""Presigned URLs: what lets a client read or write one object without Recorder in between. No calls to AWS."""

import base64
import datetime
import math
from functools import cache
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.utils.http import content_disposition_header

from aws.s3 import client, config, edge, session
from lib.clock import stamp
from lib.media_types import OPAQUE, file_name, served

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

UPLOAD_SECONDS = DOWNLOAD_SECONDS = 6 * 3600
CLOCKS = 60  # seconds by which ours may be behind, and what signing may take
SHARED_SECONDS = 15 * 60  # for whoever has the address of a share or a feed, which can be asked again


class Form(TypedDict):
    """Where a form goes, and what it holds beside the file."""

    url: str
    fields: dict[str, str]


class TimedForm(Form):
    expires: int  # seconds


@cache
def _signer() -> "S3Client":
    """A client for presigned URLs, which name the endpoint that the app can reach."""
    if settings.S3_PUBLIC_ENDPOINT_URL == settings.S3_ENDPOINT_URL:
        return client()
    endpoint = settings.S3_PUBLIC_ENDPOINT_URL
    return session().client("s3", region_name=settings.AWS_REGION, endpoint_url=endpoint, config=config(endpoint))


def lasting(seconds: float) -> int:
    """At most so many `seconds`: a URL ends with the credentials that signed it, whatever it says.

    A role's credentials end. Where botocore fetches them it knows when, and fetches others if that is soon; a Lambda
    function's environment says nothing of it, so the settings do. A user's keys have no end.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
    """
    with edge():
        credentials = session().get_credentials()
        token = credentials.get_frozen_credentials().token if credentials else None
    end: datetime.datetime | None = getattr(credentials, "_expiry_time", None)  # botocore has no other name for it
    if end:
        left = (end - datetime.datetime.now(datetime.UTC)).total_seconds()
        return int(min(seconds, max(1, left - CLOCKS)))
    return int(min(seconds, settings.CREDENTIALS_SECONDS) if token else seconds)


def seconds_of(url: str) -> int:
    """How long a URL lives from its signing on."""
    return int(parse_qs(urlsplit(url).query)["X-Amz-Expires"][0])


def end_of(url: str) -> str:
    """When S3 refuses a URL, as it says itself."""
    signed_at = datetime.datetime.strptime(parse_qs(urlsplit(url).query)["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
    return stamp(signed_at + datetime.timedelta(seconds=seconds_of(url)))


def _checksum(sha256: str) -> str:
    """The hash as S3 has it: base64."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def presign_put(key: str, *, size: int, sha256: str, content_type: str) -> tuple[str, dict[str, str]]:
    """A URL for one PUT of exactly these bytes, and the headers that go with it. No call to AWS.

    Content-Length, Content-Type, the SHA-256 and `If-None-Match: *` are signed: S3 refuses another length (403),
    other bytes (400) and a second write (412).
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    """
    checksum = _checksum(sha256)
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
        ExpiresIn=lasting(UPLOAD_SECONDS),
    )
    return url, {"Content-Type": content_type, "x-amz-checksum-sha256": checksum, "If-None-Match": "*"}


def presign_part(
    key: str, upload_id: str, number: int, *, size: int, sha256: str, seconds: float = math.inf
) -> tuple[str, dict[str, str]]:
    """A URL for one PUT of exactly this part, for so many `seconds` at most, and its headers. Length and SHA-256 are
    signed. No call to AWS.
    """
    checksum = _checksum(sha256)
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
        ExpiresIn=lasting(min(UPLOAD_SECONDS, seconds)),
    )
    return url, {"x-amz-checksum-sha256": checksum}


def presign_any_part(key: str, upload_id: str, number: int, *, seconds: float = math.inf) -> str:
    """A URL for one PUT of whatever bytes, for a client that can say neither their length nor their hash before."""
    part: Any = {"Bucket": settings.RECORDINGS_BUCKET, "Key": key, "UploadId": upload_id, "PartNumber": number}
    return _signer().generate_presigned_url(
        "upload_part", Params=part, ExpiresIn=lasting(min(UPLOAD_SECONDS, seconds))
    )


def presign_post(key: str, *, size: int, sha256: str, content_type: str) -> TimedForm:
    """A POST policy for one form with exactly these bytes, under exactly this key: `url`, `fields`, and `expires`, the
    seconds that it lives. No call to AWS.

    S3 refuses another length, type or key, other bytes, and any field that the policy does not name.
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
    """
    checksum = _checksum(sha256)
    fields = {
        "Content-Type": content_type,
        "x-amz-checksum-algorithm": "SHA256",
        "x-amz-checksum-sha256": checksum,
        "success_action_status": "201",
    }
    conditions: list[Any] = [["content-length-range", size, size], *({name: value} for name, value in fields.items())]
    seconds = lasting(UPLOAD_SECONDS)
    policy = _signer().generate_presigned_post(
        settings.RECORDINGS_BUCKET, key, Fields=fields, Conditions=conditions, ExpiresIn=seconds
    )
    return {"url": policy["url"], "fields": policy["fields"], "expires": seconds}


def presign_read(key: str, *, seconds: int) -> str:
    """A URL for reading one object, for a function of ours. No call to AWS."""
    params = {"Bucket": settings.RECORDINGS_BUCKET, "Key": key}
    return client().generate_presigned_url("get_object", Params=params, ExpiresIn=lasting(seconds))


def presign_form(key: str, *, most: int, content_type: str, seconds: int) -> Form:
    """A POST policy (`url`, `fields`) for one file of at most `most` bytes under exactly this key, for a function of
    ours. No call to AWS.
    """
    policy = client().generate_presigned_post(
        settings.RECORDINGS_BUCKET,
        key,
        Fields={"Content-Type": content_type, "success_action_status": "201"},
        Conditions=[
            ["content-length-range", 1, most],
            {"Content-Type": content_type},
            {"success_action_status": "201"},
        ],
        ExpiresIn=lasting(seconds),
    )
    return {"url": policy["url"], "fields": policy["fields"]}


def presign_get(
    key: str,
    *,
    name: str,
    content_type: str,
    trusted: bool,
    inline: bool,
    seconds: int = DOWNLOAD_SECONDS,
    head: bool = False,
) -> str:
    """A URL for reading one object (Range works) for some `seconds`, under the recording's name. No call to AWS.

    Under its own type, and `inline`, go only types that browsers and players take for sound, and only bytes that are
    `trusted` to be it. Everything else is a file to save.

    The name travels as RFC 6266 and RFC 8187 have it, so that it survives in any script. The method is signed too:
    with `head`, the URL is for HEAD.
    """
    kind = served(content_type) if trusted else OPAQUE
    disposition = _disposition(file_name(name, content_type), inline=inline and kind != OPAQUE)
    return _signer().generate_presigned_url(
        "head_object" if head else "get_object",
        Params={
            "Bucket": settings.RECORDINGS_BUCKET,
            "Key": key,
            "ResponseContentType": kind,
            "ResponseContentDisposition": disposition,
        },
        ExpiresIn=lasting(seconds),
    )


def _disposition(name: str, *, inline: bool) -> str:
    """Content-Disposition that holds the name even when inline, where Django leaves it out."""
    header: str = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    return "inline" + header.removeprefix("attachment") if inline else header
