"""The built image on DynamoDB Local and a strict S3. `make image-test` builds it and runs these tests."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.image.container import running
from tests.image.runtime import Lambda, runtime_api
from tests.integration.conftest import aws, peers

__all__ = ["aws", "peers"]

HERE = Path(__file__).parent
# What a function's environment holds; tests/environment.py has set it for this process too.
NAMES = [
    *("SECRET_KEY", "ALLOWED_HOSTS", "PUBLIC_URL", "GUEST_LOGIN", "THROTTLE", "AWS_REGION", "AWS_ACCESS_KEY_ID"),
    *("USERS_TABLE", "RECORDINGS_TABLE", "CHANGES_TABLE", "RECORDINGS_BUCKET", "AWS_SECRET_ACCESS_KEY"),
    *("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_S3"),
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.image)
            if not config.pluginmanager.hasplugin("tests.integration.environment"):
                item.add_marker(pytest.mark.skip(reason="needs the image that `make image-test` builds"))


def environ() -> dict[str, str]:
    return {name: os.environ[name] for name in NAMES}


@contextmanager
def function(log: Path, command: str = "", **changes: str) -> Iterator[Lambda]:
    """The image as a Lambda function; `command` is the handler, "" the image's own. An empty change is unset."""
    with runtime_api() as api, ExitStack() as stack:
        lambdas = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.port}", "AWS_LAMBDA_FUNCTION_NAME": "recorder"}
        merged = {**environ(), **lambdas, **changes}
        started = {name: value for name, value in merged.items() if value}
        stack.enter_context(running([command] if command else [], started, log))
        api.begun_at = time.monotonic()  # an engine may have copied the whole image before
        api.started()
        yield api


@pytest.fixture
def http(aws: None, tmp_path: Path) -> Iterator[Lambda]:
    with function(tmp_path / "http.log") as api:
        yield api


@pytest.fixture
def events(aws: None, tmp_path: Path) -> Iterator[Lambda]:
    with function(tmp_path / "events.log", "recordings.handlers.handler") as api:
        yield api
