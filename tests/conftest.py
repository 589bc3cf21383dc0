"""moto under the whole app, and the people of the tests: Alice owns, Charlie is the stranger."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from moto import mock_aws

from recordings import models, storage
from tests.client import Client, sign_up


@pytest.fixture(autouse=True)
def aws() -> Iterator[None]:
    """Fresh tables and a fresh bucket. tests/integration has a fixture of this name with real peers."""
    with mock_aws():
        forget_connections()
        call_command("create_tables", verbosity=0)
        yield
    forget_connections()


def forget_connections() -> None:
    for cached in (models.dynamo, storage._s3, storage._signer, storage._files):
        cached.cache_clear()


@pytest.fixture
def alice() -> Client:
    return sign_up("Alice's phone")


@pytest.fixture
def charlie() -> Client:
    return sign_up("Charlie's phone")


@pytest.fixture
def nobody() -> Client:
    return Client()
