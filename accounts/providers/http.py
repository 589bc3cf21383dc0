"""One call to a login provider, and what its answer means for ours.

urllib3 is here already (botocore brings it). No redirects, no second tries, 3 s, and never a URL in a log line: the
providers want tokens in queries.
"""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from lib.deadline import begin_in_time
from lib.parsers import JsonObject
from lib.problems import Problem

log = logging.getLogger(__name__)

SECONDS = 3.0
MOST_BYTES = 1024 * 1024

pool = urllib3.PoolManager(num_pools=20, maxsize=8)


def unavailable() -> Problem:
    """The provider can't be asked: nobody is let in, and nobody is told that his login was bad."""
    detail = "The login provider does not answer as it should. Try again in a moment."
    return Problem(503, "provider_unavailable", detail, retry_after=10)


def refused(why: str) -> Problem:
    return Problem(401, "invalid_credential", f"This login is not accepted: {why}.")


def call(
    method: str,
    url: str,
    *,
    query: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    data: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, JsonObject]:
    """Status and JSON object of an answer; an empty body is {}. Raises 503 for every answer that is not one."""
    status, answer = _call(method, url, query=query, form=form, data=data, headers=headers)
    if not isinstance(answer, dict):
        log.warning("%s answers %s with something else than an object", urlsplit(url).hostname, status)
        raise unavailable()
    return status, answer


def call_for_list(method: str, url: str, *, headers: Mapping[str, str]) -> tuple[int, list[Any]]:
    """The same for a JSON array; an object, which is an error's form, is an empty one."""
    status, answer = _call(method, url, headers=headers)
    return status, answer if isinstance(answer, list) else []


def _call(
    method: str,
    url: str,
    *,
    query: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    data: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    host = urlsplit(url).hostname
    sent = {"Accept": "application/json", "User-Agent": "Recorder", **(headers or {})}
    body = None
    if form is not None:
        body, sent["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
    elif data is not None:
        body, sent["Content-Type"] = json.dumps(data), "application/json"
    try:
        status, content = _send(method, f"{url}?{urlencode(query)}" if query else url, body, sent)
        answer = json.loads(content) if content.strip() else {}
    except (urllib3.exceptions.HTTPError, OSError, ValueError, RecursionError) as error:
        log.warning("%s does not answer: %s", host, type(error).__name__)
        raise unavailable() from None  # the error's text holds the whole address
    if status >= 500 or status == 429 or 300 <= status < 400:
        log.warning("%s answers %s", host, status)
        raise unavailable()
    return status, answer


def _send(method: str, url: str, body: str | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """The whole answer, however slowly it drips in, within SECONDS for the headers and again for the body."""
    begin_in_time()
    answer = pool.request(
        method,
        url,
        body=body,
        headers=headers,
        timeout=urllib3.Timeout(total=SECONDS),
        retries=False,
        redirect=False,
        preload_content=False,
    )
    try:
        return answer.status, _read(answer, until=time.monotonic() + SECONDS)
    finally:
        answer.close()  # a function that was frozen meanwhile would find the connection dead


def _read(answer: urllib3.BaseHTTPResponse, *, until: float) -> bytes:
    content = b""
    while chunk := answer.read1(65536):
        content += chunk
        if len(content) > MOST_BYTES or time.monotonic() > until:
            raise TimeoutError
    return content
