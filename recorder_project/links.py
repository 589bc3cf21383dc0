"""Which addresses may be used."""

from urllib.parse import urlsplit

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
