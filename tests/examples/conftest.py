"""The examples' HTTP, led to the app and to moto's S3: no sockets, and every request can be seen and refused."""

import threading
from collections.abc import Callable

import httpx
import pytest
import requests
from django.test import Client as DjangoClient

from examples.client import Recorder
from tests.client import HOST, Client

Hook = Callable[[httpx.Request], httpx.Response | None]


class Wire(httpx.BaseTransport):
    """`sent` are the requests; `hook` may answer one, or raise, before it goes any further. The examples send from
    several threads, which moto does not bear: a transaction that it refuses takes back what others wrote meanwhile.
    So one request is over before the next one is seen.
    """

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.sent: list[httpx.Request] = []
        self.hook: Hook = lambda request: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        with self.turn:
            self.sent.append(request)
            return self.hook(request) or self.deliver(request)

    def deliver(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != HOST:
            answer = requests.request(
                request.method, str(request.url), data=request.content, headers=dict(request.headers), timeout=20
            )
            return response(answer.status_code, dict(answer.headers), answer.content)
        headers = {name: value for name, value in request.headers.items() if name not in ("content-type", "host")}
        django = DjangoClient(raise_request_exception=False, headers={"host": HOST})
        path = request.url.raw_path.decode()
        kind = request.headers.get("content-type", "application/json")
        found = django.generic(request.method, path, request.content, content_type=kind, secure=True, headers=headers)
        return response(found.status_code, dict(found.headers), found.content)

    def puts(self) -> list[str]:
        """Which objects and parts were sent to S3."""
        return [str(request.url).partition("X-Amz")[0] for request in self.sent if request.method == "PUT"]

    def calls(self, path: str) -> int:
        return sum(request.url.path.endswith(path) for request in self.sent)


def response(status: int, headers: dict[str, str], content: bytes) -> httpx.Response:
    headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def recorder(wire: Wire, alice: Client) -> Recorder:
    """Alice's account, through the examples' client."""
    return Recorder(f"https://{HOST}", alice.auth_key, http=httpx.Client(transport=wire))


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the client makes, without making them."""
    made: list[float] = []
    monkeypatch.setattr("examples.client.time.sleep", made.append)
    return made
