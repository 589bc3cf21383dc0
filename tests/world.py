"""The login providers, as the tests play them: a real HTTP server on loopback that answers for all their hosts."""

import json
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import urllib3

from accounts.providers import http as remote
from accounts.providers import id_tokens

HANG = "hang"
HANGS_FOR = 60  # seconds; far longer than anybody should wait
PATIENCE = 20.0  # seconds, in place of 3: a busy machine is no provider that hangs


@dataclass
class Call:
    """One request that came to a provider."""

    method: str
    url: str  # host and path
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]
    body: bytes
    given_up: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)  # of one that hung

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Reply = tuple[int, Any] | str | Callable[[Call], tuple[int, Any]]


@dataclass
class World:
    """`answers` by "METHOD host/path": (status, JSON or bytes), a function of the call, or HANG. Others are 404."""

    answers: dict[str, Reply] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    port: int = 0

    def count(self, url: str) -> int:
        return sum(call.url == url for call in self.calls)

    def request(self, method: str, url: str, **options: Any) -> Any:
        """In place of accounts.providers.http's pool: the same urllib3, with every https host on loopback."""
        return self._pool.request(method, url.replace("https://", f"http://127.0.0.1:{self.port}/"), **options)

    _pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager)


@contextmanager
def serving() -> Iterator[World]:
    world = World()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer leaves as a whole: its parts would wait for each other's ACK

        def answer(self) -> None:
            parts = urlsplit(self.path.lstrip("/"))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            is_form = "form" in self.headers.get("Content-Type", "")
            form = dict(parse_qsl(body.decode(), keep_blank_values=True)) if is_form else {}
            call = Call(self.command, parts.path, dict(parse_qsl(parts.query)), form, dict(self.headers), body)
            world.calls.append(call)
            reply = world.answers.get(f"{self.command} {parts.path}", (404, {"error": "nothing here"}))
            if isinstance(reply, str):
                if select.select([self.connection], [], [], HANGS_FOR)[0]:
                    call.given_up.set()
                self.close_connection = True
                return
            status, content = reply(call) if callable(reply) else reply
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    world.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
    thread.start()
    try:
        yield world
    finally:
        server.shutdown()
        server.server_close()
        world._pool.clear()


@contextmanager
def standing_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world in the place of every provider, which nobody remembers anything of."""
    with serving() as world:
        monkeypatch.setattr(remote, "pool", world)
        monkeypatch.setattr(remote, "SECONDS", PATIENCE)
        id_tokens._keys.cache_clear()
        id_tokens._discovered.cache_clear()
        yield world
