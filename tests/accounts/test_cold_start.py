"""What a cold start does not pay for."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lib.secrets import hashed

USER, SECRET = "0" * 32, "x" * 43
ASK = """
import gc, json, sys
from recorder_project.wsgi import lambda_handler
from aws.dynamo import dynamo
before, has_client, frozen = set(sys.modules), bool(dynamo()._client), gc.get_freeze_count()
event = {
    "version": "2.0", "rawPath": "/api/v1/recordings/", "rawQueryString": "", "isBase64Encoded": False,
    "headers": {"host": "localhost", "authorization": "Bearer %s"},
    "requestContext": {"http": {"method": "GET", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}},
}
answer = lambda_handler(event, None)
assert answer["statusCode"] == 200, answer
print(json.dumps({
    "loaded": sorted(sys.modules),
    "late": sorted(set(sys.modules) - before),
    "has_client": has_client,
    "frozen": frozen,
    "collects": gc.isenabled(),
}))
"""
# What logins, uploads, feeds, the OpenAPI document and the sweep need: they import it when they are called.
OTHERS = {"jwt", "cryptography", "boto3", "s3transfer", "storages", "av", "numpy", "jsonschema"}
OTHERS |= {"drf_spectacular.openapi", "drf_spectacular.generators", "django.test", "operations.lambda_handler"}


@pytest.fixture
def dynamodb() -> Iterator[str]:
    """As much of DynamoDB as an authenticated list needs, for a process of its own."""
    session = {"id": USER, "auth_key": hashed(SECRET), "device_name": "", "authenticated_at": "2020"}
    session |= {
        name: time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()) for name in ("created_at", "last_seen_at")
    }
    item = {name: {"S": value} for name, value in session.items()} | {"expires_at": {"N": "99999999999"}}
    answers = {"GetItem": {"Item": item}, "Query": {"Items": [], "Count": 0, "ScannedCount": 0}}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps(answers[self.headers["X-Amz-Target"].partition(".")[2]]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def started(dynamodb: str) -> dict[str, Any]:
    """What a process of its own says of its start and of the first request."""
    environ = {
        "PATH": os.environ["PATH"],
        "LOCAL": "true",
        "GOOGLE_CLIENT_IDS": "client",
        "AWS_ENDPOINT_URL": dynamodb,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    command = [sys.executable, "-c", ASK % f"{USER}.{SECRET}"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_nobody_else_loads_what_only_some_calls_need(started: dict[str, Any]) -> None:
    loaded = set(started["loaded"])
    assert {"django", "pynamodb", "accounts"} <= loaded
    assert not OTHERS & loaded


def test_a_start_does_all_that_the_first_request_can_find_done(started: dict[str, Any]) -> None:
    assert started["late"] == []
    assert started["has_client"]


def test_what_a_start_makes_is_no_garbage(started: dict[str, Any]) -> None:
    assert started["frozen"] > 50_000
    assert started["collects"]
