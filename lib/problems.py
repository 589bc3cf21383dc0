"""Errors as RFC 9457 problem details, for everything under /api/.

A `Problem` is raised where a rule is broken and travels up untouched; `exception_handler` gives DRF's own exceptions
the same form, and `ProblemMiddleware` what Django itself answers (an unknown path, an untrusted host, a fault).
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NotRequired, TypedDict

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions, status
from rest_framework.response import Response

from lib.gateway import is_refused
from lib.logs import current

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 100  # that one problem names
TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    410: "Gone",
    411: "Length required",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported media type",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}
CODES = {400: "bad_request", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class FieldError(TypedDict):
    """What is wrong with one field. `pointer` is a JSON pointer (RFC 6901), or a parameter's name after a slash."""

    pointer: str
    code: str
    detail: str


class Body(TypedDict):
    """A problem as it is sent."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: NotRequired[Sequence[FieldError]]


class Problem(exceptions.APIException):
    """An answer other than success: HTTP status, stable `code`, a sentence for people, and further members."""

    def __init__(
        self,
        status_code: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail, code)
        self.status_code = status_code
        self.code = code
        self.errors = errors
        self.retry_after = retry_after


def invalid(pointer: str, code: str, detail: str) -> Problem:
    """400 for one field of the input; `pointer` is a JSON pointer (RFC 6901) or the parameter's name after a slash."""
    return Problem(400, "invalid", detail, errors=[{"pointer": pointer, "code": code, "detail": detail}])


def not_found() -> Problem:
    """404, the same for what does not exist and for what is somebody else's."""
    return Problem(404, "not_found", "There is nothing here, or it is not yours.")


def unavailable(detail: str = "The store did not answer in time; nothing was lost. Try again.") -> Problem:
    return Problem(503, "unavailable", detail, retry_after=1)


def body(status_code: int, code: str, detail: str, errors: Sequence[FieldError] | None = None) -> Body:
    doing = current()
    doing.code = code
    members: Body = {
        "type": "about:blank",
        "title": TITLES.get(status_code, "Error"),
        "status": status_code,
        "detail": detail,
        "code": code,
        "request_id": doing.request_id,
    }
    return {**members, "errors": errors} if errors else members


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER. What it does not know goes on to Django, whose 500 the middleware rewrites."""
    if isinstance(exc, Http404):
        exc = not_found()
    elif isinstance(exc, RequestDataTooBig):
        exc = Problem(413, "too_large", "This body is longer than any that is taken here.")
    if not isinstance(exc, exceptions.APIException):
        return None
    errors = getattr(exc, "errors", None)
    if isinstance(exc, exceptions.ValidationError):
        code, errors = "invalid", list(islice(_flatten(exc.get_full_details()), MOST_ERRORS))
        detail = "; ".join(f"{error['pointer'] or 'body'}: {error['detail']}" for error in errors)
    else:
        code = getattr(exc, "code", None) or str(exc.get_codes())
        detail = str(exc.detail)
    headers = {"WWW-Authenticate": "Bearer"} if exc.status_code == status.HTTP_401_UNAUTHORIZED else {}
    wait = getattr(exc, "retry_after", None) or getattr(exc, "wait", None)
    if wait:
        headers["Retry-After"] = str(int(wait))
    answer = Response(body(exc.status_code, code, detail, errors), exc.status_code, headers=headers)
    _as_problem(answer, context)
    return answer


def _as_problem(answer: Response, context: Mapping[str, Any]) -> None:
    """Say problem+json, unless a browser asked for the browsable API, whose page shows the same members."""
    renderer = getattr(context.get("request"), "accepted_renderer", None)
    if renderer is None or renderer.format != "api":
        answer.content_type = MEDIA_TYPE


def _flatten(details: Any, pointer: str = "") -> Iterator[FieldError]:
    """DRF's nested error details as a flat list with JSON pointers."""
    if isinstance(details, dict) and set(details) == {"message", "code"} and isinstance(details["message"], str):
        yield {"pointer": pointer, "code": str(details["code"]), "detail": str(details["message"])}
    elif isinstance(details, dict):
        for key, value in details.items():
            yield from _flatten(value, pointer + ("" if key == "non_field_errors" else step(str(key))))
    else:
        for value in details:
            yield from _flatten(value, pointer)


def step(name: str) -> str:
    """One step of a JSON pointer. A name that no UTF-8 can say, a lone surrogate in it, gets question marks; one that
    is longer than any of ours is cut.
    """
    return "/" + name[:255].replace("~", "~0").replace("/", "~1").encode(errors="replace").decode()


def response(status_code: int, code: str, detail: str, headers: dict[str, str] | None = None) -> JsonResponse:
    """A problem outside of DRF."""
    return JsonResponse(body(status_code, code, detail), status=status_code, content_type=MEDIA_TYPE, headers=headers)


@csrf_exempt
def unknown_path(request: HttpRequest) -> HttpResponse:
    """404 for a path under /api/ that no endpoint has; where only the final slash is missing, it says so.

    400 for a Lambda event that can't be read, which comes here whatever its path is.
    """
    if is_refused(request.META.get("apig_wsgi.full_event")):
        return response(400, "bad_request", "The request holds something that no HTTP request can hold.")
    detail = "There is no such endpoint."
    try:
        if not request.path.endswith("/") and resolve(request.path_info + "/").func is not unknown_path:
            detail = f"The path ends in a slash: {request.path}/"
    except Resolver404:
        pass
    return response(404, "not_found", detail)


class ProblemMiddleware:
    """Turns Django's own error pages under /api/ (also the debug pages of LOCAL) into problems."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self.get_response(request)
        foreign = answer.status_code >= 400 and not isinstance(answer, Response)
        ours = request.path_info.startswith(("/api/", "/uppy/"))
        if not foreign or not ours or answer["Content-Type"] == MEDIA_TYPE:
            return answer
        code, detail = CODES.get(answer.status_code, "internal_error"), "The request was refused before any endpoint."
        if answer.status_code >= status.HTTP_500_INTERNAL_SERVER_ERROR:
            detail = "Something failed here; it is logged. Nothing was lost."
        headers = {name: value for name, value in answer.items() if not name.lower().startswith("content-")}
        return response(answer.status_code, code, detail, headers)
