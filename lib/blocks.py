"""A file that is somewhere else, read anywhere, in constant memory."""

import io


class OverreadError(Exception):
    """Far more was asked for than there is: a file that has its reader jump back and forth, or a reader gone wild."""


class Blocks(io.RawIOBase):
    """A file that can be read anywhere, a block at a time. It holds `KEPT` blocks and no more, and gets each block
    `AGAIN` times on average and `MORE` beside that, and then no more.
    """

    BLOCK, KEPT, AGAIN, MORE = 4 * 2**20, 4, 4, 64

    def __init__(self) -> None:
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
        """One `fetch`, unless it is at hand. Raises OverreadError."""
        if number not in self.blocks:
            if self.fetched >= self.AGAIN * (self.size // self.BLOCK) + self.MORE:
                raise OverreadError
            self.fetched += 1
            first = number * self.BLOCK
            content, self.size = self.fetch(first, first + self.BLOCK - 1)
            while len(self.blocks) >= self.KEPT:
                del self.blocks[next(iter(self.blocks))]
            self.blocks[number] = content
        return self.blocks[number]

    def fetch(self, first: int, last: int) -> tuple[bytes, int]:
        """The bytes from `first` to `last` (included), and how many there are in all."""
        raise NotImplementedError


def total(content_range: str) -> int:
    """How many bytes there are in all, as Content-Range says (RFC 9110, 14.4)."""
    return int(content_range.rpartition("/")[2])
