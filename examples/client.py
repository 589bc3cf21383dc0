"""The calls that a backup and a mirror need, with retries. Every one of them is safe to repeat.

Retried, with growing pauses or for as long as `Retry-After` says: no connection, a lost one, 429, 5xx, and what S3
says of bytes that came too slowly or beside others. Anything else that is no success becomes an `ApiError` with the
problem's stable `code`.
"""

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

PASSING = {429, 500, 502, 503, 504}
PASSING_AT_S3 = {"ConditionalRequestConflict", "OperationAborted", "RequestTimeout"}  # with 409, 409 and 400
CHECKED_AT_ONCE = 500


class ApiError(Exception):
    """An answer that repeating does not change: `status`, the problem's `code`, and a sentence."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{detail} ({code})")
        self.status, self.code = status, code


class Recorder:
    """One account's API. Threads may share it."""

    def __init__(self, url: str, auth_key: str = "", *, tries: int = 8, http: httpx.Client | None = None) -> None:
        self.base = f"{url.rstrip('/')}/api/v1/"
        self.auth_key, self.tries = auth_key, tries
        self.http = http or httpx.Client(timeout=httpx.Timeout(10, read=60, write=60, pool=None))

    @property
    def user_id(self) -> str:
        return self.auth_key.partition(".")[0]

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of one API call. `path` is relative to /api/v1/."""
        headers = {"Authorization": f"Bearer {self.auth_key}"} if self.auth_key else {}
        answer = self.send(lambda: self.http.request(method, self.base + path, headers=headers, **options))
        if not answer.is_success:
            raise problem(answer)
        return answer.json() if answer.content else None

    def send(self, request: Callable[[], httpx.Response]) -> httpx.Response:
        """Make a request until it is answered for good. After `tries`, whatever came last is the answer."""
        for number in range(1, self.tries + 1):
            try:
                answer = request()
            except httpx.TransportError:
                if number == self.tries:
                    raise
                wait = 0.0
            else:
                if not passes(answer) or number == self.tries:
                    return answer
                wait = retry_after(answer)
            time.sleep(max(wait, random.uniform(0, min(30, 2**number / 4))))  # noqa: S311 - jitter
        raise AssertionError

    def log_in_as_guest(self, device_name: str = "") -> None:
        """Begin a fresh, empty account. Its key is all there is to it: keep it."""
        answer = self.call("POST", "accounts/login/", json={"provider": "guest", "device_name": device_name})
        self.auth_key = answer["auth_key"]

    def check(self, hashes: Sequence[str]) -> list[dict[str, Any]]:
        """For each SHA-256, `{"sha256", "id", "status"}`: what is here of it. 500 at a time."""
        results: list[dict[str, Any]] = []
        for start in range(0, len(hashes), CHECKED_AT_ONCE):
            asked = list(hashes[start : start + CHECKED_AT_ONCE])
            results += self.call("POST", "recordings/check/", json={"sha256": asked})["results"]
        return results

    def create(self, declared: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The recording, and what to send where: None when everything is there. Again, it says what is missing."""
        answer = self.call("POST", "recordings/", json=declared)
        return answer["recording"], answer["upload"]

    def parts(self, id: str, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answer = self.call("POST", f"recordings/{id}/parts/", json={"parts": wanted})
        parts: list[dict[str, Any]] = answer["parts"]
        return parts

    def complete(self, id: str) -> dict[str, Any]:
        recording: dict[str, Any] = self.call("POST", f"recordings/{id}/complete/")
        return recording

    def get(self, id: str) -> dict[str, Any]:
        recording: dict[str, Any] = self.call("GET", f"recordings/{id}/")
        return recording

    def changes(self, cursor: str) -> tuple[list[dict[str, Any]], str, bool]:
        """What changed since `cursor`, the next cursor, and whether there is more."""
        answer = self.call("GET", "recordings/changes/", params={"cursor": cursor} if cursor else {})
        return answer["changes"], answer["cursor"], answer["has_more"]

    def put(self, url: str, headers: dict[str, str], body: Callable[[], Any], size: int) -> None:
        """Put bytes straight into S3. `body()` begins anew for each try.

        412 is success: the bytes are there already. 403 and ExpiredToken mean that the URL has run out: create again.
        """
        sized = headers | {"Content-Length": str(size)}
        answer = self.send(lambda: self.http.put(url, headers=sized, content=body()))
        if not answer.is_success and answer.status_code != 412:
            raise ApiError(answer.status_code, code_of(answer), f"S3 refused the bytes: {answer.text[:300]}")

    @contextmanager
    def download(self, id: str, start: int) -> Iterator[tuple[bool, Iterator[bytes]]]:
        """The bytes from `start` on, and whether they really begin there. S3 must not see the Authorization header."""
        url = self.call("GET", f"recordings/{id}/download/", params={"redirect": "false"})["url"]
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self.http.stream("GET", url, headers=headers) as answer:
            if not answer.is_success:
                answer.read()
                raise problem(answer)
            yield answer.status_code == 206, answer.iter_raw(1024 * 1024)


def problem(answer: httpx.Response) -> ApiError:
    """The error of an answer: an RFC 9457 problem from the API, XML or anything else from elsewhere."""
    if "json" in answer.headers.get("Content-Type", ""):
        said = answer.json()
        return ApiError(answer.status_code, said.get("code", ""), said.get("detail", ""))
    return ApiError(answer.status_code, "", f"HTTP {answer.status_code}: {answer.text[:200]}")


def passes(answer: httpx.Response) -> bool:
    """Whether the same request may be answered otherwise later."""
    return answer.status_code in PASSING or (answer.status_code in (400, 409) and code_of(answer) in PASSING_AT_S3)


def code_of(answer: httpx.Response) -> str:
    """What S3 calls an error. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
    match = re.search(r"<Code>(\w+)</Code>", answer.text)
    return match[1] if match else "refused"


def retry_after(answer: httpx.Response) -> float:
    seconds = answer.headers.get("Retry-After", "")
    return min(float(seconds), 300.0) if seconds.isdigit() else 0.0
