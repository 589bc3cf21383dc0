"""A stored object as a file that can be read anywhere, in constant memory."""

import io

from recorder_project.problems import Problem, not_found
from recordings.storage import edge, get


class OverreadError(Exception):
    """Far more was asked for than there is: a file that has its reader jump back and forth, or a reader gone wild."""


class Reader(io.RawIOBase):
    """A stored object as a file that can be read anywhere, a block at a time. It holds `KEPT` blocks and no more, and
    gets each block `AGAIN` times on average and `MORE` beside that, and then no more.
    """

    BLOCK, KEPT, AGAIN, MORE = 4 * 2**20, 4, 4, 64

    def __init__(self, key: str) -> None:
        self.key = key
        self.size = 0
        self.at = 0
        self.fetched = 0  # blocks
        self.blocks: dict[int, bytes] = {}
        self.block(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence])
        return self.at

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, and no more than the block still holds; b"" at the end."""
        if self.at >= self.size:
            return b""
        number, start = divmod(self.at, self.BLOCK)
        block = self.block(number)
        taken = block[start:] if size < 0 else block[start : start + size]
        self.at += len(taken)
        return taken

    def block(self, number: int) -> bytes:
        """One GetObject, unless it is at hand. Raises 404 where the object has gone, OverreadError."""
        if number not in self.blocks:
            if self.fetched >= self.AGAIN * (self.size // self.BLOCK) + self.MORE:
                raise OverreadError
            self.fetched += 1
            first = number * self.BLOCK
            with edge():
                answer = get(self.key, Range=f"bytes={first}-{first + self.BLOCK - 1}")
                if answer is None:
                    raise not_found()
                content: bytes = answer["Body"].read()
            self.size = int(answer["ContentRange"].rpartition("/")[2])
            while len(self.blocks) >= self.KEPT:
                del self.blocks[next(iter(self.blocks))]
            self.blocks[number] = content
        return self.blocks[number]


def open_object(key: str) -> Reader | None:
    """The object as a file, or None where there is none. One GetObject for each 4 MiB that is read."""
    try:
        return Reader(key)
    except Problem as problem:
        if problem.status_code != 404:
            raise
        return None
