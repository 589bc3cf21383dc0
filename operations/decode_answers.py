"""What the decoding function answers, and to whom it goes."""

import logging

from lib.problems import Problem
from recordings.analysis import analyse
from recordings.analysis.orders import Answer
from recordings.shares import excerpts

log = logging.getLogger(__name__)


def take(body: str) -> str:
    """Act on a message of the queue of answers. Returns what became of it: `refused` where it answers no order."""
    try:
        answer = Answer(body)
    except ValueError as error:
        log.warning("An answer of the decoding function was refused: %s", error)
        return "refused"
    try:
        return excerpts.take(answer) if "share_id" in answer.about else analyse.take(answer)
    except Problem as problem:
        if problem.status_code not in (401, 404, 409):
            raise
        return str(problem.code)
