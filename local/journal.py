"""A mapping on disk that loses nothing which `write` has returned from, whatever ends the process or the machine.

    snapshot-000007   the whole mapping, as journals 1 to 7 have left it
    journal-000008    what was written since: a line for each `write`, which counts as a whole or not at all

A line is the CRC-32 of its text in hex, a space, and the text: JSON, [[key, value], …] with a key of strings, and null
for a key that goes. A snapshot ends with an empty line `[]`. Values are whole, so that reading a line twice changes
nothing, and what is read depends on no clock and on no condition.
"""

import fcntl
import json
import logging
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

log = logging.getLogger("journal")

Key = tuple[str, ...]
Record = dict[str, Any]  # of ministack's, which has others for each thing that it keeps
State = dict[Key, Any]

COMPACT_AT = 16 * 2**20  # bytes of a journal, or as many as the snapshot has: reading it takes a second or two


class DamagedError(Exception):
    """A file is not what was written, elsewhere than at the end that a crash may have torn off."""


def sync(descriptor: int) -> None:
    """To the disk itself: on macOS, fsync leaves it in the drive's memory."""
    if full := getattr(fcntl, "F_FULLFSYNC", None):
        fcntl.fcntl(descriptor, full)
    else:
        os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Make the names of files last, as `sync` does their bytes."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def encode(changes: Iterable[tuple[Key, Any]]) -> bytes:
    text = json.dumps([*changes], ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(line: bytes) -> list[tuple[list[str], Any]] | None:
    """The changes of a line; None for one that is not whole."""
    text = line[9:-1]
    if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(text):
        return None
    changes: list[tuple[list[str], Any]] = json.loads(text.decode("utf-8", "surrogatepass"))
    return changes


class Reader:
    """Reads a directory's snapshot and the journals after it, up to number `last`. Writes nothing."""

    def __init__(self, directory: Path, last: int | None = None) -> None:
        self.directory = directory
        self.state: State = {}
        self.outdated: list[Any] = []  # values that later ones took the place of, or that went
        self.whole = 0  # bytes of the last journal that are good
        snapshots, journals = numbers(directory, "snapshot"), numbers(directory, "journal")
        self.snapshot = max(snapshots, default=0)
        self.journals = [each for each in journals if each > self.snapshot and (last is None or each <= last)]
        expected = [*range(self.snapshot + 1, self.snapshot + 1 + len(self.journals))]
        if missing := [each for each in expected if each not in self.journals]:
            raise DamagedError(f"{path_of(directory, 'journal', missing[0])} is missing")

    def read(self) -> State:
        if self.snapshot:
            self._take(path_of(self.directory, "snapshot", self.snapshot), torn=False)
        for number in self.journals:
            self._take(path_of(self.directory, "journal", number), torn=number == self.journals[-1])
        return self.state

    def _take(self, path: Path, *, torn: bool) -> None:
        """Take a file in; its end may be torn off if it was the one being written, a snapshot's never."""
        self.whole, changes = 0, None
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                changes = decode(line)
                if changes is None:
                    if torn and not any(map(decode, file)):
                        return
                    raise DamagedError(f"{path} is damaged in line {number}")
                self._apply(changes)
                self.whole += len(line)
        if path.name.startswith("snapshot") and changes != []:
            raise DamagedError(f"{path} has lost its end")

    def _apply(self, changes: list[tuple[list[str], Any]]) -> None:
        for parts, value in changes:
            key = tuple(parts)
            if (old := self.state.pop(key, None)) is not None:
                self.outdated.append(old)
            if value is not None:
                self.state[key] = value


def path_of(directory: Path, kind: str, number: int) -> Path:
    return directory / f"{kind}-{number:06}"


def numbers(directory: Path, kind: str) -> list[int]:
    return sorted(
        int(match[1]) for path in directory.iterdir() if (match := re.fullmatch(rf"{kind}-(\d+)", path.name))
    )


def write_snapshot(directory: Path, number: int, state: Mapping[Key, Any]) -> None:
    """All of it, or, wherever this stops, nothing."""
    path = path_of(directory, "snapshot", number)
    unfinished = path.with_suffix(".tmp")
    try:
        with unfinished.open("wb") as file:
            for change in state.items():
                file.write(encode([change]))
            file.write(encode([]))
            file.flush()
            sync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)  # a full disk needs the space
        raise
    sync_directory(directory)


def clear(directory: Path) -> None:
    """Remove what the newest snapshot has made useless, and what never became one."""
    newest = max(numbers(directory, "snapshot"), default=0)
    useless = [path_of(directory, "journal", each) for each in numbers(directory, "journal") if each <= newest]
    useless += [path_of(directory, "snapshot", each) for each in numbers(directory, "snapshot") if each < newest]
    for path in [*useless, *directory.glob("*.tmp")]:
        path.unlink(missing_ok=True)


def compact(directory: Path, last: int, drop: Callable[[State], Iterable[Key]]) -> None:
    """Bring the journals up to `last` into a snapshot, from the files alone, while the next journal is written."""
    state = Reader(directory, last).read()
    for key in [*drop(state)]:
        del state[key]
    write_snapshot(directory, last, state)
    clear(directory)


class Journal:
    """The journal that is being written. Not for two threads at once; `compact` runs in one of its own."""

    def __init__(
        self,
        directory: Path,
        *,
        compact_at: int = COMPACT_AT,
        drop: Callable[[State], Iterable[Key]] = lambda state: (),
    ) -> None:
        """`drop` names the keys that need not be kept at a compaction."""
        self.directory, self.drop = directory, drop
        self.compact_at = compact_at
        self.compaction: threading.Thread | None = None
        self._descriptor = -1
        self._torn = False  # whether more may be in the file than was written as a whole

    def open(self, first: State | None = None) -> Reader:
        """Read everything and get ready to write. `first` is what a directory without anything begins with.

        Raises DamagedError, and has then changed nothing.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        if first and not numbers(self.directory, "snapshot") and not numbers(self.directory, "journal"):
            write_snapshot(self.directory, 1, first)
        reader = Reader(self.directory)
        reader.read()
        clear(self.directory)
        self.number = reader.journals[-1] if reader.journals else reader.snapshot + 1
        self._size = reader.whole if reader.journals else 0
        if reader.snapshot:
            size = path_of(self.directory, "snapshot", reader.snapshot).stat().st_size
            self.compact_at = max(self.compact_at, size)
        self._set_aside()
        self._descriptor = self._created(self.number)
        self._cut_back()
        self._consider_compaction(earlier=sum(self._sizes(reader.journals[:-1])))
        return reader

    def write(self, changes: Mapping[Key, Any]) -> None:
        """Keep `changes`, all of them, before this returns; None removes a key.

        Raises OSError where the disk won't have them: then none of them is kept, but for those of a process that is
        killed before it could take them out again.
        """
        if not changes:
            return
        line = memoryview(encode(changes.items()))
        if self._torn:
            self._cut_back()
        self._torn = True
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            sync(self._descriptor)
        except OSError:
            with suppress(OSError):  # or before the next one
                self._cut_back()
            raise
        self._torn = False
        self._size += len(line)
        self._consider_compaction()

    def close(self) -> None:
        if self.compaction:
            self.compaction.join()
        os.close(self._descriptor)

    def _created(self, number: int) -> int:
        path = path_of(self.directory, "journal", number)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        sync_directory(self.directory)
        return descriptor

    def _set_aside(self) -> None:
        """Keep a copy of the end that a crash has torn off, should anybody ask."""
        path = path_of(self.directory, "journal", self.number)
        if not path.exists() or path.stat().st_size == self._size:
            return
        with path.open("rb") as file, suppress(OSError):  # a full disk can do without it
            file.seek(self._size)
            path.with_suffix(".torn").write_bytes(file.read())
        log.warning("%s ended in the middle of a line, which nobody was told of", path)

    def _cut_back(self) -> None:
        os.ftruncate(self._descriptor, self._size)
        sync(self._descriptor)
        self._torn = False

    def _sizes(self, journals: list[int]) -> Iterator[int]:
        for number in journals:
            yield path_of(self.directory, "journal", number).stat().st_size

    def _consider_compaction(self, *, earlier: int = 0) -> None:
        """Begin a new journal where this one has grown long, and bring what is there into a snapshot meanwhile."""
        if earlier + self._size < self.compact_at or (self.compaction and self.compaction.is_alive()):
            return
        try:
            descriptor = self._created(self.number + 1)
        except OSError:
            log.exception("No new journal can be begun; the old one goes on")
            self.compact_at += COMPACT_AT
            return
        os.close(self._descriptor)
        self._descriptor, self._size, self.number = descriptor, 0, self.number + 1
        self.compaction = threading.Thread(target=self._compact, args=(self.number - 1,), daemon=True)
        self.compaction.start()

    def _compact(self, last: int) -> None:
        try:
            compact(self.directory, last, self.drop)
            self.compact_at = max(self.compact_at, path_of(self.directory, "snapshot", last).stat().st_size)
        except (OSError, DamagedError):
            log.exception("The journals could not be brought into a snapshot; they stay")
