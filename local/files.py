"""Files with the bytes of objects and parts, which are on disk before anything names them."""

import logging
import uuid
from pathlib import Path
from typing import Any

from local.journal import Record, sync, sync_directory

log = logging.getLogger("files")

MISSING = "has no file any more"  # of an object, in the log


class Part(dict[str, Any]):
    """A part of an upload as ministack has it, with its bytes in a file."""

    def __init__(self, values: Record, path: Path) -> None:
        super().__init__(values)
        self.path = path

    def __getitem__(self, name: str) -> Any:
        return self.path.read_bytes() if name == "body" else super().__getitem__(name)


class Files:
    """The bytes of objects and parts below a directory, which the journal names by their path in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.objects = directory / "objects"
        self.objects.mkdir(exist_ok=True)
        for unfinished in self.objects.glob("*.tmp"):
            unfinished.unlink()

    def write(self, body: bytes) -> str:
        """Returns the path of a new file that is on disk. Raises OSError, and leaves nothing then."""
        path = self.objects / uuid.uuid4().hex
        unfinished = path.with_suffix(".tmp")
        try:
            with unfinished.open("wb") as file:
                file.write(body)
                file.flush()
                sync(file.fileno())
            unfinished.rename(path)
            sync_directory(self.objects)
        except OSError:
            unfinished.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise
        return str(path.relative_to(self.directory))

    def remove(self, name: str) -> None:
        """Of a file that the journal names no more; what can't be removed now goes at the next start."""
        try:
            (self.directory / name).unlink(missing_ok=True)
        except OSError:
            log.exception("%s could not be removed", name)

    def body(self, record: Record) -> bytes:
        body: bytes | None = record.get("body")
        return body if body is not None else (self.directory / record["file"]).read_bytes()
