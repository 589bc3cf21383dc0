"""How long a request may go on: it answers 503 by itself before Lambda (30 s) or API Gateway (29 s) end it.

Each call to AWS has time-outs and tries of its own, but a chain of slow ones could outlive any request. So no try, and
no call to a login provider, begins after SECONDS. The last one, and the wait after it, fit into what is left.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from math import inf

from django.http import HttpRequest, HttpResponseBase

from lib.problems import unavailable

SECONDS = 18.0

_until: ContextVar[float] = ContextVar("until", default=inf)


class Deadline:
    """The middleware. Events and commands have no deadline: they watch their time by themselves."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = _until.set(time.monotonic() + SECONDS)
        try:
            return self.get_response(request)
        finally:
            _until.reset(token)


def is_late() -> bool:
    return time.monotonic() > _until.get()


def begin_in_time(**_: object) -> None:
    """Raises 503 once it is too late to begin anything; botocore calls it before each try."""
    if is_late():
        raise unavailable()
