"""Podcast feeds at /feed/<token>.xml, and what their items lead to. Nobody signs in: the token is all there is."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from accounts import feeds, throttles
from lib import problems
from lib.origin import origin
from lib.problems import Problem
from recordings.keys import RecordingId
from recordings.podcast import address, chapters, episode, episodes, marked
from recordings.views import etag

View = Callable[..., HttpResponse]
NO_STORE = {"Cache-Control": "no-store"}


def private(view: View) -> View:
    """For GET and HEAD alone, counted for each address; problems in their own form."""

    @require_safe
    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            throttles.hit("feed", throttles.address(request))
            return view(request, *args, **kwargs)
        except Problem as problem:
            wait = {"Retry-After": str(problem.retry_after)} if problem.retry_after else {}
            return problems.response(problem.status_code, problem.code, str(problem.detail), NO_STORE | wait)

    return wrapped


@private
def feed(request: HttpRequest, token: str) -> HttpResponse:
    """The feed, or 304 where the app has it as it is. Three calls to AWS, and a BatchGetItem for each 100 episodes."""
    from web.rss import FORMAT, document  # an XML writer, for the few who read feeds

    found = feeds.find(token)
    rows = episodes(found.user_id, found.tag)
    here = origin(request)
    tag = etag(FORMAT, here, found.id, [(row.id, row.version) for row in rows])
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = get_conditional_response(request, etag=tag)
    if known is not None:
        return HttpResponse(status=known.status_code, headers=headers)
    content = document(found, rows, marked(rows), origin=here, token=token)
    return HttpResponse(content, content_type="application/rss+xml; charset=utf-8", headers=headers)


@private
def audio(request: HttpRequest, token: str, id: RecordingId, extension: str) -> HttpResponse:  # noqa: ARG001 - for players
    """To the bytes, where Range works. Podcast apps keep this address, so it stays the same for ever."""
    found = feeds.find(token)
    row = episode(found.user_id, id, found.tag)
    return HttpResponseRedirect(address(row, head=request.method == "HEAD"), headers=NO_STORE)


@private
def chapter_list(request: HttpRequest, token: str, id: RecordingId) -> HttpResponse:  # noqa: ARG001 - Django hands it over
    found = feeds.find(token)
    content = chapters(episode(found.user_id, id, found.tag))
    return JsonResponse(content, content_type="application/json+chapters", headers=NO_STORE)
