"""Uppy 5 and 6 as npm ships them, with the preprocessor of docs/uppy.md, in pages of another origin than the server's.

The pages are in tests/uppy; npm and esbuild make them in .local/uppy.
"""

import hashlib
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from playwright.sync_api import Page, Playwright, Request

from tests.browser.conftest import ARGUMENTS, CHROMIUM, ROOT, Server

SOURCE = ROOT / "tests" / "uppy"
BUILT = ROOT / ".local" / "uppy"
LARGE, SMALL = 120 * 10**6, 3 * 10**6
SPEED = 20 * 10**6  # bytes a second: slow enough to be interrupted
DONE_WITHIN = 120_000  # milliseconds
PAGE = '<!doctype html><meta charset="utf-8"><input type="file" multiple><script src="{}.js"></script>'


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="session")
def pages(server: Server) -> Iterator[str]:
    """The address under which v5.html and v6.html are served."""
    build()
    handler = partial(Quiet, directory=str(BUILT))
    httpd = ThreadingHTTPServer(("127.0.0.1", urlsplit(server.pages).port or 0), handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server.pages
    httpd.shutdown()
    httpd.server_close()


def build() -> None:
    """Both pages, each with its own Uppy. npm fetches what the lock file names, and runs none of its scripts."""
    npm = BUILT / "node_modules" / ".package-lock.json"
    fresh = npm.exists() and npm.stat().st_mtime > (SOURCE / "package-lock.json").stat().st_mtime
    shutil.copytree(SOURCE, BUILT, dirs_exist_ok=True)
    if not fresh:
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=BUILT, check=True)
    for name in ("v5", "v6"):
        esbuild = ["node_modules/.bin/esbuild", f"{name}/main.js", "--bundle", f"--outfile={name}.js"]
        subprocess.run([*esbuild, "--log-level=warning"], cwd=BUILT, check=True)
        (BUILT / f"{name}.html").write_text(PAGE.format(name))


@pytest.fixture
def app(server: Server) -> Iterator[httpx.Client]:
    """An account that is no guest's."""
    login = {"provider": "guest"}
    signed_up = httpx.post(f"{server.api}accounts/login/", json=login, timeout=60).raise_for_status().json()
    endpoint = server.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    boto3.client("dynamodb", endpoint_url=endpoint, region_name="us-east-1").update_item(
        TableName="recorder-changes",
        Key={"user_id": {"S": signed_up["user_id"]}, "version": {"N": "0"}},
        UpdateExpression="SET is_guest = :false",
        ExpressionAttributeValues={":false": {"BOOL": False}},
    )
    headers = {"Authorization": f"Bearer {signed_up['auth_key']}"}
    with httpx.Client(base_url=server.api, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
def page(playwright: Playwright, tmp_path: Path) -> Iterator[Page]:
    """In a browser of its own, whose profile is on disk: what Golden Retriever keeps would fill the memory."""
    profile = tmp_path / "profile"
    context = playwright.chromium.launch_persistent_context(profile, executable_path=CHROMIUM, args=ARGUMENTS)
    yield context.pages[0]
    context.close()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A lecture and a memo."""
    found = {}
    for name, size in (("강의.wav", LARGE), ("memo.wav", SMALL)):
        found[name] = tmp_path / name
        found[name].write_bytes(random.randbytes(size))
    return found


def part_of(request: Request) -> int | None:
    """The number of the part that a request puts into the bucket."""
    query = parse_qs(urlsplit(request.url).query)
    return int(query["partNumber"][0]) if request.method == "PUT" and "partNumber" in query else None


def visit(page: Page, address: str, server: Server, app: httpx.Client) -> None:
    page.goto(address)
    page.evaluate("([server, key]) => void enter(server, key)", [server.url, app.headers["Authorization"].split()[1]])
    page.wait_for_function("window.uppy", timeout=DONE_WITHIN)


def slow_down(page: Page) -> None:
    network = page.context.new_cdp_session(page)
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SPEED}
    network.send("Network.emulateNetworkConditions", conditions)


def seen(page: Page) -> Any:
    return page.evaluate("window.seen")


@pytest.mark.parametrize("version", ["v5", "v6"])
def test_goes_on_after_a_reload(
    version: str, page: Page, pages: str, server: Server, app: httpx.Client, files: dict[str, Path]
) -> None:
    arrived: set[int] = set()
    sent: list[int] = []
    page.on("requestfinished", lambda request: arrived.add(part_of(request) or 0))
    page.on("request", lambda request: sent.append(part_of(request) or 0))
    slow_down(page)
    address = f"{pages}/{version}.html"
    visit(page, address, server, app)
    page.set_input_files("input", list(files.values()))
    page.evaluate("choose(document.querySelector('input'))")
    page.wait_for_function("seen.log.some((line) => line.includes('Added 2 blobs'))", timeout=DONE_WITHIN)
    with page.expect_navigation(url=address):  # the page reloads itself, in the middle of the lecture
        page.evaluate("seen.reloadAfter = 8, void uppy.upload()")
    held, sent[:] = arrived - {0}, []
    assert len(held) >= 5

    visit(page, address, server, app)
    page.wait_for_function("seen.restored", timeout=DONE_WITHIN)
    page.evaluate("void uppy.emit('restore-confirmed')")
    page.wait_for_function(
        "seen.errors.length || seen.done.some(({ name }) => name === '강의.wav')", timeout=DONE_WITHIN
    )
    last = seen(page)
    assert last["errors"] == []
    assert {each["status"] for each in last["done"]} == {200}
    assert set(sent) - {0}, "the lecture was done before the reload"
    assert not held & set(sent), "a part that S3 has was sent again"
    check(app, files)


def check(app: httpx.Client, files: dict[str, Path]) -> None:
    """Each file is there once, ready, and bit for bit what it was."""
    for row in app.get("recordings/?shelf=uploading").raise_for_status().json()["results"]:
        app.post(f"recordings/{row['id']}/complete/")  # as S3's event does when the page goes before it could say so
    listed = {row["name"]: row for row in app.get("recordings/").raise_for_status().json()["results"]}
    assert set(listed) == set(files)
    for name, path in files.items():
        assert listed[name]["status"] == "ready"
        address = app.get(f"recordings/{listed[name]['id']}/download/?redirect=false").json()["url"]
        hashed = hashlib.sha256()
        with httpx.stream("GET", address, timeout=60) as stored:
            for chunk in stored.iter_bytes():
                hashed.update(chunk)
        assert hashed.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest() == listed[name]["sha256"]
    usage = app.get("accounts/me/").json()
    assert usage["used_bytes"] == sum(path.stat().st_size for path in files.values())


@pytest.mark.parametrize("version", ["v5", "v6"])
def test_cancelling_leaves_nothing(
    version: str, page: Page, pages: str, server: Server, app: httpx.Client, files: dict[str, Path]
) -> None:
    slow_down(page)
    visit(page, f"{pages}/{version}.html", server, app)
    page.set_input_files("input", [files["강의.wav"]])
    page.evaluate("choose(document.querySelector('input'))")
    page.evaluate("void uppy.upload()")
    page.wait_for_function("seen.parts >= 3", timeout=DONE_WITHIN)
    with page.expect_response(lambda response: response.request.method == "DELETE") as answer:
        page.evaluate("void uppy.cancelAll()")
    assert answer.value.status == 200  # Uppy 6 leaves the body unread, and so it never arrives here
    assert app.get("accounts/me/").json()["used_bytes"] == 0


def test_uppy_5_shows_what_the_server_says(
    page: Page, pages: str, server: Server, app: httpx.Client, files: dict[str, Path]
) -> None:
    visit(page, f"{pages}/v5.html", server, app)
    page.set_input_files("input", [files["memo.wav"]])
    page.evaluate("choose(document.querySelector('input'))")
    page.evaluate("uppy.setMeta({ recorded_at: 'yesterday' })")
    page.evaluate("void uppy.upload()")
    page.wait_for_function("seen.errors.length", timeout=DONE_WITHIN)
    assert "recorded_at" in seen(page)["errors"][0]
