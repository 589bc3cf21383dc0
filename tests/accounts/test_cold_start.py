"""What a cold start does not pay for."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from accounts import keys

USER, SECRET = "0" * 32, "x" * 43
ASK = """
import sys
import django
django.setup()
from django.test import Client
answer = Client(headers={"host": "localhost", "authorization": "Bearer %s"}).get("/api/v1/recordings/")
assert answer.status_code == 200, answer.content
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture
def dynamodb() -> Iterator[str]:
    """As much of DynamoDB as an authenticated list needs, for a process of its own."""
    session = {"id": USER, "auth_key": keys.hashed(SECRET), "device_name": "", "authenticated_at": "2020"}
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


def test_nobody_but_a_login_loads_what_logins_need(dynamodb: str) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "recorder_project.settings",
        "LOCAL": "true",
        "GOOGLE_CLIENT_IDS": "client",
        "AWS_ENDPOINT_URL": dynamodb,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    command = [sys.executable, "-c", ASK % f"{USER}.{SECRET}"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"django", "pynamodb", "accounts"} <= loaded
    assert not {"jwt", "cryptography"} & loaded
