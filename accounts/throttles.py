"""How often one may: fixed windows, counted in DynamoDB, one UpdateItem a hit.

Where DynamoDB does not answer, the caller gets its 503: nothing that is throttled could be done without it.
"""

import hmac
import ipaddress
import time
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from accounts.models import Guesses, Throttle
from lib.problems import Problem

FREE, LONGEST = 10, 300  # wrong guesses of one address without a pause; seconds of a pause
DAY = 86400

# scope: (how often, within how many seconds)
LIMITS = {
    "login": (20, 60),  # an address
    "identity": (10, 60),  # an identity
    "guest": (settings.GUESTS_PER_ADDRESS, 3600),  # an address
    "guests": (settings.GUESTS_PER_NETWORK, 3600),  # 256 IPv4 addresses, or 48 bits of IPv6
    "all_guests": (settings.GUESTS_PER_HOUR, 3600),  # everybody
    "key": (60, 60),  # bad keys, an address
    "link": (10, 60),  # an account
    "close": (5, 60),  # an account
    "share": (3000, 60),  # an address: a school is one, and each of its players asks for many ranges
    "feed": (300, 60),  # an address: an app that gets a whole feed asks for each recording
}


def hit(scope: str, who: str) -> None:
    """Count one more of `scope` for `who`. Raises 429 when that is too many in this window."""
    if not settings.THROTTLE:
        return
    most, seconds = LIMITS[scope]
    moment = time.time()
    window = int(moment // seconds)
    ends_at = (window + 1) * seconds
    if Throttle.hit(scope, who, window, expires_at=ends_at + 60) > most:
        detail = f"At most {most} of these in {seconds} seconds. Wait as long as Retry-After says."
        raise Problem(429, "too_many_requests", detail, retry_after=max(1, int(ends_at - moment) + 1))


def hit_guest(whose: str) -> None:
    """Count one more guest for an address, then for what it belongs to, so that what one address is refused takes
    nothing away from the others. Raises 429.
    """
    hit("guest", whose)
    hit("guests", network(whose, bits=24))
    hit("all_guests", "")


def guess(what: str, request: HttpRequest) -> None:
    """Take one guess at `what`, a password. Raises 429 while the address that it comes from has to wait.

    Only wrong guesses count: `guessed` takes back what was right. After FREE of them each makes the address wait twice
    as long as the one before, for LONGEST at most, and nobody else: what strangers do keeps out nobody who knows it.
    A day later all is forgotten.
    """
    if not settings.THROTTLE:
        return
    moment = int(time.time())
    who, ends_at = _guesser(what, request, moment)
    if wait := Guesses.take(who, moment=moment, expires_at=ends_at + 60, pause=_pause):
        raise Problem(429, "too_many_requests", f"Wait {wait} seconds before the next guess.", retry_after=wait)


def guessed(what: str, request: HttpRequest) -> None:
    """The last guess of this address was right."""
    if settings.THROTTLE:
        Guesses.forget(_guesser(what, request, int(time.time()))[0])


def _guesser(what: str, request: HttpRequest, moment: int) -> tuple[str, int]:
    """Who guesses what on this day, and when the day ends. An IPv6 site, which has 65,536 networks, is one."""
    day = moment // DAY
    return f"{what}:{network(address(request))}:{day}", (day + 1) * DAY


def _pause(wrong: int) -> int:
    """Seconds to wait after so many wrong guesses."""
    return min(LONGEST, 2 ** min(wrong - FREE, 10)) if wrong > FREE else 0


def address(request: HttpRequest) -> str:
    """Who calls, as far as that can't be forged: an IPv4 address, or an IPv6 network of 64 bits.

    Each server on the way appends the address that it was called from, so what counts is counted from the right. An
    entry counts only where one of ours wrote it: TRUSTED_PROXIES of them have where the request carries our secret,
    and each of PROXY_NETWORKS has. Whoever calls without them is who it is, whatever it wrote. REMOTE_ADDR is no help
    under Lambda: apig-wsgi takes it from the first entry of X-Forwarded-For, which the caller writes.
    """
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    context = request.META.get("apig_wsgi.request_context")
    if context is None:
        hops.append(request.META.get("REMOTE_ADDR", ""))
    else:
        source = _source(context)
        if source and hops[-1:] != [source]:
            hops.append(source)
    trusted = settings.TRUSTED_PROXIES if settings.TRUST_ANY_PROXY or _vouched(request) else 0
    if 0 < trusted < len(hops):
        return _network(hops[-1 - trusted])
    while len(hops) > 1 and _is_proxy(hops[-1]):
        hops.pop()
    return _network(hops[-1] if hops else "")


def _vouched(request: HttpRequest) -> bool:
    """Whether the request came by an edge of the operator's, which adds the secret."""
    given = request.headers.get("X-Proxy-Secret", "").encode()
    return any(hmac.compare_digest(given, secret.encode()) for secret in settings.PROXY_SECRETS)


def _is_proxy(hop: str) -> bool:
    try:
        ip = _ip(hop)
    except ValueError:
        return False
    return any(ip.version == network.version and ip in network for network in settings.PROXY_NETWORKS)


def _ip(hop: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Raises ValueError for what is none. An IPv4 address stays one in IPv6's clothes."""
    ip = ipaddress.ip_address(hop.partition("%")[0])
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip


def network(whose: str, *, bits: int = 32) -> str:
    """The site that an `address` belongs to: 48 bits of IPv6 (https://www.ripe.net/publications/docs/ripe-690), or so
    many `bits` of IPv4.
    """
    if whose == "unknown":
        return whose
    wide = whose.replace("/64", "/48") if ":" in whose else f"{whose}/{bits}"
    return str(ipaddress.ip_network(wide, strict=False))


def _source(context: Any) -> str:
    """The address in a Lambda event: payload 2.0, then 1.0. A load balancer has none but what it appended."""
    return str(context.get("http", {}).get("sourceIp") or context.get("identity", {}).get("sourceIp") or "")


def _network(hop: str) -> str:
    try:
        ip = _ip(hop)
    except ValueError:
        return "unknown"
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))
