"""A stored object as a file that can be read anywhere, in constant memory."""

from aws.s3 import edge, get
from lib.blocks import Blocks, total
from lib.problems import Problem, not_found


class Reader(Blocks):
    """A stored object. One GetObject for each block."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__()

    def fetch(self, first: int, last: int) -> tuple[bytes, int]:
        """Raises 404 where the object has gone."""
        with edge():
            answer = get(self.key, Range=f"bytes={first}-{last}")
            if answer is None:
                raise not_found()
            content: bytes = answer["Body"].read()
        return content, total(answer["ContentRange"])


def open_object(key: str) -> Reader | None:
    """The object as a file, or None where there is none. One GetObject for each 4 MiB that is read."""
    try:
        return Reader(key)
    except Problem as problem:
        if problem.status_code != 404:
            raise
        return None
