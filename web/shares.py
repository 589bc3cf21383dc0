"""What a share's link leads to: a small page that plays one recording, and its bytes, for anybody who has the link.

Who is signed in makes no difference here. lib/headers.py keeps these pages out of search engines and
their addresses out of Referer headers.
"""

import datetime
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_http_methods, require_safe

from accounts import throttles
from lib.problems import Problem
from recordings.shares import links
from recordings.shares.links import Shared
from web.words import localized

UNLOCKED = "recorder-share" if settings.LOCAL else "__Secure-recorder-share"
UNLOCKED_SECONDS = 86400
SALT = "web.shares"
MOST_TYPED = 1000  # characters: more than 128 in any spelling of them

View = Callable[[HttpRequest, str], HttpResponse]


def throttled(view: View) -> View:
    """Count the request, and show what goes wrong as a page."""

    @localized
    @wraps(view)
    def wrapped(request: HttpRequest, token: str) -> HttpResponse:
        try:
            throttles.hit("share", throttles.address(request))
            return view(request, token)
        except Problem as problem:
            return page(request, "problem", problem.status_code, retry_after=problem.retry_after)

    return wrapped


@require_http_methods(["GET", "HEAD", "POST"])
@throttled
def player(request: HttpRequest, token: str) -> HttpResponse:
    """The player, or the form that asks for the password."""
    shared = links.follow(token)
    if request.method == "POST":
        return unlock(request, shared, token)
    if not unlocked(request, shared):
        return page(request, "password", 401, path=f"/s/{token}")
    return page(
        request,
        shared.share.status,
        shared=shared,
        path=f"/s/{token}",
        fragment="" if shared.begins_at is None else f"#t={shared.begins_at:g}",
        length=length(shared.duration) if shared.duration else "",
        recorded_at=datetime.datetime.fromisoformat(shared.row.recorded_at),
        expires_at=datetime.datetime.fromtimestamp(shared.share.expires_at, datetime.UTC),
    )


@require_safe
@throttled
def audio(request: HttpRequest, token: str) -> HttpResponse:
    """To the bytes, for the player."""
    return to_bytes(request, token, inline=True)


@require_safe
@throttled
def download(request: HttpRequest, token: str) -> HttpResponse:
    """To the bytes, as a file."""
    return to_bytes(request, token, inline=False)


def to_bytes(request: HttpRequest, token: str, *, inline: bool) -> HttpResponse:
    shared = links.follow(token)
    if not unlocked(request, shared):
        return page(request, "password", 401, path=f"/s/{token}")
    url = links.url_of(shared, inline=inline, head=request.method == "HEAD")
    return HttpResponseRedirect(url, headers={"Cache-Control": "no-store"})


def unlock(request: HttpRequest, shared: Shared, token: str) -> HttpResponse:
    """Take a password. The cookie that it gets opens this share and no other."""
    id, path = shared.share.public_id, f"/s/{token}"
    if shared.share.password:
        throttles.guess(id, request)
        if not links.opens(shared.share, request.POST.get("password", "")[:MOST_TYPED]):
            return page(request, "password", 401, path=path, wrong=True)
        throttles.guessed(id, request)
    response = HttpResponse(status=303, headers={"Location": path, "Cache-Control": "no-store"})
    if shared.share.password:
        response.set_cookie(
            UNLOCKED,
            signing.dumps(id, salt=SALT),
            max_age=UNLOCKED_SECONDS,
            path=path,
            secure=not settings.LOCAL,
            httponly=True,
            samesite="Lax",
        )
    return response


def unlocked(request: HttpRequest, shared: Shared) -> bool:
    """Whether nobody has to say a password, or this browser has said it."""
    if not shared.share.password:
        return True
    try:
        opened = signing.loads(request.COOKIES.get(UNLOCKED, ""), salt=SALT, max_age=UNLOCKED_SECONDS)
    except signing.BadSignature:
        return False
    return constant_time_compare(str(opened), shared.share.public_id)


def page(
    request: HttpRequest, state: str, status: int = 200, *, retry_after: int | None = None, **more: Any
) -> HttpResponse:
    """The one page in one of its states: ready, preparing, failed, password or problem."""
    context = {"state": state, "status": status, "seconds": retry_after, **more}
    response = render(request, "web/share.html", context, status=status)
    response["Cache-Control"] = "no-store"
    if retry_after:
        response["Retry-After"] = str(retry_after)
    return response


def length(seconds: float) -> str:
    """1:02:03, or 2:03, as players show it."""
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
