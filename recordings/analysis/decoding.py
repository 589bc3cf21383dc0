"""Having a file decoded: in a process of its own, which nothing that a stranger wrote into the file can leave.

Each file gets a fresh process (decoder.py) without environment, open files or a way to the network, bounded in memory,
processor time and, from here, in time. It asks for pieces of the file; what it says of them is taken for what it may
be, a lie, and read as such. Where it dies, breaks the rules or says what can't be, `UndecodableError` comes out.
"""

import json
import math
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, NotRequired, Protocol, TypedDict, cast

from recordings.analysis.facts import MOST_SECONDS, Facts, loaded

SECONDS = 600.0  # for one file, at most; Lambda ends a call after 900
LEAST_SECONDS, SECONDS_PER_MIB, SECONDS_PER_CUT = 30, 20, 0.2  # of processor time: ten times what honest files take
MEMORY = 384 * 2**20  # bytes beside what Python and FFmpeg take themselves: 80 hours of an m4a's index
GRACE = 5.0  # seconds after its time that a process may take to say that it was too short
READ_AGAIN, READ_MORE = 8, 2**26  # how often it may ask for the whole file, and bytes beside that
MOST_ANSWER = 2**17  # bytes
MOST_PIECE = 2**18
EXCERPT_BYTES = 64_000  # for each second of an excerpt: four times what its encoder is told to make
START = "import sys; sys.path[:] = sys.argv[1:]; from recordings.analysis.decoder import serve; serve(0, 1)"
ROOT = str(Path(__file__).resolve().parents[2])
# Threads of OpenBLAS map memory that counts. Lambda's Python finds its library by the last one.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
ENVIRONMENT |= {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


class UndecodableError(Exception):
    """The process died of this file, or what it said can't be true."""


class Order(TypedDict):
    """What a process shall do with a file; `seconds` of time, `cpu` seconds of the processor's."""

    task: Literal["read", "read_header", "cut"]
    seconds: float
    cpu: int
    start: NotRequired[float]  # these four are a cut's: seconds of the recording,
    end: NotRequired[float]
    output: NotRequired[int]  # the descriptor of a file,
    most: NotRequired[int]  # and the bytes that it may take


class FullOrder(Order):
    size: int  # of the file, in bytes
    memory: int  # bytes


class Told(TypedDict, total=False):
    """What a process says of a file. It may be a lie, and any of it of any kind."""

    facts: object
    seconds: object
    fault: object
    where: object


class File(Protocol):
    """What is read of a file, and its size in bytes."""

    @property
    def size(self) -> int: ...
    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, /) -> int: ...


def listen(file: File, *, seconds: float = SECONDS, header: bool = False) -> Facts:
    """The facts of a sound file, with `header` only what its container says. See `audio.read`.

    Raises TimeoutError after `seconds`, or once it has taken more processor time than files of its size do;
    UndecodableError. What `file` raises passes through.
    """
    task: Literal["read", "read_header"] = "read_header" if header else "read"
    answer = ask(file, {"task": task, "seconds": seconds, "cpu": cpu_seconds(file.size)})
    try:
        return loaded(answer.get("facts"))
    except ValueError as error:
        raise UndecodableError(str(error)) from error


def cut(file: File, output: BinaryIO, start: float, end: float, *, seconds: float = SECONDS) -> float:
    """Write what is between `start` and `end` (seconds) to `output`, an empty file on the disk. See `cutting.cut`.

    Returns how many seconds that is, 0 where nothing of it can be decoded. Raises as `listen` does.
    """
    order: Order = {"task": "cut", "seconds": seconds, "cpu": cpu_seconds(file.size, end - start)}
    order |= {"start": start, "end": end, "output": output.fileno(), "most": most_bytes(end - start)}
    length: Any = ask(file, order).get("seconds")
    if type(length) not in (int, float) or not math.isfinite(length) or not 0 <= length <= MOST_SECONDS:
        raise UndecodableError("This is no length.")
    return float(length)


def cpu_seconds(size: int, cut: float = 0) -> int:
    """The processor time that a file of `size` bytes may take, and `cut` seconds to be encoded anew."""
    return math.ceil(min(SECONDS, LEAST_SECONDS + SECONDS_PER_MIB * size / 2**20 + SECONDS_PER_CUT * cut))


def most_bytes(cut: float) -> int:
    """What an excerpt of `cut` seconds may take, in bytes."""
    return math.ceil(2**20 + EXCERPT_BYTES * cut)


def ask(file: File, order: Order) -> Told:
    """Start a process with this order, hand it what it wants of the file, and take its answer."""
    full: FullOrder = {**order, "size": file.size, "memory": MEMORY}
    left = READ_AGAIN * file.size + READ_MORE
    with started(full) as line:
        line.send(json.dumps(full).encode())
        while (said := line.receive())[:1] == b"R":
            if len(said) != 13:
                raise UndecodableError("It asked for nothing.")
            offset, length = int.from_bytes(said[1:9], "big"), int.from_bytes(said[9:], "big")
            left -= length
            if length > MOST_PIECE or left < 0:
                raise UndecodableError("It asked for more than there is.")
            line.send(piece(file, offset, length))
    return understood(said)


def piece(file: File, offset: int, length: int) -> bytes:
    content = b""
    if offset < file.size:
        file.seek(offset)
        while len(content) < length and (more := file.read(length - len(content))):
            content += more
    return content


def understood(said: bytes) -> Told:
    """The answer. Raises TimeoutError or UndecodableError where it is none."""
    try:
        answer: Any = json.loads(said[1:]) if said[:1] == b"A" else None
    except (ValueError, RecursionError) as error:
        raise UndecodableError("It said what nobody understands.") from error
    if not isinstance(answer, dict):
        raise UndecodableError("It said what nobody understands.")
    if answer.get("fault") == "timeout":
        raise TimeoutError("Reading this file takes too long.")
    if "fault" in answer:
        raise UndecodableError(re.sub(r"[^\w. :]", "?", str(answer.get("where"))[:80], flags=re.ASCII))
    return cast("Told", answer)


@contextmanager
def started(order: FullOrder) -> Iterator["Line"]:
    """A process that waits for its order. It ends with the block, whatever it is doing."""
    path = dict.fromkeys([ROOT, *filter(None, sys.path)])
    with subprocess.Popen(  # noqa: S603 - this Python, our own module
        [sys.executable, "-I", "-S", "-B", "-c", START, *path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=ENVIRONMENT,
        pass_fds=[order["output"]] if "output" in order else [],
        bufsize=0,
    ) as process:
        try:
            assert process.stdin is not None  # noqa: S101 - for mypy
            assert process.stdout is not None  # noqa: S101
            yield Line(process.stdout.fileno(), process.stdin.fileno(), order["seconds"] + GRACE)
        except EOFError as error:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            if process.returncode == -signal.SIGXCPU:
                raise TimeoutError("Reading this file takes too much processor time.") from error
            raise UndecodableError(f"The process ended with {process.returncode}.") from error
        finally:
            process.kill()


class Line:
    """Frames to and from the process, until a moment. It is trusted neither to read nor to write."""

    def __init__(self, incoming: int, outgoing: int, seconds: float) -> None:
        self.incoming, self.outgoing = incoming, outgoing
        self.until = time.monotonic() + seconds
        os.set_blocking(outgoing, False)

    def wait(self, descriptor: int, event: int) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        if not poll.poll(max(0.0, self.until - time.monotonic()) * 1000):
            raise TimeoutError("Reading this file takes too long.")

    def receive(self) -> bytes:
        """One frame. Raises EOFError where the process has ended."""
        length = int.from_bytes(self.exactly(4), "big")
        if not 0 < length <= MOST_ANSWER:
            raise UndecodableError("It said more than there is to say.")
        return self.exactly(length)

    def exactly(self, count: int) -> bytes:
        content = bytearray()
        while len(content) < count:
            self.wait(self.incoming, select.POLLIN)
            got = os.read(self.incoming, count - len(content))
            if not got:
                raise EOFError
            content += got
        return bytes(content)

    def send(self, content: bytes) -> None:
        rest = memoryview(len(content).to_bytes(4, "big") + content)
        while rest:
            self.wait(self.outgoing, select.POLLOUT)
            try:
                rest = rest[os.write(self.outgoing, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise EOFError from error
