"""In which language a page that the server writes speaks. What it says in Korean is in locale/, and English stands in
templates and code. The API speaks English.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.decorators import decorator_from_middleware

from lib.problems import Problem


def localized(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Django's LocaleMiddleware around one page. Afterwards its thread, which may serve the API next, speaks English
    again.
    """
    page: Callable[..., Any] = decorator_from_middleware(LocaleMiddleware)(view)

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = page(request, *args, **kwargs)
            return answer
        finally:
            translation.deactivate()

    return wrapped


def problem(problem: Problem) -> str:
    """What it says to people: the catalogue's sentence for its code, where there is one, or else its own."""
    said = translation.pgettext("problem", problem.code)
    return str(problem.detail) if said == problem.code else said
