"""An app, as the tests play it: calls the API with one auth_key and puts bytes where it is told."""

import hashlib
import json
from typing import Any
from urllib.parse import quote

import requests
from django.test import Client as DjangoClient

from recordings.keys import UserId

HOST = "recorder.test"


class Answer:
    """Status, headers and JSON of one answer."""

    def __init__(self, response: Any) -> None:
        self.status: int = response.status_code
        self.headers = response.headers
        self.content: bytes = response.content
        kind = response.headers.get("Content-Type", "")
        self.json: Any = json.loads(response.content) if "json" in kind and response.content else None

    @property
    def code(self) -> str | None:
        return self.json.get("code") if isinstance(self.json, dict) else None

    @property
    def pointers(self) -> list[str]:
        return [error["pointer"] for error in self.json.get("errors", [])]

    def __repr__(self) -> str:
        return f"<{self.status} {self.content[:300]!r}>"


class Client:
    """`path` is relative to /api/v1/. Every call goes through the whole of Django over HTTPS."""

    def __init__(self, auth_key: str = "", user_id: str = "", session_id: str = "") -> None:
        self.auth_key, self.user_id, self.session_id = auth_key, UserId(user_id), session_id
        self.http = DjangoClient(enforce_csrf_checks=True, raise_request_exception=False, headers={"host": HOST})

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send JSON, or bytes as they are; `headers` in Python's spelling: content_type="audio/wav"."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.auth_key:
            sent.setdefault("authorization", f"Bearer {self.auth_key}")
        content_type = sent.pop("content-type", "application/json")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        url = path if path.startswith("/") else f"/api/v1/{path}"
        return Answer(self.http.generic(method, url, data, content_type=content_type, secure=True, headers=sent))

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.call("DELETE", path, **headers)

    def upload(self, content: bytes, name: str = "Talk.wav", query: str = "", **headers: str) -> Answer:
        """The small upload through the server."""
        headers.setdefault("content_type", "audio/wav")
        return self.call("PUT", f"recordings/upload/{quote(name, safe='')}/{query}", content, **headers)

    def create(self, content: bytes, **fields: Any) -> Answer:
        return self.post("recordings/", declare(content, **fields))

    def record(self, content: bytes, **fields: Any) -> dict[str, Any]:
        """A ready recording, by the presigned PUT."""
        created = self.create(content, **fields)
        assert created.status == 201, created
        assert send(created.json["upload"], content).status_code == 200
        done = self.post(f"recordings/{created.json['recording']['id']}/complete/")
        assert done.status == 200, done
        ready: dict[str, Any] = done.json
        return ready

    def used_bytes(self) -> int:
        used: int = self.get("accounts/me/").json["used_bytes"]
        return used

    def shelf(self, shelf: str = "library") -> list[str]:
        """The ids on a shelf, all pages."""
        ids: list[str] = []
        cursor = ""
        while cursor is not None:
            page = self.get(f"recordings/?shelf={shelf}&cursor={cursor}").json
            ids += [row["id"] for row in page["results"]]
            cursor = page["next_cursor"]
        return ids


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def declare(content: bytes, **fields: Any) -> dict[str, Any]:
    """The body of create for `content`."""
    declared = {"name": "Talk.wav", "size": len(content), "sha256": sha256(content), "content_type": "audio/wav"}
    return declared | fields


def send(upload: dict[str, Any], content: bytes) -> requests.Response:
    """Put bytes where create said."""
    return requests.put(upload["url"], data=content, headers=upload["headers"], timeout=20)


def sign_up(device_name: str = "") -> Client:
    answer = Client().post("accounts/login/", {"provider": "guest", "device_name": device_name})
    assert answer.status == 201, answer
    return Client(answer.json["auth_key"], answer.json["user_id"], answer.json["session_id"])
