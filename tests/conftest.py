"""moto under the whole app, and the people of the tests: Alice owns, Charlie is the stranger."""

import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings
from moto import mock_aws
from moto.dynamodb import responses

from recordings.analysis import decoding
from tests import fresh
from tests.client import Client, sign_up
from tests.decoding import in_thread

DAY, LONGEST = 86400, 60  # seconds: of a day, and more than a test takes


@pytest.fixture(autouse=True)
def _one_day() -> None:
    """Sessions note once a day (in UTC) that they are used. So that a test can compare all that is stored, or count
    calls, none begins just before midnight.
    """
    left = DAY - time.time() % DAY
    if left < LONGEST:
        time.sleep(left)


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Hashes of shares' passwords that cost nothing: Scrypt's take a twentieth of a second each."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session")
def made_once() -> Iterator[None]:
    """A mock around all those of the tests: to begin the first one takes moto five milliseconds."""
    with fresh.quick_moto():
        fresh.make()
        with mock_aws(config=fresh.CONFIG):
            yield


@pytest.fixture
def earlier_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes under a grant is the app's own recording, as uploads are that an earlier version began."""
    monkeypatch.setattr("accounts.grants.id_of", lambda grant: "")


@pytest.fixture
def shards() -> Any:
    """Where sweeps look. The 272 Queries of each take moto a third of a second, so only where a row is."""
    return fresh.OccupiedShards()


@pytest.fixture(autouse=True)
def _short_sweeps(shards: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto takes back what one thread wrote when it refuses another, and what is stepped through has no threads."""
    monkeypatch.setattr("operations.sweep.THREADS", {})
    monkeypatch.setattr("operations.sweep.SHARDS", shards)


@pytest.fixture(autouse=True)
def aws(made_once: None) -> Iterator[None]:
    """Fresh tables and a fresh bucket. tests/integration has a fixture of this name with real peers.

    The app keeps its connections from test to test: moto stands behind every botocore client of the process.
    """
    with mock_aws(config=fresh.CONFIG), pytest.MonkeyPatch.context() as patch:
        patch.setattr(responses, "TRANSACTION_MAX_ITEMS", 100)  # as at AWS; moto has 25
        fresh.put()
        yield


@pytest.fixture(autouse=True)
def _decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are decoded in a thread, over the same pipes, since a process costs a third of a second. Tests of the
    process itself ask for `real_decoder`.
    """
    if "real_decoder" not in request.fixturenames:
        monkeypatch.setattr(decoding, "started", in_thread)


@pytest.fixture
def real_decoder() -> None:
    """A process of its own for each file, as everywhere outside of tests."""


# An auth_key, a share's token, a JWT, and the secrets that the tests of logins make up.
SECRETS = re.compile(
    r"[0-9a-f]{32}\.[\w-]{43}|/s/[\w-]{43}|eyJ[\w-]+\.[\w-]+"
    r"|the-access-token|the-code|the-admin-key|-refresh-token|app secret"
)


@pytest.fixture(autouse=True)
def _nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, no line of the log holds a key, a token or a code, in the form that the server writes."""
    yield
    (handler,) = (each for each in logging.getLogger().handlers if each.get_name() == "stderr")
    for when in ("setup", "call"):
        for record in caplog.get_records(when):
            if record.name.partition(".")[0] in (
                "accounts",
                "recordings",
                "recorder_project",
                "web",
                "django",
                "urllib3",
            ):
                assert not SECRETS.search(handler.format(record))


@pytest.fixture
def alice() -> Client:
    return sign_up("Alice's phone")


@pytest.fixture
def charlie() -> Client:
    return sign_up("Charlie's phone")


@pytest.fixture
def nobody() -> Client:
    return Client()
