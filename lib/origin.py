"""Which addresses may be used, and under which one this server is reached."""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_secure(url: str, *, local: bool) -> bool:
    """Whether nobody on the way can read or change what goes there: https, or under LOCAL this very machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (local and parts.scheme == "http" and parts.hostname in LOOPBACK)
    )


def origin(request: HttpRequest) -> str:
    """Where this server is reached. A developer's has more names than the one that the settings know."""
    return request.build_absolute_uri("/").rstrip("/") if settings.LOCAL else str(settings.PUBLIC_URL)
