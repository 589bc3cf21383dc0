"""Upload every recording in a folder that the account does not have yet, and say which files may be deleted.

Nothing is remembered between runs: `check` says what is there, and creating an upload again says which of its parts
have arrived. So a run that was killed is simply run again.
"""

import hashlib
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO, TypeVar

import httpx

from examples.client import ApiError, Recorder

T = TypeVar("T")

CHUNK = 1024 * 1024
FILES_AT_ONCE, PARTS_AT_ONCE = 3, 4
# Create, and send what it says.
AGAIN = {"upload_incomplete", "not_multipart", "checksum_mismatch", "part_mismatch", "ExpiredToken"}
PARTS_A_CALL = 16  # URLs asked for at a time; the API's most is 100
TYPES = {
    ".aac": "audio/aac",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".amr": "audio/amr",
    ".caf": "audio/x-caf",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
    ".wma": "audio/x-ms-wma",
    ".3gp": "audio/3gpp",
}


@dataclass
class File:
    """One file of the folder, and how it stands with the account."""

    path: Path
    name: str
    size: int
    modified: float
    sha256: str = ""
    recording: dict[str, Any] = field(default_factory=dict)
    fault: str = ""

    @property
    def safe(self) -> bool:
        """Whether the phone's copy may go: the server has proven that it stores exactly these bytes."""
        return bool(self.recording.get("verified_at")) and not self.recording.get("trashed_at")

    @property
    def state(self) -> str:
        if self.fault:
            return f"not uploaded: {self.fault}"
        return "safe to delete from this phone" if self.safe else "uploaded, not verified yet: keep it"

    def declaration(self) -> dict[str, Any]:
        recorded_at = datetime.fromtimestamp(self.modified, UTC).isoformat(timespec="milliseconds")
        content_type = TYPES[self.path.suffix.lower()]
        declared = {"name": self.name[-255:], "size": self.size, "sha256": self.sha256}
        return declared | {"content_type": content_type, "recorded_at": recorded_at}

    def read(self, start: int, size: int) -> bytes:
        with self.path.open("rb") as stream:
            stream.seek(start)
            return stream.read(size)

    def blocks(self) -> Iterator[bytes]:
        with self.path.open("rb") as stream:
            while block := stream.read(CHUNK):
                yield block


class Bar:
    """A progress bar, where a person looks."""

    def __init__(self, label: str, total: int, stream: TextIO = sys.stderr) -> None:
        self.label, self.total, self.stream = label, max(total, 1), stream
        self.done, self.drawn, self.lock = 0, 0.0, threading.Lock()

    def add(self, size: int) -> None:
        with self.lock:
            self.done += size
            if self.stream.isatty() and (time.monotonic() - self.drawn > 0.1 or self.done >= self.total):
                self.drawn = time.monotonic()
                filled = min(30, 30 * self.done // self.total)
                amount = f"{self.done / 1e6:.1f} of {self.total / 1e6:.1f} MB"
                self.stream.write(f"\r\x1b[K{self.label} [{'#' * filled}{'.' * (30 - filled)}] {amount}")
                self.stream.flush()

    def end(self) -> None:
        if self.stream.isatty():
            self.stream.write("\n")


def backup(recorder: Recorder, folder: Path, *, wait: float = 0) -> list[File]:
    """Everything in the folder, uploaded where it was missing. Each file says how it went.

    What came in parts is verified some moments later; `wait` seconds are given for that.
    """
    files = find(folder)
    bar = Bar("reading  ", sum(file.size for file in files))
    for file in files:
        hash_file(file, bar)
    bar.end()
    whole = {file.sha256: file for file in files if not file.fault}  # the same content is one recording
    statuses = {each["sha256"]: each for each in recorder.check(list(whole))}
    bar = Bar("uploading", sum(file.size for file in whole.values() if statuses[file.sha256]["status"] != "ready"))
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool, ThreadPoolExecutor(PARTS_AT_ONCE) as parts:
        list(pool.map(lambda file: bring(recorder, file, statuses[file.sha256], parts, bar), whole.values()))
    bar.end()
    await_proof(recorder, list(whole.values()), time.monotonic() + wait)
    for file in files:
        if not file.fault:
            file.recording, file.fault = whole[file.sha256].recording, whole[file.sha256].fault
    return files


def find(folder: Path) -> list[File]:
    """The recordings under `folder`, by their suffix; nothing hidden, nothing empty, no links."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.suffix.lower() in TYPES and not hidden and not path.is_symlink() and path.is_file():
            stat = path.stat()
            if stat.st_size:
                found.append(File(path, name.as_posix(), stat.st_size, stat.st_mtime))
    return found


def hash_file(file: File, bar: Bar) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        for block in file.blocks():
            digest.update(block)
            size += len(block)
            bar.add(len(block))
        if size != file.size:
            file.fault = "it is being written just now"
    except OSError as error:
        file.fault = str(error)
    file.sha256 = digest.hexdigest()


def bring(recorder: Recorder, file: File, status: dict[str, Any], parts: ThreadPoolExecutor, bar: Bar) -> None:
    """See to it that the account has this file. What can't be helped is noted on the file."""
    try:
        if status["status"] == "ready":
            file.recording = recorder.get(status["id"])
        elif status["status"] == "trashed":
            file.fault = "it is in the account's trash"
        else:
            file.recording = upload(recorder, file, parts, bar)
    except (ApiError, httpx.TransportError, OSError) as error:
        file.fault = str(error)


def upload(recorder: Recorder, file: File, parts: ThreadPoolExecutor, bar: Bar) -> dict[str, Any]:
    """Send what is missing of one file; again where a URL ran out (403) or something else came of it meanwhile."""
    for last in (False, False, True):
        recording, where = recorder.create(file.declaration())
        if where is None:
            return recording
        try:
            if where["kind"] == "single":
                recorder.put(where["url"], where["headers"], file.blocks, file.size)
                bar.add(file.size)
            else:
                send_parts(recorder, file, recording["id"], where, parts, bar)
            return recorder.complete(recording["id"])
        except ApiError as error:
            if last or (error.status != 403 and error.code not in AGAIN):
                raise
    raise AssertionError


def await_proof(recorder: Recorder, files: list[File], until: float) -> None:
    waiting = [file for file in files if file.recording and not file.safe]
    while waiting and time.monotonic() < until:
        time.sleep(1)
        for file in waiting:
            file.recording = recorder.get(file.recording["id"])
        waiting = [file for file in waiting if file.recording["status"] == "ready" and not file.safe]


def send_parts(
    recorder: Recorder, file: File, id: str, where: dict[str, Any], pool: ThreadPoolExecutor, bar: Bar
) -> None:
    """Send the parts that S3 does not have, each through a URL that takes only its very bytes."""
    size, received = where["part_size"], set(where["received"])
    missing = [number for number in range(1, where["part_count"] + 1) if number not in received]
    bar.add(len(received) * size)

    def send(part: dict[str, Any]) -> None:
        body = file.read((part["number"] - 1) * size, size)
        recorder.put(part["url"], part["headers"], lambda: body, len(body))
        bar.add(len(body))

    for numbers in batches(missing, PARTS_A_CALL):
        hashes = [hashlib.sha256(file.read((number - 1) * size, size)).hexdigest() for number in numbers]
        wanted = [{"number": n, "sha256": sha256} for n, sha256 in zip(numbers, hashes, strict=True)]
        list(pool.map(send, recorder.parts(id, wanted)))


def batches(items: list[T], size: int) -> Iterable[list[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
