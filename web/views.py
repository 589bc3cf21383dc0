"""Pages for people and probes: home, signing in and out, health, the API's own document."""

from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import services, throttles
from accounts.authentication import COOKIE, session_of, set_cookie
from accounts.login import log_in
from accounts.models import Session
from accounts.providers import table as providers
from aws.bucket import reachable
from lib import problems
from lib.problems import Problem
from recordings.models import Ledger
from web.signin import own_target, page, shows_problems, would_lose
from web.words import localized

BUILT = Path(__file__).parent / "static/web/app"  # what `npm run build` makes of web/src


@require_safe
@localized
def home(request: HttpRequest) -> HttpResponse:
    """The recorder page for who is signed in, if it has been built; else a page that leads to what there is."""
    session = session_of(request)
    name = "recorder" if session and (BUILT / "main.js").exists() else "home"
    response = render(request, f"web/{name}.html", {"user": session})
    if session and not session.replaced:  # the cookie of its successor may just be on its way
        set_cookie(response, request.COOKIES[COOKIE])  # for as long again
    return response


@require_safe
def service_worker(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - Django hands it over
    """The page's service worker, at the root, since it may serve only what is below its own address."""
    try:
        script = (BUILT / "sw.js").read_bytes()
    except FileNotFoundError:
        raise Http404 from None
    policy = "default-src 'none'; connect-src 'self'"  # it fetches what the page asks for
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": policy}
    return HttpResponse(script, content_type="text/javascript", headers=headers)


@require_http_methods(["GET", "HEAD", "POST"])
@localized
@shows_problems
def login(request: HttpRequest) -> HttpResponse:
    """Sign a browser in as a guest, or with an auth_key that an app has shown; then back to where it came from.

    Who is a guest here already stays the same one, and is asked before a key takes the browser.
    """
    target = own_target(request, request.POST.get("next") or request.GET.get("next"))
    if request.method != "POST":
        return page(request, target)
    auth_key, address = request.POST.get("auth_key", "").strip(), throttles.address(request)
    session = session_of(request)
    if request.POST.get("provider") == "guest" and "guest" in providers.offered():
        if would_lose(session, ""):
            return HttpResponseRedirect(target)
        auth_key = log_in({"provider": "guest", "device_name": "Browser"}, address=address)["auth_key"]
    elif (entering := services.authenticate(auth_key)) is None:
        throttles.hit("key", address)
        return page(request, target, Problem(401, "invalid_key", "This key is not valid, or its session has ended."))
    elif (guest := would_lose(session, request.POST.get("leave", ""))) not in ("", entering.id):
        return page(request, target, losing=guest)
    response = HttpResponseRedirect(target)
    set_cookie(response, auth_key)
    return response


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """End the browser's session."""
    session = session_of(request)
    if session:
        services.end_session(session.id, session.auth_key)
    response = HttpResponseRedirect("/")
    response.delete_cookie(COOKIE, samesite="Lax")
    return response


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """200 and the version while the process answers; with `?deep=1`, only while DynamoDB and S3 answer too."""
    if request.GET.get("deep") == "1":
        try:
            Session.find("health", "health")
            Ledger.find("health", 0)
            reachable()
        except Exception:  # noqa: BLE001 - whatever it is, the answer is "not healthy"
            problems.log.exception("The deep health check failed")
            headers = {"Retry-After": "1"}
            return problems.response(503, "unavailable", "DynamoDB or S3 does not answer.", headers)
    return JsonResponse({"status": "ok", "version": settings.VERSION})


@csrf_exempt
@require_safe
def schema(request: HttpRequest) -> HttpResponseBase:
    """The OpenAPI document. Its generator is imported here: it costs cold start and nobody else needs it."""
    from drf_spectacular.views import SpectacularAPIView

    return SpectacularAPIView.as_view()(request)


@csrf_exempt
@require_safe
def docs(request: HttpRequest) -> HttpResponseBase:
    """The API's page. See `schema` for the import."""
    from drf_spectacular.views import SpectacularSwaggerSplitView

    return SpectacularSwaggerSplitView.as_view(url_name="schema")(request)
