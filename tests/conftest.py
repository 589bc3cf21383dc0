"""moto under the whole app, and the people of the tests: Alice owns, Charlie is the stranger."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from moto import mock_aws

from tests.client import Client, sign_up


@pytest.fixture(autouse=True)
def aws() -> Iterator[None]:
    """Fresh tables and a fresh bucket. tests/integration has a fixture of this name with real peers.

    The app keeps its connections from test to test: moto stands behind every botocore client of the process.
    """
    with mock_aws():
        call_command("create_tables", verbosity=0)
        yield


@pytest.fixture
def alice() -> Client:
    return sign_up("Alice's phone")


@pytest.fixture
def charlie() -> Client:
    return sign_up("Charlie's phone")


@pytest.fixture
def nobody() -> Client:
    return Client()
