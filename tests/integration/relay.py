"""An HTTP relay that notes what passes: it shows who sends how many bytes to whom, and which requests were cut off."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


@dataclass
class Passage:
    """One request. `status` 0 is one that was cut off, and never reached the other side."""

    method: str
    path: str
    size: int  # bytes of the body that came
    answered: int = 0  # bytes of the answer's body
    status: int = 0
    known: bool = False  # whether the same had been answered with 200 before this one began

    @property
    def part(self) -> str:
        return "".join(parse_qs(urlsplit(self.path).query).get("partNumber", []))

    @property
    def what(self) -> str:
        """The request without its signature."""
        return f"{self.method} {urlsplit(self.path).path} {self.part}"


class Relay(ThreadingHTTPServer):
    """Listens at `url` and hands everything to `target` as it came, the Host too: signatures stay good."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.netloc = urlsplit(target).netloc
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.passages: list[Passage] = []
        self.received = 0  # bytes of bodies, as they come
        self.under_way = 0
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is what the tests want."""

    @property
    def moved(self) -> int:
        return sum(each.size + each.answered for each in self.passages)

    def puts(self) -> list[Passage]:
        return [each for each in self.passages if each.method == "PUT"]


def ask(request: BaseHTTPRequestHandler, netloc: str, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
    """What `netloc` answers to the request as it came, the Host too: signatures stay good."""
    other = http.client.HTTPConnection(netloc, timeout=300)
    other.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers.items():
        if name.lower() not in HOP:
            other.putheader(name, value)
    if body or "Content-Length" in request.headers:
        other.putheader("Content-Length", str(len(body)))
    other.endheaders(body or None)
    answer = other.getresponse()
    content = answer.read()
    other.close()
    return answer, content


def hand_on(request: BaseHTTPRequestHandler, answer: http.client.HTTPResponse, content: bytes) -> None:
    request.send_response_only(answer.status)
    for name, value in answer.getheaders():
        if name.lower() not in HOP:
            request.send_header(name, value)
    length = answer.getheader("Content-Length") if request.command == "HEAD" else str(len(content))
    request.send_header("Content-Length", length or "0")
    request.end_headers()
    request.wfile.write(content)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Relay

    def log_message(self, format: str, *args: Any) -> None:
        """What matters is in `passages`."""

    def relay(self) -> None:
        relay = self.server
        with relay.lock:
            relay.under_way += 1
        try:
            self.pass_on(relay)
        finally:
            with relay.lock:
                relay.under_way -= 1

    def pass_on(self, relay: Relay) -> None:
        expected = int(self.headers.get("Content-Length", 0))
        passage = Passage(self.command, self.path, 0)
        with relay.lock:
            passage.known = any(each.what == passage.what and each.status == 200 for each in relay.passages)
            relay.passages.append(passage)
        body = bytearray()
        while len(body) < expected:
            chunk = self.rfile.read1(min(65536, expected - len(body)))
            if not chunk:
                self.close_connection = True
                return
            body += chunk
            passage.size = len(body)
            with relay.lock:
                relay.received += len(chunk)
        answer, content = ask(self, relay.netloc, bytes(body))
        passage.status, passage.answered = answer.status, len(content)
        hand_on(self, answer, content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = relay  # noqa: N815


@contextmanager
def relaying(target: str) -> Iterator[Relay]:
    with Relay(target) as relay:
        thread = threading.Thread(target=relay.serve_forever, daemon=True)
        thread.start()
        try:
            yield relay
        finally:
            relay.shutdown()
            thread.join()
