"""Who is calling: the auth_key, in `Authorization: Bearer …` from apps or in a cookie from the pages."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication, CSRFCheck, get_authorization_header
from rest_framework.request import Request

from accounts import throttles
from accounts.models import DAY, Session
from accounts.services import authenticate
from lib.problems import Problem

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

# __Host- makes browsers refuse a cookie that another host of the same domain has set.
COOKIE = "recorder" if settings.LOCAL else "__Host-recorder"
COOKIE_SECONDS = 400 * DAY  # the most that browsers grant. When the session ends, the server decides alone
# The account that the recorder page is of. Its cookie may be another's by now: a browser's tabs share one.
ACCOUNT = "X-Recorder-Account"


class AuthKeyAuthentication(BaseAuthentication):
    """Sets `request.user` to the Session. A cookie counts for an unsafe method only with Django's CSRF token."""

    def authenticate(self, request: Request) -> tuple[Session, Session] | None:
        scheme, _, auth_key = get_authorization_header(request).decode("latin-1").partition(" ")
        if not scheme:
            return self.by_cookie(request)
        session = authenticate(auth_key.strip()) if scheme.lower() == "bearer" else None
        if session is None:
            raise bad_key(request)
        return session, session

    def by_cookie(self, request: Request) -> tuple[Session, Session] | None:
        session = session_of(request._request)
        if session is None:
            if COOKIE in request.COOKIES:
                throttles.hit("key", throttles.address(request._request))
            return None
        check = CSRFCheck(lambda request: HttpResponse())
        check.process_request(request._request)
        if check.process_view(request._request, lambda request: HttpResponse(), (), {}):
            raise Problem(403, "csrf_failed", "A call that changes something needs the page's CSRF token.")
        if request.headers.get(ACCOUNT, session.id) != session.id:
            raise Problem(409, "other_account", "This browser is signed in to another account than this page is of.")
        return session, session

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def bad_key(request: Request) -> Problem:
    throttles.hit("key", throttles.address(request._request))
    return Problem(401, "invalid_key", "This key is not valid, or its session has ended. Sign in again.")


def session_of(request: HttpRequest) -> Session | None:
    """The session that the page's cookie names, if it still lives."""
    auth_key = request.COOKIES.get(COOKIE)
    return authenticate(auth_key) if auth_key else None


def set_cookie(response: "HttpResponseBase", auth_key: str) -> None:
    """Let the browser keep the key. A guest who loses it has lost everything, so home sets it again and again."""
    response.set_cookie(
        COOKIE, auth_key, max_age=COOKIE_SECONDS, secure=not settings.LOCAL, httponly=True, samesite="Lax"
    )
