"""Calls past Django's test client, which never says a wrong length: the WSGI application as a server calls it."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import setup_testing_defaults

from recorder_project.wsgi import application
from tests.client import HOST, Answer


def call(
    method: str, path: str, body: bytes = b"", *, content_length: str | None, said: str | None = None, **headers: str
) -> Answer:
    """One request with this CONTENT_LENGTH (None: none). `said` is HTTP_CONTENT_LENGTH, as only Lambda has it."""
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "HTTP_HOST": HOST,
        "HTTP_X_FORWARDED_PROTO": "https",
        "wsgi.input": BytesIO(body),
    }
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items() if name != "content_type"}
    if "content_type" in headers:
        environ["CONTENT_TYPE"] = headers["content_type"]
    if content_length is not None:
        environ["CONTENT_LENGTH"] = content_length
    if said is not None:
        environ["HTTP_CONTENT_LENGTH"] = said
    setup_testing_defaults(environ)
    started: list[Any] = []

    def start_response(status: str, answered: list[tuple[str, str]], exc_info: object = None) -> Any:
        started.append((int(status.split()[0]), dict(answered)))

    content = b"".join(application(environ, start_response))
    return Answer(SimpleNamespace(status_code=started[0][0], headers=started[0][1], content=content))
