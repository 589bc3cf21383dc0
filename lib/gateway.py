"""Lambda events as apig-wsgi and WSGI can take them, whatever a caller has written into the request.

A text of WSGI's stands for bytes (PEP 3333); a gateway hands over what it has made of them. What stands for no bytes
at all is refused with 400 and never guessed at. An event that is no request raises, so that the alarms see it.
"""

import binascii
import re
import string
from typing import Any
from urllib.parse import quote, urlencode

METHOD = re.compile(r"[A-Za-z-]{1,32}", re.ASCII)
# RFC 9110's token without "_": X_Forwarded_For would pass for X-Forwarded-For, which is why other servers drop it too.
NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]+", re.ASCII)
Event = dict[str, Any]  # of Lambda: a request, or whatever else calls, before anybody has looked at it
Headers = dict[str, str | list[str]]
QUERIES = ("queryStringParameters", "multiValueQueryStringParameters")


def legible(event: Event) -> Event:
    """The event for apig-wsgi. A request that can't be read becomes one that is empty, and `refused`."""
    event = event | {name: _headers(event[name]) for name in ("headers", "multiValueHeaders") if event.get(name)}
    event |= {"cookies": _bytes(event["cookies"])} if "cookies" in event else {}
    try:
        _check_method(event)
        _check_body(event)
        return event | _address(event)
    except ValueError:  # binascii.Error and UnicodeError are some
        return _refused(event)


def is_refused(event: Event | None) -> bool:
    return bool(event and event.get("refused"))


def _headers(headers: Headers) -> Headers:
    return {name: _bytes(value) for name, value in headers.items() if NAME.fullmatch(name)}


def _bytes(value: Any) -> Any:
    """The bytes of a header's value, or of each of several; a lone surrogate becomes a question mark."""
    if isinstance(value, list):
        return [_bytes(each) for each in value]
    return value if value.isascii() else value.encode(errors="replace").decode("latin-1")


def _check_method(event: Event) -> None:
    method = event["requestContext"]["http"]["method"] if "rawPath" in event else event["httpMethod"]
    if not METHOD.fullmatch(method):
        raise ValueError(method)


def _check_body(event: Event) -> None:
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        binascii.a2b_base64(body, strict_mode=True)
    else:
        body.encode()


def _address(event: Event) -> dict[str, str]:
    """Path and query. HTTP APIs hand over the path decoded, in both payloads; everybody else as it was sent, which is
    what WSGI needs. They say a `version`, as Function URLs do, whose events are otherwise the same.
    """
    domain = str(event.get("requestContext", {}).get("domainName", ""))
    decoded = "version" in event and ".lambda-url." not in domain
    name = "rawPath" if "rawPath" in event else "path"
    address = {name: quote(event[name], safe="/" if decoded else string.printable)}
    if "rawQueryString" in event:
        return address | {"rawQueryString": quote(event["rawQueryString"], safe=string.printable)}
    for query in QUERIES:
        urlencode(event.get(query) or {}, doseq=True)  # as apig-wsgi will
    return address


def _refused(event: Event) -> Event:
    """What is left of a request that can't be read: who sent it, and a path where it gets its answer."""
    left = {"body": None, "isBase64Encoded": False, "refused": True}
    if "rawPath" not in event:
        return event | left | {"path": "/api/", "httpMethod": "GET"} | dict.fromkeys(event.keys() & QUERIES)
    context = event["requestContext"] | {"http": event["requestContext"]["http"] | {"method": "GET"}}
    return event | left | {"rawPath": "/api/", "rawQueryString": "", "requestContext": context}
