"""What a server says of itself: one line of JSON for each request or event, and what must not get into one.

No auth_key, token, name of a recording, e-mail or address of a caller: lines hold routes instead of paths, ids, codes
and numbers. An exception's text may quote what it failed on, so a line names its type and where it came from instead.

`doing` opens the record of one request or event; what runs within it adds to it with `called`, `count` and `measure`.
Numbers become CloudWatch metrics where METRICS_NAMESPACE is set:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import logging
import re
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

log = logging.getLogger(__name__)

SECRET = re.compile(r"(\?)\S*|(/(?:uppy|feed|s)/)[^/?\s]+")
GROUP = re.compile(r"\(\?P<(\w+)>(?:\[[^\]]*\]|[^()\[\]])*\)|<(?:\w+:)?(\w+)>")
ROOT = Path(__file__).resolve().parent.parent
UNITS = {"UploadedBytes": "Bytes", "VerificationLag": "Seconds"}
MOST_VALUES = 100  # of one metric in one line


@dataclass
class Doing:
    """One request or event so far."""

    request_id: str
    code: str = ""  # of the problem that it was answered with
    aws: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    measures: dict[str, list[float]] = field(default_factory=dict)


_doing: ContextVar[Doing | None] = ContextVar("doing", default=None)
_cold = [True]


@contextmanager
def doing(request_id: str) -> Iterator[Doing]:
    """What is logged, called and counted in this block belongs to one request or event."""
    token = _doing.set(Doing(request_id))
    try:
        yield current()
    finally:
        _doing.reset(token)


def current() -> Doing:
    """The request or event under way; outside of one, something that nobody will read."""
    return _doing.get() or Doing("")


def called(operation: str) -> None:
    """Note one call to AWS."""
    current().aws[operation] += 1


def count(name: str, value: int = 1) -> None:
    current().counts[name] += value


def measure(name: str, value: float) -> None:
    current().measures.setdefault(name, []).append(round(value, 3))


def say(done: Doing, *, level: int = logging.INFO, started: float, **members: Any) -> None:
    """The one line about what is done. `started` is time.monotonic()."""
    line = {
        **members,
        "duration_ms": round((time.monotonic() - started) * 1000, 1),
        "aws": dict(done.aws),
        "cold_start": _cold[0],
    }
    _cold[0] = False
    line |= {"code": done.code} if done.code else {}
    measures = {name: values[:MOST_VALUES] for name, values in done.measures.items()}
    line |= done.counts | measures | _directives([*done.counts, *measures])
    log.log(level, "done", extra={"members": line})


def _directives(names: list[str]) -> dict[str, Any]:
    """What tells CloudWatch to make metrics of these members. Problems are told apart by their code."""
    if not settings.METRICS_NAMESPACE or not names:
        return {}
    plain, by_code = [name for name in names if name != "Problems"], [name for name in names if name == "Problems"]
    made = [
        {
            "Namespace": settings.METRICS_NAMESPACE,
            "Dimensions": [dimensions],
            "Metrics": [{"Name": name, "Unit": UNITS.get(name, "Count")} for name in chosen],
        }
        for dimensions, chosen in (([], plain), (["code"], by_code))
        if chosen
    ]
    return {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": made}}


class RequestLog:
    """The outermost middleware: a request id on every answer, and a line about every request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.monotonic()
        with doing(request_id(request)) as done:
            answer = self.get_response(request)
            answer["X-Request-Id"] = done.request_id
            count("Requests")
            if done.code:
                count("Problems")
            say(
                done,
                level=logging.ERROR if answer.status_code >= 500 else logging.INFO,
                started=started,
                route=route(request),
                method=request.method if request.method in METHODS else "other",
                status=answer.status_code,
                account=getattr(getattr(request, "user", None), "id", None),
            )
        return answer


METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


def request_id(request: HttpRequest) -> str:
    """The gateway's own, which stands in its access log too; elsewhere Lambda's, or a new one. Never the caller's."""
    gateways = request.META.get("apig_wsgi.request_context") or {}
    lambdas = getattr(request.META.get("apig_wsgi.context"), "aws_request_id", None)
    return str(gateways.get("requestId") or lambdas or uuid.uuid4().hex)


def route(request: HttpRequest) -> str:
    """Which endpoint it was. A path holds the name of an upload, Uppy's grant, or the token of a feed or a share."""
    match = request.resolver_match
    if match is None:
        return "static" if request.path_info.startswith(settings.STATIC_URL) else "none"
    return readable(match.route)


@lru_cache(maxsize=128)
def readable(pattern: str) -> str:
    """Django's pattern of a route as people write it: `/api/v1/recordings/{id}/`."""
    plain = GROUP.sub(lambda match: f"{{{match[1] or match[2]}}}", pattern)
    if "(" in plain:  # it takes whatever no endpoint has
        return "none"
    return "/" + plain.replace("^", "").replace("$", "").replace("\\", "")


class JsonLine(logging.Formatter):
    """A record as one line of JSON, with the id of the request that it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname,
            "request_id": current().request_id or None,
        }
        members = getattr(record, "members", None)
        if members is None:
            line |= {"logger": record.name, "message": record.getMessage()}
        else:
            line |= members
        if record.exc_info and record.exc_info[1]:
            line["exceptions"] = list(described(record.exc_info[1]))
        return json.dumps(line, default=str, ensure_ascii=False)


def described(error: BaseException | None) -> Iterator[dict[str, Any]]:
    """An exception and what it came from, each by its type, AWS's code, and where in the code it was."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        places = [
            f"{frame.f_code.co_filename.removeprefix(f'{ROOT}/')}:{line} {frame.f_code.co_name}"
            for frame, line in traceback.walk_tb(error.__traceback__)
        ]
        found: dict[str, Any] = {"type": f"{type(error).__module__}.{type(error).__name__}", "at": places[-20:]}
        response = getattr(error, "response", None)  # botocore's ClientError
        if isinstance(response, dict) and isinstance(response.get("Error"), dict):
            found |= {"code": response["Error"].get("Code"), "operation": getattr(error, "operation_name", None)}
        yield found
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


class NoPath(logging.Filter):
    """Puts the route in place of the path in what Django logs about a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest) and isinstance(record.args, tuple):
            record.args = tuple(route(request) if each == request.path else each for each in record.args)
        return True


class NoQuery(logging.Filter):
    """Cuts the query off the paths that Django logs, since a login's callback carries its code there, and the grant
    or token out of Uppy's, a feed's and a share's.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(SECRET.sub(cut, each) if isinstance(each, str) else each for each in record.args)
        return True


def cut(match: re.Match[str]) -> str:
    return f"{match[1] or match[2]}…"
