"""A real browser, and the real server on real peers. `make browser` runs these tests; any other run skips them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.integration import peers
from tests.processes import free_ports

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",  # it runs as root in CI
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
STARTS_WITHIN = 60  # seconds
SOON = 20_000  # ms; how long a busy machine may take for what is expected

expect.set_options(timeout=SOON)


def until(page: Page, holds: Callable[[], bool]) -> None:
    """Wait until it `holds`. The page goes on meanwhile."""
    deadline = time.monotonic() + SOON / 1000
    while not holds():
        assert time.monotonic() < deadline, "It does not come to that."
        page.wait_for_timeout(50)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if config.option.markexpr != "browser":
                item.add_marker(pytest.mark.skip(reason="needs the browser and the peers of `make browser`"))


@pytest.fixture(autouse=True)
def aws() -> None:
    """Takes the place of moto's fixture: nothing of the app runs in this process."""


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield chromium
    chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty profile."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@dataclass
class Server:
    """Recorder as gunicorn runs it, on DynamoDB Local and a strict S3. `pages` is another origin that it admits."""

    url: str
    pages: str
    environ: dict[str, str]
    process: "subprocess.Popen[bytes]"

    @property
    def api(self) -> str:
        return f"{self.url}/api/v1/"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    url, pages = free_addresses()
    environ = peers.environ() | {
        "PATH": os.environ["PATH"],
        "LOCAL": "true",
        "PUBLIC_URL": url,
        "CORS_ORIGINS": pages,
        "AWS_REGION": "us-east-1",
    }
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "gunicorn", "recorder_project.wsgi:application"]
    command += ["--bind", url.removeprefix("http://"), "--threads", "8"]
    with peers.running(environ["AWS_ENDPOINT_URL_DYNAMODB"], environ["AWS_ENDPOINT_URL_S3"]), log.open("wb") as output:
        create_tables(environ)
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=output)
        try:
            wait(process, f"{url}/health/", log)
            yield Server(url, pages, environ, process)
        finally:
            process.terminate()
            process.wait(20)


def create_tables(environ: dict[str, str]) -> None:
    """An S3 that has just started can take longer than the app waits. The command can be repeated."""
    command = [sys.executable, "manage.py", "create_tables"]
    if subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode:
        subprocess.run(command, cwd=ROOT, env=environ, check=True)


def free_addresses() -> tuple[str, str]:
    one, other = free_ports(2)
    return f"http://127.0.0.1:{one}", f"http://127.0.0.1:{other}"


def wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The server does not answer:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.1)
