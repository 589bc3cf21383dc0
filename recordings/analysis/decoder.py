"""The process that reads strangers' files: what decoding.py starts, once for each file, and talks to.

It has no settings, no keys and no way to the store: it asks its parent for each piece of the file, and answers with
what it has found. Once it knows what to do, it gives up all that this does not need (sandbox.py).

Messages are frames: 4 bytes of length, then so many bytes. The parent's first is the order, as JSON; its others are
pieces of the file. The child's begin with one byte: REQUEST goes on with offset and length, ANSWER with JSON.
"""

import io
import json
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from recordings.analysis import audio
from recordings.analysis import cut as cutting
from recordings.analysis.facts import dumped
from recordings.analysis.sandbox import confine

if TYPE_CHECKING:
    from recordings.analysis.decoding import FullOrder, Told

REQUEST, ANSWER = b"R", b"A"
LENGTH, PLACE = struct.Struct(">I"), struct.Struct(">QI")
MOST_PIECE = 2**18  # bytes of the file at a time
# A WAV of 8 samples: https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html
SMALLEST = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 44, b"WAVEfmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", 8) + bytes(8)


class Pipe:
    """Frames to and from the parent."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self.incoming, self.outgoing = incoming, outgoing

    def receive(self) -> bytes:
        (length,) = LENGTH.unpack(self.exactly(LENGTH.size))
        return self.exactly(length)

    def exactly(self, count: int) -> bytes:
        content = bytearray()
        while len(content) < count:
            got = os.read(self.incoming, count - len(content))
            if not got:
                raise SystemExit(1)  # the parent is gone
            content += got
        return bytes(content)

    def send(self, kind: bytes, content: bytes) -> None:
        rest = LENGTH.pack(len(content) + 1) + kind + content
        while rest:
            rest = rest[os.write(self.outgoing, rest) :]


class Remote:
    """The file, as the parent hands it over."""

    def __init__(self, pipe: Pipe, size: int) -> None:
        self.pipe, self.size, self.at = pipe, size, 0

    def read(self, size: int, /) -> bytes:
        size = min(size, MOST_PIECE, max(0, self.size - self.at))
        if size <= 0:
            return b""
        self.pipe.send(REQUEST, PLACE.pack(self.at, size))
        content = self.pipe.receive()
        self.at += len(content)
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self.at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence])
        return self.at

    def tell(self) -> int:
        return self.at


def serve(incoming: int, outgoing: int, *, confined: bool = True) -> None:
    """Take one order from `incoming`, answer it at `outgoing`."""
    pipe = Pipe(incoming, outgoing)
    order: FullOrder = json.loads(pipe.receive())
    if confined:
        audio.read(
            io.BytesIO(SMALLEST), seconds=60
        )  # PyAV and numpy import some of themselves when they first need it
        confine(memory=order["memory"], cpu=order["cpu"], written=order.get("most", 0))
    answer: Told
    try:
        answer = fulfil(order, Remote(pipe, order["size"]))
    except TimeoutError:
        answer = {"fault": "timeout"}
    except Exception as error:  # noqa: BLE001 - the parent counts it, whatever it is
        answer = {"fault": "error", "where": where(error)}
    with suppress(BrokenPipeError):
        pipe.send(ANSWER, json.dumps(answer).encode())


def fulfil(order: "FullOrder", file: Remote) -> "Told":
    seconds = order["seconds"]
    match order["task"]:
        case "read":
            return {"facts": dumped(audio.read(file, seconds=seconds))}
        case "read_header":
            return {"facts": dumped(audio.read_header(file, seconds=seconds))}
        case "cut":
            with os.fdopen(order["output"], "w+b", buffering=0, closefd=False) as output:
                return {"seconds": cutting.cut(file, output, order["start"], order["end"], seconds=seconds)}
    raise ValueError("There is no such task.")


def where(error: BaseException) -> str:
    """The kind of a fault and the line that it came from; its text may quote the file."""
    step, line = error.__traceback__, ""
    while step:
        line, step = f"{os.path.basename(step.tb_frame.f_code.co_filename)}:{step.tb_lineno}", step.tb_next  # noqa: PTH119
    return f"{type(error).__name__} {line}"
