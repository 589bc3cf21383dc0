"""Lambda's entry point for decoding: a function that has no rights on tables or bucket, no settings and no keys.

It is given an order with a presigned URL for one recording, and for a part a form by which one file can be stored.
What it returns goes to a queue, by which the event function gets it (orders.py) and reads it as a stranger's word. So
all that a file can do that takes it over, processes and all, is to lie about sound.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import urllib3

from lib.blocks import Blocks, OverreadError, total
from recordings.analysis import decoding
from recordings.analysis.decoding import SECONDS, Told, UndecodableError
from recordings.analysis.facts import dumped

if TYPE_CHECKING:  # they need the settings
    from aws.presign import Form
    from recordings.analysis.orders import Order

REST = 60.0  # seconds of Lambda's time that are left for storing a part and answering
CHUNK = 2**20
BOUNDARY = "a-boundary-that-no-field-of-the-form-has"
http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=2, read=10), retries=urllib3.Retry(3, redirect=False))


class StoreError(Exception):
    """S3 did not do what the order is for: no fault of the file's. Lambda tries again."""


class Fetched(Blocks):
    """The file at a presigned URL. One GET for each block."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__()

    def fetch(self, first: int, last: int) -> tuple[bytes, int]:
        answer = ask("GET", self.url, headers={"Range": f"bytes={first}-{last}"})
        return answer.data, total(answer.headers["Content-Range"])


def ask(method: str, url: str, **options: Any) -> Any:
    try:
        answer = http.request(method, url, **options)
    except urllib3.exceptions.HTTPError as error:
        raise StoreError(type(error).__name__) from None  # its text has the URL
    if answer.status not in (200, 201, 204, 206):
        raise StoreError(str(answer.status))
    return answer


def handler(order: "Order", context: Any = None) -> Told:
    """Do what the order says: `{"facts"}`, `{"seconds"}` of a part that is stored, or `{"fault"}`.

    Raises StoreError.
    """
    started, outcome = time.monotonic(), "failed"
    left = context.get_remaining_time_in_millis() / 1000 - REST if context else SECONDS
    try:
        answer = fulfil(order, min(SECONDS, left))
        outcome = "fault" if "fault" in answer else "done"
    finally:
        line = {
            "level": "ERROR" if outcome == "failed" else "INFO",
            "request_id": getattr(context, "aws_request_id", None),
            "route": order["task"],
            "outcome": outcome,
            "duration_ms": round((time.monotonic() - started) * 1000, 1),
        }
        sys.stderr.write(json.dumps(line) + "\n")
    return answer


def fulfil(order: "Order", seconds: float) -> Told:
    try:
        if order["task"] == "cut":
            return cut(order, seconds)
        header = order["task"] == "read_header"
        return {"facts": dumped(decoding.listen(Fetched(order["url"]), seconds=seconds, header=header))}
    except TimeoutError:
        return {"fault": "timeout"}
    except (UndecodableError, OverreadError) as error:
        return {"fault": "error", "where": str(error)}


def cut(order: "Order", seconds: float) -> Told:
    with tempfile.TemporaryFile() as output:
        length = decoding.cut(Fetched(order["url"]), output, order["start"], order["end"], seconds=seconds)
        if length:
            store(order["form"], output)
    return {"seconds": length}


def store(form: "Form", file: BinaryIO) -> None:
    """Send the file by the form, whose policy bounds its size. RFC 7578."""
    size, head, tail = file.seek(0, 2), b"", f"\r\n--{BOUNDARY}--\r\n".encode()
    for name, value in form["fields"].items():
        head += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    head += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="part"\r\n\r\n'.encode()

    def body() -> Iterator[bytes]:
        file.seek(0)
        yield head
        while chunk := file.read(CHUNK):
            yield chunk
        yield tail

    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(len(head) + size + len(tail)),
    }
    ask("POST", form["url"], body=body(), headers=headers, retries=False)
