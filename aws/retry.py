"""Doing again what met somebody else's write."""

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from aws.dynamo import Conflict
from lib.problems import Problem

P = ParamSpec("P")
T = TypeVar("T")

RETRY_SECONDS = 5.0
LONGEST_WAIT = 0.5


def retry_on_conflict(function: Callable[P, T], *, seconds: float = RETRY_SECONDS) -> Callable[P, T]:
    """A decorator: call the function again when it raises Conflict, after longer and longer waits, for `seconds` in
    all. It has to read anew what it acts on.

    Raises 503 `busy` then. Who gets it has changed nothing, except for a small upload: see `completion.store`.
    """

    @wraps(function)
    def retrying(*args: P.args, **kwargs: P.kwargs) -> T:
        start, wait = time.monotonic(), 0.01
        while True:
            try:
                return function(*args, **kwargs)
            except Conflict as conflict:
                if time.monotonic() - start > seconds:
                    raise busy() from conflict
            time.sleep(random.uniform(0, wait))  # noqa: S311 - jitter
            wait = min(wait * 2, LONGEST_WAIT)

    return retrying


def busy() -> Problem:
    return Problem(503, "busy", "Too many changes to this account at once. Repeating this is safe.", retry_after=2)
