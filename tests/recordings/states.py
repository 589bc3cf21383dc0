"""The states in which operations find a recording, in each of the scenes."""

import functools
from collections.abc import Callable
from typing import Any

from django.conf import settings

from aws import dynamo, s3
from recordings import models, transactions, uploads
from tests.client import sha256
from tests.recordings.scenes import CONTENTS, LONG, SCENES, USER, cut, put_part, ticket_in
from tests.recordings.stepping import History, Machine, Operation, Outcome
from tests.recordings.worlds import World, checksum


class Given:
    """Makes states, one out of the other."""

    def __init__(self, machine: Machine, scene: str) -> None:
        self.machine, self.scene, self.content = machine, SCENES[scene], CONTENTS[scene]
        self.id = uploads.id_of(USER, sha256(self.content))
        self.name = f"given {scene}"
        self.nothing = machine.run(machine.empty, "account", open_account)

    def run(self, world: World, act: Callable[[], Any], as_: str, day: int = 0) -> World:
        return self.machine.run(world, f"{self.name} {as_}", act, day)

    def done(self, world: World, name: str, day: int = 0) -> World:
        operation = self.operation(name, world, day)
        outcome, after = self.machine.finish(operation, world)
        assert outcome.status < 500, outcome
        return after

    def operation(self, name: str, world: World, day: int = 0) -> Operation:
        again = sum(key.startswith(f"recordings/{USER}/{self.id}/") for key in world.ids)  # another attempt each time
        found = self.scene.operation(name, f"{self.name} {name} {again}", world, day)
        assert found, name
        return found

    def crashed(self, world: World, name: str, after: str) -> World:
        """What an operation leaves that ends right after its first call of this kind."""
        operation = self.operation(name, world)
        history: History = ()
        while not isinstance(call := self.machine.next(operation, history), Outcome):
            reply, world = self.machine.step(world, call)
            history = (*history, reply)
            if call.action == after:
                return world
        raise AssertionError(f"{name} makes no {after}")

    def put(self, world: World, content: bytes, **params: Any) -> World:
        """The app sends bytes to the URL that create gave."""

        def act() -> None:
            row = models.Recording.find(self.id, USER)
            assert row
            s3.client().put_object(Bucket=settings.RECORDINGS_BUCKET, Key=row.key, Body=content, **params)

        return self.run(world, act, f"put {content!r} {params}")

    def put_proven(self, world: World) -> World:
        return self.put(world, self.content, ChecksumSHA256=checksum(self.content), ChecksumAlgorithm="SHA256")

    def sent(self, world: World, *parts: bytes) -> World:
        """The client sends these parts, b"" for none."""
        ticket = ticket_in(world)
        for number, content in enumerate(parts, 1):
            if content and ticket:
                send = functools.partial(put_part, ticket, number, content)
                world = self.run(world, send, f"part {number} {content!r} of {ticket}")
        return world

    def ended(self, world: World) -> World:
        """The bucket's lifecycle has ended the multipart upload."""
        ticket = ticket_in(world)
        assert ticket
        return self.run(world, lambda: s3.abort_multipart(ticket.key, ticket.upload_id), f"end {ticket}")


def open_account() -> None:
    write = dynamo.transaction()
    transactions.open_ledger(write, USER, is_guest=False)
    dynamo.commit(write)


def short_starts(machine: Machine) -> dict[str, World]:
    given = Given(machine, "short")
    wrong_bytes = b"other bytes.."
    uploading = given.done(given.nothing, "create")
    wrong = given.put(uploading, wrong_bytes)
    right = given.put_proven(uploading)
    ready = given.done(right, "complete")
    trashed = given.done(ready, "trash")
    return {
        "nothing": given.nothing,
        "uploading": uploading,
        "right bytes": right,
        "right bytes without a checksum": given.put(uploading, given.content),
        "wrong bytes": wrong,
        "wrong bytes given up": given.crashed(wrong, "complete", "TransactWriteItems"),
        "another size over wrong bytes": given.done(wrong, "resize"),
        "ready": ready,
        "trashed": trashed,
        "trash being emptied": given.crashed(trashed, "empty trash", "PutItem"),
        "purging": given.crashed(ready, "purge", "TransactWriteItems"),
        "purged but for the row": given.crashed(ready, "purge", "DeleteObject"),
    }


def parts_starts(machine: Machine) -> dict[str, World]:
    given = Given(machine, "parts")
    found = starts_in_parts(given, "create", "complete")
    resized = given.done(found["mismatch"], "resize")
    return found | {
        "another size over a mismatch": resized,
        "a larger size over a mismatch, upload ended": given.ended(given.done(found["mismatch"], "enlarge")),
        "another size over a mismatch, wrong again": given.put(resized, b"x" * (LONG - 1)),
        "another size over a mismatch, trashed": given.done(resized, "trash"),
        "another size over a mismatch, purging": given.crashed(resized, "purge", "TransactWriteItems"),
    }


def starts_in_parts(given: Given, begin: str, finish: str) -> dict[str, World]:
    pieces = cut(given.content)
    wrong_pieces = [b"x" * len(piece) for piece in pieces]
    uploading = given.done(given.nothing, begin)
    whole, wrong = given.sent(uploading, *pieces), given.sent(uploading, *wrong_pieces)
    ready = given.done(whole, finish)
    mismatch = given.done(given.done(wrong, finish), "event")
    again = given.done(mismatch, begin)
    sent_again = given.sent(again, *pieces)
    odd = given.sent(uploading, pieces[0] + b"x", *pieces[1:])
    return {
        "nothing": given.nothing,
        "uploading": uploading,
        "a part missing": given.sent(uploading, b"", *pieces[1:]),
        "an odd part": odd,
        "an odd part given up": given.crashed(odd, finish, "TransactWriteItems"),
        "whole": whole,
        "put together": given.crashed(whole, finish, "CompleteMultipartUpload"),
        "upload ended": given.ended(uploading),
        "ready": ready,
        "verified": given.done(ready, "event"),
        "trashed": given.done(ready, "trash"),
        "wrong bytes": given.done(wrong, finish),
        "mismatch": mismatch,
        "sent again": sent_again,
        "put together again": given.done(sent_again, finish),
        "wrong again": given.done(given.sent(again, *wrong_pieces), finish),
        "upload ended again": given.ended(again),
        "purging": given.crashed(whole, "purge", "TransactWriteItems"),
    }


def uppy_starts(machine: Machine) -> dict[str, World]:
    given = Given(machine, "uppy")
    return starts_in_parts(given, "begin", "finish") | {"begun the other way": given.done(given.nothing, "create")}


def short_uppy_starts(machine: Machine) -> dict[str, World]:
    """Wrong bytes are found out at once here, so there is no mismatch."""
    given = Given(machine, "short uppy")
    pieces = cut(given.content)
    form = given.done(given.nothing, "params")
    uploading = given.done(given.nothing, "begin")
    whole = given.sent(uploading, *pieces)
    return {
        "nothing": given.nothing,
        "form": form,
        "form sent": given.put(
            form, given.content, ChecksumSHA256=checksum(given.content), ChecksumAlgorithm="SHA256"
        ),
        "uploading": uploading,
        "whole": whole,
        "put together": given.crashed(whole, "finish", "CompleteMultipartUpload"),
        "wrong bytes": given.sent(uploading, *(b"x" * len(piece) for piece in pieces)),
        "ready": given.done(whole, "finish"),
    }


MAKERS = {"short": short_starts, "parts": parts_starts, "uppy": uppy_starts, "short uppy": short_uppy_starts}


def starts(machine: Machine, scene: str) -> dict[str, World]:
    """By name. Made once: equal worlds are the same in each test."""
    if scene not in machine.starts:
        machine.starts[scene] = MAKERS[scene](machine)
    return machine.starts[scene]
