"""Lambda as the image sees it: the Runtime API, four routes of HTTP, and API Gateway before it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import base64
import json
import queue
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.client import HOST, Answer, Client

PREFIX = "/2018-06-01/runtime/"
WITHIN = 60  # seconds


class RuntimeFailedError(Exception):
    """The function answered an invocation, or its own start, with an error: `.args[0]` is what it told."""


@dataclass
class Lambda:
    """A function's environment: `invoke` hands it an event and returns its answer."""

    events: "queue.Queue[tuple[str, bytes]]" = field(default_factory=queue.Queue)
    answers: "queue.Queue[tuple[str, Any]]" = field(default_factory=queue.Queue)
    begun_at: float = 0.0
    ready_at: float = 0.0
    port: int = 0

    def invoke(self, event: dict[str, Any]) -> Any:
        id = str(uuid.uuid4())
        self.events.put((id, json.dumps(event).encode()))
        return self.answer(id)

    def answer(self, id: str) -> Any:
        try:
            kind, told = self.answers.get(timeout=WITHIN)
        except queue.Empty:
            raise TimeoutError("The function did not answer.") from None
        if kind != f"invocation/{id}/response":
            raise RuntimeFailedError(told)
        return told

    def started(self) -> None:
        """Wait until the function asks for its first event. Raises what its start failed with."""
        until = time.monotonic() + WITHIN
        while not self.ready_at:
            if time.monotonic() > until:
                raise TimeoutError("The function did not start.")
            if not self.answers.empty():
                raise RuntimeFailedError(self.answers.get()[1])
            time.sleep(0.01)


@contextmanager
def runtime_api() -> Iterator[Lambda]:
    """A Runtime API on a free port, for one function."""
    function = Lambda()

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            function.ready_at = function.ready_at or time.monotonic()
            id, event = function.events.get()
            if not id:
                return
            self.send_response(200)
            for name, value in {
                "Lambda-Runtime-Aws-Request-Id": id,
                "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 900_000),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:ap-northeast-2:123456789012:function:recorder",
                "Content-Type": "application/json",
                "Content-Length": str(len(event)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(event)

        def do_POST(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b"".join(iter(self.chunk, b""))
            else:
                body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
            function.answers.put((self.path.removeprefix(PREFIX), json.loads(body or b"null")))

        def chunk(self) -> bytes:
            size = int(self.rfile.readline(), 16)
            content = self.rfile.read(size)
            self.rfile.readline()
            return content

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: Any) -> None:
            """A function that is stopped while it waits for an event resets its connection."""

    server = Server(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    function.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield function
    finally:
        function.events.put(("", b""))
        server.shutdown()
        server.server_close()


def request_event(method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """What API Gateway's HTTP API makes of a request (payload 2.0, the path decoded). `headers` are in lower case."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": parts.query,
        "headers": {name: value for name, value in headers.items() if name != "cookie"},
        "cookies": [each.strip() for each in headers.get("cookie", "").split(";") if each],
        "requestContext": {"http": http, "requestId": f"gateway-{uuid.uuid4().hex}", "stage": "$default"},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def content_of(answer: dict[str, Any]) -> bytes:
    content: str = answer.get("body") or ""
    return base64.b64decode(content) if answer.get("isBase64Encoded") else content.encode()


class Gateway:
    """Takes the place of Django's test client: each request becomes an event."""

    def __init__(self, function: Lambda) -> None:
        self.function = function

    def generic(
        self, method: str, url: str, data: bytes, *, content_type: str, secure: bool, headers: dict[str, str]
    ) -> Any:
        sent = {name.lower(): value for name, value in headers.items()}
        sent |= {"host": HOST, "content-type": content_type, "content-length": str(len(data))}
        sent |= {"x-forwarded-proto": "https", "x-forwarded-port": "443", "x-forwarded-for": "203.0.113.7"}
        answer = self.function.invoke(request_event(method, url, sent, data))
        shown = {name.title(): value for name, value in answer.get("headers", {}).items()}
        return SimpleNamespace(status_code=answer["statusCode"], headers=shown, content=content_of(answer))


class LambdaClient(Client):
    """An app that reaches Recorder through API Gateway and Lambda."""

    def __init__(self, function: Lambda, auth_key: str = "", user_id: str = "", session_id: str = "") -> None:
        super().__init__(auth_key, user_id, session_id)
        self.http: Any = Gateway(function)


def signed_up(client: Client, device_name: str) -> Client:
    """The client, as a new guest."""
    answer: Answer = client.post("accounts/login/", {"provider": "guest", "device_name": device_name})
    assert answer.status == 201, answer
    client.auth_key, client.user_id = answer.json["auth_key"], answer.json["user_id"]
    return client
