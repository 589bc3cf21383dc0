"""Headers that every answer carries, besides those that Django's SecurityMiddleware sets (HSTS, nosniff, referrer).

Pages run the scripts and styles of this server and nothing else: no inline ones, so what somebody manages to get into
a page can't run. They reach this server and the bucket, which presigned URLs name.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

PAGE = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        f"connect-src 'self' {settings.S3_ORIGIN}",
        f"media-src 'self' blob: {settings.S3_ORIGIN}",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
# Linking a login is a form whose answer goes on to the provider, which browsers hold to be part of the form.
LOGIN_PAGE = PAGE.replace("form-action 'self'", f"form-action 'self' https:{' http:' if settings.LOCAL else ''}")
SECRET_PATHS = ("/s/", "/feed/")  # whoever knows such an address may see what is there
DATA = "default-src 'none'; frame-ancestors 'none'"


class Headers:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self.get_response(request)
        kind = answer.get("Content-Type", "")
        is_page = kind.startswith("text/html")
        # A service worker may do what the answer that brought it says, not what its page says.
        runs = is_page or kind.startswith("text/javascript")
        answer.setdefault("Content-Security-Policy", policy(request.path_info) if runs else DATA)
        if is_page:
            answer.setdefault("Permissions-Policy", "microphone=(self), camera=(), geolocation=()")
        if request.path_info.startswith(SECRET_PATHS):
            answer["X-Robots-Tag"], answer["Referrer-Policy"] = "noindex", "no-referrer"
        if not request.path_info.startswith(settings.STATIC_URL):
            answer.setdefault("Cache-Control", "private, no-store")
        return answer


def policy(path: str) -> str:
    """The Content-Security-Policy of the page at `path`. DRF's and Swagger's have no other: web/static/web/api.css."""
    return LOGIN_PAGE if path.startswith("/login/") else PAGE
