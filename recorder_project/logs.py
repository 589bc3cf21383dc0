"""What must not get into a log."""

import logging
import re

SECRET = re.compile(r"(\?)\S*|(/uppy/)[^/?\s]+")


class NoQuery(logging.Filter):
    """Cuts the query off the paths that Django logs, since a login's callback carries its code there, and the grant
    out of Uppy's.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(SECRET.sub(cut, each) if isinstance(each, str) else each for each in record.args)
        return True


def cut(match: re.Match[str]) -> str:
    return f"{match[1] or match[2]}…"
