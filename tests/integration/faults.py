"""A relay that fails as AWS does now and then: resets, lost answers, slowness, throttling, errors, and outages."""

import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.integration.relay import ask, hand_on

Answer = tuple[int, str, bytes]  # status, content type, body


def dynamodb(status: int, code: str) -> Answer:
    body = b'{"__type": "com.amazonaws.dynamodb.v20120810#%s", "message": "made up"}' % code.encode()
    return status, "application/x-amz-json-1.0", body


def s3(status: int, code: str) -> Answer:
    return status, "application/xml", b"<Error><Code>%s</Code><Message>made up</Message></Error>" % code.encode()


DYNAMODB = {
    "throttled": dynamodb(400, "ProvisionedThroughputExceededException"),
    "failed": dynamodb(500, "InternalServerError"),
}
S3 = {"throttled": s3(503, "SlowDown"), "failed": s3(500, "InternalError")}
# How often, in a thousand requests.
SHARES = {"reset": 5, "lost": 5, "slow": 20, "silent": 1, "throttled": 10, "failed": 10}
OUTAGES = (10, 25)  # seconds from one to the next, longer than the tries of one request, and …
OUTAGE = (2, 5)  # … seconds that it takes


class Faulty(ThreadingHTTPServer):
    """Listens at `url` and hands on to `target` what it does not answer, cut off or delay by itself."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, target: str, answers: Mapping[str, Answer], dice: random.Random) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.netloc, self.answers, self.dice = urlsplit(target).netloc, answers, dice
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.done: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.out = time.monotonic() + dice.uniform(*OUTAGES)  # from when on, and …
        self.back = self.out + dice.uniform(*OUTAGE)  # … until when nothing passes

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Cutting off is what it is for."""

    def draw(self) -> str:
        with self.lock:
            if time.monotonic() > self.back:
                self.out = self.back + self.dice.uniform(*OUTAGES)
                self.back = self.out + self.dice.uniform(*OUTAGE)
            chances = SHARES | {"passed": 1000 - sum(SHARES.values())}
            if time.monotonic() > self.out:
                chances = {"reset": 1, "lost": 1, "throttled": 1, "failed": 1}
            (kind,) = self.dice.choices(list(chances), list(chances.values()))
            self.done[kind] += 1
        return kind


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Faulty

    def log_message(self, format: str, *args: Any) -> None:
        """What matters is counted."""

    def relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.server.draw()
        if kind in self.server.answers:
            return self.answer(*self.server.answers[kind])
        if kind == "reset":
            return self.reset()
        if kind == "silent":
            time.sleep(7)  # longer than anybody waits
            return self.reset()
        if kind == "slow":
            time.sleep(self.server.dice.uniform(0.1, 1))
        answer, content = ask(self, self.server.netloc, body)
        return self.reset() if kind == "lost" else hand_on(self, answer, content)

    def answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def reset(self) -> None:
        """RST, as from a host that is gone."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = relay  # noqa: N815


@contextmanager
def failing_now_and_then(target: str, answers: Mapping[str, Answer], dice: random.Random) -> Iterator[Faulty]:
    with Faulty(target, answers, dice) as relay:
        thread = threading.Thread(target=relay.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield relay
        finally:
            relay.shutdown()
            thread.join()
