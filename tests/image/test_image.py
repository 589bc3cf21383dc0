"""The image does its jobs: HTTP on Lambda, S3's events and the schedule, gunicorn; and holds nothing it needn't."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
import yaml
from django.conf import settings

from tests.client import HOST, Client, send
from tests.deploy.jobs import LARGE, close_account, main_job, put_parts
from tests.image.conftest import environ, function
from tests.image.container import running
from tests.image.runtime import Lambda, LambdaClient, RuntimeFailedError, signed_up
from tests.processes import free_port
from tests.state import kept, make_due, row

ROOT = Path(__file__).parents[2]


def said(log: Path) -> list[dict[str, Any]]:
    """The lines of JSON in a container's log, as far as they are whole."""
    return [json.loads(line) for line in log.read_text().splitlines(True) if line.startswith("{") and line[-1] == "\n"]


def handled(log: Path, count: int) -> list[dict[str, Any]]:
    """The lines that tell of an event: `count` of them, and what else there is. An engine may hand on what a container
    says after its answer has come.
    """
    until = time.monotonic() + 30
    while len(found := [line for line in said(log) if "route" in line]) < count and time.monotonic() < until:
        time.sleep(0.05)
    return found


def event(key: str) -> dict[str, Any]:
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}}
    return {"Records": [record]}


def test_people_do_all_they_do_through_lambda(http: Lambda, tmp_path: Path) -> None:
    close_account(main_job(lambda name: signed_up(LambdaClient(http), name)))
    lines = said(tmp_path / "http.log")
    assert lines[0]["cold_start"] is True
    assert not any(line["cold_start"] for line in lines[1:])
    assert all(line["request_id"].startswith("gateway-") for line in lines if "route" in line)


def test_pages_and_static_files_come_out_of_it(http: Lambda) -> None:
    client = LambdaClient(http)
    page = client.get("/login/")
    assert page.status == 200
    assert "로그인" in client.get("/login/", accept="text/html", accept_language="ko").content.decode()
    paths = ["/static/web/page.css", "/static/rest_framework/js/csrf.js"]
    if (ROOT / "web/package.json").exists():
        paths += ["/static/web/app/main.js", "/static/web/app/page.css", "/sw.js"]
    for path in paths:
        assert client.get(path).status == 200, path
    assert client.get("docs/", accept="text/html").status == 200
    assert client.get("schema/").status == 200


def test_an_event_that_is_no_request_is_an_error_and_the_next_request_is_answered(http: Lambda) -> None:
    with pytest.raises(RuntimeFailedError):
        http.invoke({"hello": "world"})
    assert LambdaClient(http).get("/health/?deep=1").status == 200


def test_s3s_events_and_the_schedule(http: Lambda, events: Lambda, tmp_path: Path) -> None:
    alice = signed_up(LambdaClient(http), "Phone")
    single, large, late = alice.create(b"single" * 100).json, alice.create(LARGE).json, alice.create(b"late").json
    assert send(single["upload"], b"single" * 100).status_code == 200
    put_parts(alice, large["recording"]["id"], LARGE)
    assert alice.post(f"recordings/{large['recording']['id']}/complete/").status == 200
    for created in (single, large):
        found = kept(alice.user_id, created["recording"]["id"])
        assert events.invoke(event(found.key)) == {"ready": 1}
        assert kept(alice.user_id, created["recording"]["id"]).verified_at
    make_due(alice.user_id, late["recording"]["id"])
    assert events.invoke({"source": "aws.events", "detail-type": "Scheduled Event"}) == {"purged": 1}
    assert row(alice.user_id, late["recording"]["id"]) is None
    assert events.invoke({"Service": "Amazon S3", "Event": "s3:TestEvent"}) == {"test": 1}
    assert [line["route"] for line in handled(tmp_path / "events.log", 4)] == ["s3", "s3", "sweep", "s3"]


def test_a_crash_and_an_unknown_event_are_errors_and_the_next_event_is_handled(events: Lambda, tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailedError) as unknown:
        events.invoke({"hello": "world"})
    assert unknown.value.args[0]["errorType"] == "ValueError"
    with pytest.raises(RuntimeFailedError) as crash:
        events.invoke({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}]})
    assert crash.value.args[0]["errorType"] == "KeyError"
    boto3.client(
        "dynamodb", region_name=settings.AWS_REGION, endpoint_url=settings.DYNAMODB_ENDPOINT_URL
    ).delete_table(TableName=settings.RECORDINGS_TABLE)
    with pytest.raises(RuntimeFailedError) as gone:
        events.invoke(event(f"recordings/{'0' * 32}/{'1' * 32}/{'2' * 32}"))
    assert "ResourceNotFound" in json.dumps(gone.value.args[0])
    assert events.invoke({"Service": "Amazon S3", "Event": "s3:TestEvent"}) == {"test": 1}
    levels = [line["level"] for line in handled(tmp_path / "events.log", 4)]
    assert levels == ["ERROR", "ERROR", "ERROR", "INFO"]


def test_a_start_without_a_setting_says_which(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailedError) as failed, function(tmp_path / "log", SECRET_KEY=""):
        pass
    assert "SECRET_KEY is not set" in json.dumps(failed.value.args[0])


class Served:
    """Takes the place of Django's test client: plain HTTP to gunicorn, as a TLS proxy would send it."""

    def __init__(self, url: str, host: str) -> None:
        self.url, self.host = url, host

    def generic(
        self, method: str, url: str, data: bytes, *, content_type: str, secure: bool, headers: dict[str, str]
    ) -> Any:
        sent = {**headers, "Host": self.host, "X-Forwarded-Proto": "https", "Content-Type": content_type}
        return requests.request(method, self.url + url, data=data, headers=sent, allow_redirects=False, timeout=60)


@contextmanager
def served(log: Path, settings: dict[str, str]) -> Iterator[str]:
    """Its URL, once it answers."""
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    with running(["serve"], {**settings, "PORT": port}, log) as process:
        until = time.monotonic() + 60
        while True:
            with suppress(requests.ConnectionError, requests.Timeout):  # it listens before it answers
                requests.get(f"{url}/health/", headers={"Host": HOST}, timeout=5)
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until
            time.sleep(0.1)
        yield url


def joined(url: str, host: str, name: str) -> Client:
    client = Client()
    client.http = Served(url, host)  # type: ignore[assignment]
    return signed_up(client, name)


def test_serve_is_a_server(aws: None, tmp_path: Path) -> None:
    with served(tmp_path / "log", environ()) as url:
        close_account(main_job(lambda name: joined(url, HOST, name)))
    assert {line["route"] for line in said(tmp_path / "log") if "route" in line} > {"/health/", "/api/v1/recordings/"}


def test_compose_describes_a_recorder_that_works(aws: None, tmp_path: Path) -> None:
    """Its settings and commands, with the peers of these tests in place of its other containers."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    here = {name: value for name, value in environ().items() if name.startswith("AWS_ENDPOINT_URL_")}
    settings = {**services["recorder"]["environment"], **here, "S3_PUBLIC_ENDPOINT_URL": here["AWS_ENDPOINT_URL_S3"]}
    assert services["tables"]["environment"] == services["sweep"]["environment"] == services["recorder"]["environment"]
    assert "are ready" in output(services["tables"]["command"], tmp_path / "tables", settings)
    assert services["recorder"]["command"] == ["serve"]
    with served(tmp_path / "log", settings) as url:
        alice = main_job(lambda name: joined(url, "localhost:8000", name))
        assert alice.delete("accounts/me/").status == 202
    assert "/var/task/entrypoint.sh manage sweep" in services["sweep"]["entrypoint"][-1]
    assert "nothing due" in output(["manage", "sweep"], tmp_path / "sweep", settings)


def output(arguments: list[str], log: Path, environ: dict[str, str]) -> str:
    with running(arguments, environ, log) as process:
        process.wait(120)
    return log.read_text()


def test_management_commands(aws: None, tmp_path: Path) -> None:
    assert "nothing due" in output(["manage", "sweep"], tmp_path / "log", environ())
    assert "SECRET_KEY is not set" in output(["manage", "sweep"], tmp_path / "log", {})


def test_it_holds_no_more_than_it_needs(tmp_path: Path) -> None:
    """Not root, nothing to change, no compiler, no Node, no test tools, and bytecode for every module."""
    look = """
import os, pathlib, shutil, importlib.util, json
task = pathlib.Path("/var/task")
modules = [path for path in task.rglob("*.py") if path.name != "manage.py"]
print(json.dumps({
    "user": os.getuid(),
    "writable": [str(path) for path in [task, *task.iterdir()] if os.access(path, os.W_OK)],
    "programs": [name for name in ("gcc", "cc", "g++", "node", "npm", "make") if shutil.which(name)],
    "packages": [name for name in ("pytest", "moto", "mypy", "localstack") if importlib.util.find_spec(name)],
    "uncompiled": [str(path) for path in modules if not os.path.exists(importlib.util.cache_from_source(str(path)))],
    "secrets": [str(path) for path in task.iterdir() if path.name in (".git", ".env", ".local", "tests")],
    "sources": [str(path) for path in (task / "web").rglob("*") if path.name in ("node_modules", "src")],
    "services": sorted(path.name for path in (task / "botocore/data").iterdir() if path.is_dir()),
}))
"""
    told = output(["manage", "shell", "-c", look], tmp_path / "log", environ())
    found = json.loads(next(line for line in told.splitlines() if line.startswith('{"user"')))
    assert found == {
        "user": 1000,
        "writable": [],
        "programs": [],
        "packages": [],
        "uncompiled": [],
        "secrets": [],
        "sources": [],
        "services": ["dynamodb", "lambda", "s3", "sts"],
    }


def test_it_starts_fast(aws: None, tmp_path: Path) -> None:
    """Not a promise, but what grows unnoticed: seconds until Lambda may send the first request."""
    with function(tmp_path / "log") as api:
        seconds = api.ready_at - api.begun_at
        asked = time.monotonic()
        assert LambdaClient(api).get("/health/").status == 200
        first = time.monotonic() - asked
    print(f"\nready after {seconds:.2f} s, first answer after {first:.3f} s more")
    assert seconds < 20
