"""What clients, S3's events and the sweep do with one recording. states.py has the states that it can be in.

There are four scenes: a recording in one PUT, one in Recorder's parts, and one in parts that Uppy cuts, long and short
(of a short one `complete` reads every byte itself). Parts are some bytes long here, not megabytes. What Uppy brings is
the app's own recording here, so that all meet at one: it would be the grant's, and the app's calls beside it.
"""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from botocore.exceptions import ClientError
from django.conf import settings

from accounts.authentication import AuthKeyAuthentication
from aws import s3
from operations import events
from operations import sweep as sweeping
from recordings import models, uploads, uppy
from recordings.keys import UserId
from tests.client import Client, declare, sha256
from tests.recordings.stepping import Machine, Operation
from tests.recordings.worlds import World, checksum
from web.uppy import GrantAuthentication

USER = UserId("a" * 32)
OVERDUE = 100  # days
PART, LONG = 16, 32  # bytes: S3's least part, and from where on uploads go in parts
CONTENTS = {"short": b"what was said", "parts": b"what was said" * 3, "uppy": b"as Uppy says it" * 3}
CONTENTS |= {"short uppy": b"as Uppy cuts it short"}
ANOTHER = declare(b"another")

Act = Callable[[], tuple[int, str]]


@dataclass(frozen=True)
class Ticket:
    """What a client remembers of an upload that it has begun."""

    key: str
    upload_id: str


@dataclass(frozen=True)
class Scene:
    """`acts` is what may happen, `acts_on` what a client does with an upload that it has begun. `bring_in` is a whole
    upload by a client that does not give up.
    """

    acts: dict[str, Act]
    bring_in: Act
    acts_on: dict[str, Callable[[Ticket], tuple[int, str]]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [*self.acts, *self.acts_on]

    def operation(self, name: str, as_: str, start: World, day: int = 0) -> Operation | None:
        """None where it makes no sense."""
        if name in self.acts:
            return Operation(as_, self.acts[name], day)
        ticket = ticket_in(start)
        return Operation(as_, self.acts_on[name], day, (ticket,)) if ticket else None


def ticket_in(world: World) -> Ticket | None:
    """Of the upload that is under way, or was the last."""
    for row in world.rows(settings.RECORDINGS_TABLE):
        if ":" not in row["id"]:
            return Ticket(f"recordings/{USER}/{row['id']}/{row['attempt']}", row.get("upload_id", "over"))
    return None


def make_parts_small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("recordings.models.recording", "recordings.uploads", "recordings.completion", "recordings.uppy"):
        for name, size in (("MULTIPART", LONG), ("PART", PART), ("LEAST_PART", PART)):
            monkeypatch.setattr(f"{module}.{name}", size, raising=False)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", PART)


@contextmanager
def playing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The app as the scenes need it: who calls is known, parts are small, and there is one shard to sweep."""
    user: Any = SimpleNamespace(id=USER, is_authenticated=True, require_recent_login=lambda: None)
    monkeypatch.setattr(AuthKeyAuthentication, "authenticate", lambda *_: (user, user))
    monkeypatch.setattr(GrantAuthentication, "authenticate", lambda *_: (user, ""))
    monkeypatch.setattr(sweeping, "SHARDS", ["0"])
    monkeypatch.setattr(sweeping, "THREADS", {})
    for module in ("models.due", "transactions", "uploads"):
        monkeypatch.setattr(f"recordings.{module}.due_shard", lambda _: "0")
    make_parts_small(monkeypatch)
    logging.disable()
    with machine.running():
        yield
    logging.disable(logging.NOTSET)


def call(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    answer = Client().call(method, path if path.startswith("/") else f"recordings/{path}", body, **headers)
    shown = answer.json if isinstance(answer.json, dict) else {}
    shown = shown.get("recording", shown)
    assert answer.status != 503 or "Retry-After" in answer.headers
    return answer.status, str(shown.get("code") or shown.get("status"))


def sweep() -> tuple[int, str]:
    outcomes = sweeping.sweep()
    return 500 if outcomes["failed"] else 200, str(dict(outcomes))


def hear() -> tuple[int, str]:
    """S3's events for all objects that are there. Each is its own invocation, and may come at any time."""
    with s3.edge():
        listed = s3.client().list_objects_v2(Bucket=settings.RECORDINGS_BUCKET)
    return 200, ", ".join(events.object_created(item["Key"]) for item in listed.get("Contents", []))


def acts_of(content: bytes, *, resized: int) -> dict[str, Act]:
    """What any recording meets; `resized` is the size that another declaration of it has."""
    declared = declare(content)
    id = uploads.id_of(USER, declared["sha256"])
    return {
        "create": lambda: call("POST", "", declared),
        "create another": lambda: call("POST", "", ANOTHER),
        "resize": lambda: call("POST", "", declared | {"size": resized}),
        "small upload": lambda: call("PUT", "upload/Talk.wav/", content, content_type="audio/wav"),
        "complete": lambda: call("POST", f"{id}/complete/"),
        "edit": lambda: call("PATCH", f"{id}/", {"name": "Other.wav"}),
        "trash": lambda: call("DELETE", f"{id}/"),
        "restore": lambda: call("POST", f"{id}/restore/"),
        "purge": lambda: call("DELETE", f"{id}/?permanent=true"),
        "empty trash": lambda: call("DELETE", "?shelf=trash"),
        "event": hear,
        "sweep": sweep,
    }


def declared_as(content: bytes, size: int) -> Act:
    return lambda: call("POST", "", declare(content, size=size))


def some(acts: dict[str, Act], *names: str) -> dict[str, Act]:
    return {name: acts[name] for name in names}


def cut(content: bytes) -> list[bytes]:
    return [content[start : start + PART] for start in range(0, len(content), PART)]


def put_part(ticket: Ticket, number: int, content: bytes) -> tuple[int, str]:
    """A client's own call to S3, which answers it even where the upload is over."""
    where: Any = {"Bucket": settings.RECORDINGS_BUCKET, "Key": ticket.key, "UploadId": ticket.upload_id}
    with s3.edge():
        try:
            s3.client().upload_part(**where, PartNumber=number, Body=content)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":
                raise
            return 404, "NoSuchUpload"
    return 200, ""


def uppy_acts(content: bytes) -> dict[str, Act]:
    about = {"size": str(len(content)), "sha256": sha256(content)}
    body = {"filename": "Talk.wav", "type": "audio/wav", "metadata": about}
    query = {"filename": "Talk.wav", "type": "audio/wav", **{f"metadata[{name}]": about[name] for name in about}}
    return {
        "begin": lambda: call("POST", "/uppy/grant/s3/multipart", body),
        "params": lambda: call("GET", f"/uppy/grant/s3/params?{urlencode(query)}"),
    }


def on_uppy(method: str, path: str, query: str = "", body: Any = None) -> Callable[[Ticket], tuple[int, str]]:
    def act(ticket: Ticket) -> tuple[int, str]:
        where = f"/uppy/grant/s3/multipart/{quote(uppy.seal(ticket.key, ticket.upload_id), safe='')}{path}"
        return call(method, f"{where}?key={quote(ticket.key, safe='')}{query}", body)

    return act


def uppy_acts_on(content: bytes) -> dict[str, Callable[[Ticket], tuple[int, str]]]:
    sent = [{"PartNumber": number, "ETag": "x"} for number in range(1, len(cut(content)) + 1)]
    return {
        "finish": on_uppy("POST", "/complete", body={"parts": sent}),
        "abort": on_uppy("DELETE", ""),
        "received": on_uppy("GET", ""),
        "sign": on_uppy("GET", "/1"),
        "sign many": on_uppy("GET", "/batch", "&partNumbers=1,2"),
        "part": functools.partial(put_part, number=1, content=cut(content)[0]),
    }


def bring_in(content: bytes, *, by_uppy: bool = False) -> Act:
    """Send everything until it is verified: a second time where other bytes were there already."""
    id = uploads.id_of(USER, sha256(content))
    begin, finish = uppy_acts(content)["begin"], uppy_acts_on(content)["finish"]

    def act() -> tuple[int, str]:
        for _ in range(2):
            begin() if by_uppy else call("POST", "", declare(content))
            row = models.Recording.find(id, USER)
            assert row
            if row.upload_id:
                ticket = Ticket(row.key, row.upload_id)
                for number, piece in enumerate(cut(content), 1):
                    put_part(ticket, number, piece)
                finish(ticket) if by_uppy else call("POST", f"{id}/complete/")
            elif row.awaits_bytes:
                proof: Any = {"ChecksumSHA256": checksum(content), "ChecksumAlgorithm": "SHA256"}
                s3.client().put_object(Bucket=settings.RECORDINGS_BUCKET, Key=row.key, Body=content, **proof)
            hear()
        answer = Client().get(f"recordings/{id}/")
        return answer.status, "verified" if answer.json.get("verified_at") else str(answer.json.get("status"))

    return act


SHORT, PARTS, UPPY, SHORT_UPPY = CONTENTS.values()
CLEARING = ("edit", "trash", "restore", "purge", "empty trash")
SCENES = {
    "short": Scene(acts_of(SHORT, resized=len(SHORT) + 1), bring_in(SHORT)),
    "parts": Scene(
        some(acts_of(PARTS, resized=LONG - 1), "create", "resize", "complete", "event", "sweep", *CLEARING)
        | {"enlarge": declared_as(PARTS, len(PARTS) + 2)},
        bring_in(PARTS),
        {"part": functools.partial(put_part, number=1, content=cut(PARTS)[0])},
    ),
    "uppy": Scene(
        uppy_acts(UPPY) | some(acts_of(UPPY, resized=LONG - 1), "create", "event", "sweep", "trash", "purge"),
        bring_in(UPPY, by_uppy=True),
        uppy_acts_on(UPPY),
    ),
    "short uppy": Scene(
        uppy_acts(SHORT_UPPY) | some(acts_of(SHORT_UPPY, resized=LONG), "small upload", "resize", "event", "sweep"),
        bring_in(SHORT_UPPY, by_uppy=True),
        uppy_acts_on(SHORT_UPPY),
    ),
}
