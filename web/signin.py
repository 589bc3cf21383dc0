"""Signing a browser in at a provider: the code flow with state, nonce and PKCE, and back to where one came from.

RFC 6749, RFC 7636, RFC 9207, OpenID Connect Core 1.0. What the way back must match travels in a signed cookie of this
browser, so that nobody can finish here what was begun somewhere else.
"""

import json
import secrets
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts import identities, keys, login, services, throttles
from accounts.authentication import session_of, set_cookie
from accounts.models import Session
from accounts.providers.table import Provider, offered
from lib.origin import origin
from lib.problems import Problem, not_found
from recordings.keys import UserId
from web import words

FLOW_SECONDS = 600
RETURN_SECONDS = 60  # from a provider's POST to the GET that it leads to
MOST_NAME = 200  # characters of what a cookie keeps
FLOW = "recorder-login" if settings.LOCAL else "__Host-recorder-login"
SALT, RETURNED = "web.signin", "web.signin.returned"

View = Callable[..., HttpResponse]


def shows_problems(view: View) -> View:
    """Show what went wrong on the sign-in page."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except Problem as problem:
            return page(request, "/", problem)

    return wrapped


def page(
    request: HttpRequest, target: str, problem: Problem | None = None, *, losing: str = "", chosen: str = ""
) -> HttpResponse:
    """The sign-in page; or the question what becomes of the guest's account that this browser is `losing`, to the
    provider `chosen` or to a key.
    """
    context: dict[str, Any] = {"next": target, "user": session_of(request), "guest": "guest" in offered()}
    context["account"] = request.GET.get("account") or (context["user"] and context["user"].id)
    context |= {"losing": losing, "chosen": chosen, "problem": problem and words.problem(problem)}
    context["providers"] = [each for each in offered().values() if each.exchanges and chosen in ("", each.provider)]
    response = render(request, "web/login.html", context, status=problem.status_code if problem else 200)
    response["Cache-Control"] = "no-store"
    if problem and problem.retry_after:
        response["Retry-After"] = str(problem.retry_after)
    return response


def own_target(request: HttpRequest, target: object) -> str:
    """`target` if it is a page of this site, else the home page."""
    target = target if isinstance(target, str) else ""
    hosts, https = {request.get_host()}, request.is_secure()
    return target if url_has_allowed_host_and_scheme(target, hosts, require_https=https) else "/"


def would_lose(session: Session | None, left: str) -> str:
    """The account that nobody could open any more without this `session` of the browser, unless it is the one that is
    `left` behind on purpose.
    """
    return session.id if session and session.id != left and services.is_only_way_in(session) else ""


@require_http_methods(["GET", "POST"])
@words.localized
@shows_problems
def start(request: HttpRequest, name: str) -> HttpResponse:
    """Send the browser to the provider. A POST, which needs the CSRF token, links the provider to who is signed in, or
    says which guest's account to `leave`.
    """
    from accounts.providers.code_flow import authorize  # PyJWT: only logins pay for it

    provider, target = web_provider(name), request.POST.get("next") or request.GET.get("next")
    public = urlsplit(settings.PUBLIC_URL).netloc
    if request.method == "GET" and not settings.LOCAL and request.get_host() != public:
        return HttpResponseRedirect(settings.PUBLIC_URL + request.get_full_path())  # where the callback's cookie is
    session, left = session_of(request), request.POST.get("leave", "")
    if (left or request.method == "GET") and (guest := would_lose(session, left)):
        return page(request, own_target(request, target), losing=guest, chosen=name)
    flow = {
        "provider": name,
        "state": secrets.token_urlsafe(32),
        "nonce": secrets.token_urlsafe(32),
        "code_verifier": secrets.token_urlsafe(48),
        "next": own_target(request, target),
        "leave": session.id if session and left else "",
    }
    meant = request.POST.get("account", "")
    if meant and (session is None or session.id != meant):
        raise Problem(409, "other_account", "This account is not the one signed in here by now. Nothing was linked.")
    if session and request.method == "POST" and not left:
        flow["link"] = f"{session.id}:{session.auth_key}"
    url = authorize(
        provider,
        redirect_uri=callback_uri(request, name),
        state=flow["state"],
        nonce=flow["nonce"],
        code_verifier=flow["code_verifier"],
    )
    response = HttpResponseRedirect(url, headers={"Cache-Control": "no-store"})
    how: dict[str, Any] = {"samesite": "None" if provider.form_post else "Lax", "max_age": FLOW_SECONDS}
    response.set_cookie(FLOW, signing.dumps(flow, salt=SALT), **how, **out_of_reach(provider))
    return response


def out_of_reach(provider: Provider) -> dict[str, Any]:
    return {"httponly": True, "secure": provider.form_post or not settings.LOCAL}


def web_provider(name: str) -> Provider:
    provider = offered().get(name)
    if provider is None or not provider.exchanges:
        raise not_found()
    return provider


def callback_uri(request: HttpRequest, name: str) -> str:
    """What is registered at the provider. A development server goes by more than one name."""
    return f"{origin(request)}/login/{name}/callback/"


@csrf_exempt  # the state is what proves where this began
@require_http_methods(["GET", "POST"])
@words.localized
@shows_problems
def callback(request: HttpRequest, name: str) -> HttpResponse:
    """Where the provider sends the browser back to."""
    provider = web_provider(name)
    if provider.form_post and request.method == "POST":
        return come_again(request, provider)
    flow = returned(request, provider) if provider.form_post else begun_here(request, provider, request.GET)
    if not flow["code"]:
        raise Problem(401, "login_failed", "Nothing came of signing in there. Try again, or sign in another way.")
    credential = {
        "provider": name,
        "code": flow["code"],
        "code_verifier": flow["code_verifier"] if provider.pkce else "",
        "redirect_uri": callback_uri(request, name),
        "nonce": flow["nonce"] if provider.code_gives == "id_token" else "",
        "name": flow["name"],
        "device_name": "Browser",
    }
    response = HttpResponseRedirect(own_target(request, flow["next"]), headers={"Cache-Control": "no-store"})
    response["Referrer-Policy"] = "no-referrer"
    response.delete_cookie(FLOW, samesite="Lax")
    before = session_of(request)
    if "link" in flow:
        session = linking_session(flow["link"])
        given = identities.link(session, credential)[0]["session"]
        if given and before and before.auth_key == session.auth_key:
            set_cookie(response, given["auth_key"])
        return response
    if guest := would_lose(before, flow.get("leave", "")):
        return page(request, flow["next"], losing=guest, chosen=name)
    answer = login.log_in(credential, address=throttles.address(request))
    if before and before.id == answer["user_id"]:
        services.end_session(before.id, before.auth_key)  # this browser's, which nobody holds any more
    set_cookie(response, answer["auth_key"])
    return response


def begun_here(request: HttpRequest, provider: Provider, data: QueryDict) -> dict[str, str]:
    """The flow that this browser began and that this is the end of, with the `code` ("" for none) and the `name` that
    came with it. The issuer too must be its own (RFC 9207).
    """
    try:
        flow: dict[str, str] = signing.loads(request.COOKIES.get(FLOW, ""), salt=SALT, max_age=FLOW_SECONDS)
    except signing.BadSignature:
        flow = {}
    same = flow.get("provider") == provider.provider and constant_time_compare(flow["state"], data.get("state", ""))
    issuers = [issuer for issuer in provider.issuers if "{" not in issuer]
    if not same or (issuers and data.get("iss", issuers[0]) not in issuers):
        raise unknown()
    return flow | {"code": data.get("code", ""), "name": apples_name(data)[:MOST_NAME]}


def come_again(request: HttpRequest, provider: Provider) -> HttpResponse:
    """A POST from the provider's own page brings no Lax cookie along, so nobody knows here who is signed in. The GET
    that this leads to does. What the provider said waits for it in the flow's cookie, sealed, and in no address.
    """
    flow = begun_here(request, provider, request.POST)
    response = HttpResponseRedirect(request.path, status=303, headers={"Cache-Control": "no-store"})
    value = signing.dumps(keys.sealed(json.dumps(flow)), salt=RETURNED)
    response.set_cookie(FLOW, value, max_age=RETURN_SECONDS, samesite="Lax", **out_of_reach(provider))
    return response


def returned(request: HttpRequest, provider: Provider) -> dict[str, str]:
    """What `come_again` has kept, some moments ago."""
    try:
        value = signing.loads(request.COOKIES.get(FLOW, ""), salt=RETURNED, max_age=RETURN_SECONDS)
    except signing.BadSignature:
        raise unknown() from None
    flow: dict[str, str] = json.loads(keys.unsealed(value) or "{}")
    if flow.get("provider") != provider.provider:
        raise unknown()
    return flow


def unknown() -> Problem:
    return Problem(400, "unknown_login", "This was not begun in this browser, or too long ago. Begin again.")


def linking_session(link: str) -> Any:
    user_id, session_id = link.split(":")
    session = services.find_session(UserId(user_id), session_id)
    if session is None:
        raise Problem(401, "invalid_key", "You have been signed out meanwhile. Sign in again.")
    return session


def apples_name(data: QueryDict) -> str:
    """Apple tells the name at the first login only, beside the code: {"name": {"firstName": …, "lastName": …}}."""
    try:
        name = json.loads(data.get("user", "{}"))["name"]
        return " ".join(str(name[part]) for part in ("firstName", "lastName") if name.get(part))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
