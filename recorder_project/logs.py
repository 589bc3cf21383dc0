"""What must not get into a log."""

import logging
import re

QUERY = re.compile(r"\?\S*")


class NoQuery(logging.Filter):
    """Cuts the query off the request lines that runserver logs: a login's callback carries its code there."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(QUERY.sub("?…", each) if isinstance(each, str) else each for each in record.args)
        return True
