"""A guest's account in the tables, and by name the calls of the API that are measured on it."""

import base64
import itertools
import json
from collections.abc import Callable
from typing import Any

from aws import s3
from benchmarks.cold import event
from benchmarks.seed import content_hash, fill
from recorder_project.wsgi import lambda_handler
from recordings.models import Recording
from recordings.uploads import id_of

Act = Callable[[], Any]
fresh = itertools.count(10_000_000)  # numbers of recordings that are nowhere yet


class Account:
    """One with `size` recordings, which are there before anything is measured."""

    def __init__(self, size: int) -> None:
        self.key = ""
        signed_up = self.call("POST", "accounts/login/", {"provider": "guest"})
        self.key, self.user_id, self.size = signed_up["auth_key"], signed_up["user_id"], size
        fill(self.user_id, 0, size)

    def call(self, method: str, path: str, body: Any = None, query: str = "") -> Any:
        """What the API answers. `body` is for JSON, or the bytes of a recording."""
        made = event(method, path, self.key, "" if body is None else json.dumps(body, default=str), query)
        if isinstance(body, bytes):
            made |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
            made["headers"] |= {"content-type": "audio/mp4", "content-length": str(len(body))}
        answer = lambda_handler(made, None)
        assert answer["statusCode"] < 400, answer
        return json.loads(answer["body"]) if answer.get("body") and "json" in kind(answer) else None

    def reads(self) -> dict[str, Act]:
        """What an account's size could slow down."""
        hashes = [content_hash(number) for number in [*range(100), *range(10**8, 10**8 + 400)]]
        return {
            "list": lambda: self.call("GET", "recordings/"),
            "changes": lambda: self.call("GET", "recordings/changes/"),
            "check 500": lambda: self.call("POST", "recordings/check/", {"sha256": hashes}),
        }

    def calls(self) -> dict[str, Callable[[], Act]]:
        """All others: each entry prepares one call and returns it."""
        one, one_large = self.path(content_hash(7)), self.large()
        part = {"parts": [{"number": 1, "sha256": content_hash(1)}]}
        names = (f"Name {number}" for number in itertools.count())
        reads = {
            "detail": ("GET", one),
            "download": ("GET", f"{one}download/"),
            "waveform": ("GET", f"{one}waveform/"),
            "markers": ("GET", f"{one}markers/"),
            "me": ("GET", "accounts/me/"),
            "sessions": ("GET", "accounts/sessions/"),
            "identities": ("GET", "accounts/identities/"),
            "export": ("GET", "accounts/me/export/"),
        }
        return {
            **{name: lambda asked=asked: lambda: self.call(*asked) for name, asked in reads.items()},  # type: ignore[misc]
            "list of 200": lambda: lambda: self.call("GET", "recordings/", query="limit=200"),
            "list by tag": lambda: lambda: self.call("GET", "recordings/", query="tag=lecture"),
            "login": lambda: lambda: self.call("POST", "accounts/login/", {"provider": "guest"}),
            "rename": lambda: lambda: self.call("PATCH", "accounts/me/", {"name": next(names)}),
            "create": lambda: lambda: self.call("POST", "recordings/", declare()),
            "create, large": lambda: self.large,
            "parts": lambda: lambda: self.call("POST", f"{one_large}parts/", part),
            "small upload": lambda: lambda: self.call("PUT", "recordings/upload/Voice/", content()),
            "complete": lambda: self.after(self.sent, "POST", "complete/"),
            "change": lambda: lambda: self.call("PATCH", one, {"name": next(names)}),
            "trash": lambda: self.after(self.kept, "DELETE", ""),
            "restore": lambda: self.after(self.trashed, "POST", "restore/"),
            "purge": lambda: self.after(self.kept, "DELETE", "", query="permanent=true"),
        }

    def after(self, make: Callable[[], str], method: str, rest: str, query: str = "") -> Act:
        path = make()
        return lambda: self.call(method, path + rest, query=query)

    def path(self, sha256: str) -> str:
        return f"recordings/{id_of(self.user_id, sha256)}/"

    def large(self) -> str:
        declared = declare() | {"size": 20 * 2**20}
        self.call("POST", "recordings/", declared)
        return self.path(declared["sha256"])

    def sent(self) -> str:
        """A recording whose bytes are in the bucket."""
        declared = declare()
        self.call("POST", "recordings/", declared)
        row = Recording.find(id_of(self.user_id, declared["sha256"]), self.user_id)
        assert row
        s3.save(row.key, declared["name"].encode(), "audio/mp4")
        return self.path(declared["sha256"])

    def kept(self) -> str:
        path = self.sent()
        self.call("POST", f"{path}complete/")
        return path

    def trashed(self) -> str:
        path = self.kept()
        self.call("DELETE", path)
        return path


def declare() -> dict[str, Any]:
    """A recording that is not there yet. Its bytes are its name."""
    number = next(fresh)
    return {
        "name": str(number),
        "content_type": "audio/mp4",
        "size": len(str(number)),
        "sha256": content_hash(number),
    }


def content() -> bytes:
    """100 kB that are not there yet."""
    return b"%d" % next(fresh) + bytes(100_000)


def kind(answer: dict[str, Any]) -> str:
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    return str(headers.get("content-type", ""))
