"""The bucket itself: made, and asked whether it is there."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError
from django.conf import settings

from aws.s3 import client, edge

LEFTOVER_DAYS = 7  # after UPLOAD_DAYS, the bucket's rule ends multipart uploads by itself

log = logging.getLogger(__name__)

UNDO_DAYS = 35  # how long the operator can have deleted bytes back: as long as tables can be restored


def reachable() -> None:
    """One HeadBucket. Raises a 503 Problem when S3 does not answer."""
    with edge():
        client().head_bucket(Bucket=settings.RECORDINGS_BUCKET)


def create_bucket(origins: list[str]) -> None:
    """Make the bucket: private, versioned, with CORS for `origins`, and stale leftovers expired. Safe to repeat.

    A store other than S3 may lack one of these; what it lacks is logged.
    """
    s3, bucket = client(), settings.RECORDINGS_BUCKET
    elsewhere = settings.AWS_REGION != "us-east-1"
    place: Any = {"CreateBucketConfiguration": {"LocationConstraint": settings.AWS_REGION}} if elsewhere else {}
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=bucket, **place)
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
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": settings.UPLOAD_DAYS + LEFTOVER_DAYS},
        "NoncurrentVersionExpiration": {"NoncurrentDays": UNDO_DAYS},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    }
    calls: dict[str, Mapping[str, object]] = {
        "put_public_access_block": {"PublicAccessBlockConfiguration": private},
        "put_bucket_versioning": {"VersioningConfiguration": {"Status": "Enabled"}},
        "put_bucket_cors": {"CORSConfiguration": {"CORSRules": [rule]}},
        "put_bucket_lifecycle_configuration": {"LifecycleConfiguration": {"Rules": [leftovers]}},
    }
    for name, arguments in calls.items():
        try:
            getattr(s3, name)(Bucket=bucket, **arguments)
        except ClientError as error:
            log.warning("%s: %s", name, error)
