"""The app on real peers instead of moto. `make integration` runs these tests; any other run skips them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.conf import settings
from django.core.management import call_command

from aws import dynamo, s3
from lib import deadline
from recordings.models import SHARDS
from tests.integration.peers import running

HERE = Path(__file__).parent
CLIENT: dict[str, Any] = {"region_name": settings.AWS_REGION}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    on_peers = config.pluginmanager.hasplugin("tests.integration.environment")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)
            if not on_peers:
                item.add_marker(pytest.mark.skip(reason="needs the peers that `make integration` starts"))


@pytest.fixture
def shards() -> list[str]:
    """All that there are."""
    return SHARDS


@pytest.fixture(scope="session")
def peers() -> Iterator[None]:
    """DynamoDB Local and a strict S3, once for all tests, at the addresses that the settings name."""
    assert settings.DYNAMODB_ENDPOINT_URL
    assert settings.S3_ENDPOINT_URL
    # Seconds: the peers on a busy machine are slower than Amazon's, and no fault.
    deadline.SECONDS, dynamo.READ_TIMEOUT, s3.READ_TIMEOUT = 600, 30, 30
    with running(settings.DYNAMODB_ENDPOINT_URL, settings.S3_ENDPOINT_URL):
        yield


@pytest.fixture(autouse=True)
def _one_thread_sweeps() -> None:
    """Here they have all their threads."""


@pytest.fixture(autouse=True)
def aws(peers: None) -> Iterator[None]:
    """Fresh tables and a fresh bucket, made by the app's own command. Takes the place of moto's fixture."""
    call_command("create_tables", verbosity=0)
    yield
    dynamodb = boto3.client("dynamodb", endpoint_url=settings.DYNAMODB_ENDPOINT_URL, **CLIENT)
    for table in dynamodb.list_tables()["TableNames"]:
        dynamodb.delete_table(TableName=table)
    bucket = boto3.resource("s3", endpoint_url=settings.S3_ENDPOINT_URL, **CLIENT).Bucket(settings.RECORDINGS_BUCKET)
    for upload in bucket.multipart_uploads.all():
        upload.abort()
    bucket.object_versions.delete()
    bucket.delete()
