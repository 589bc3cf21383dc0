"""recorder_project.wsgi.lambda_handler with whole events, as API Gateway, Function URLs and load balancers send them.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
"""

import base64
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote, urlencode

import pytest
from django.conf import settings

from accounts.authentication import COOKIE
from recorder_project.wsgi import lambda_handler
from tests.client import HOST, Client, sha256
from tests.state import kept, objects, snapshot

AUDIO = bytes(range(256)) * 8
NAME = "강의 100% (1)/끝?.wav"
MADE = "/api/v1/recordings/upload/"

Event = Callable[..., dict[str, Any]]


def carried(content: bytes | None, *, as_text: bool) -> dict[str, Any]:
    """The body's part of an event. A gateway that takes it for text replaces what is no UTF-8."""
    if content is None:
        return {"body": None, "isBase64Encoded": False}
    if as_text:
        return {"body": content.decode(errors="replace"), "isBase64Encoded": False}
    return {"body": base64.b64encode(content).decode(), "isBase64Encoded": True}


def headers_of(content: bytes | None, headers: dict[str, str]) -> dict[str, str]:
    sent = {
        "accept": "*/*",
        "host": HOST,
        "user-agent": "Recorder/1.0",
        "x-amzn-trace-id": "Root=1-5e66d96f-7491f09xmpl79d18acf3d050",
        "x-forwarded-for": "198.51.100.7",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    return sent | ({} if content is None else {"content-length": str(len(content))}) | headers


def payload_2(
    *,
    method: str = "GET",
    path: str = "/health/",
    query: str = "",
    content: bytes | None = None,
    as_text: bool = False,
    cookies: list[str] | None = None,
    domain: str = HOST,
    decoded: bool = True,
    **headers: str,
) -> dict[str, Any]:
    """API Gateway's HTTP API, payload 2.0. It decodes the path."""
    raw_path = unquote(path) if decoded else path
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": raw_path,
        "rawQueryString": query,
        "headers": headers_of(content, headers),
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "r3pmxmplak",
            "domainName": domain,
            "domainPrefix": domain.partition(".")[0],
            "http": {
                "method": method,
                "path": raw_path,
                "protocol": "HTTP/1.1",
                "sourceIp": "198.51.100.7",
                "userAgent": "Recorder/1.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "10/Mar/2026:05:16:23 +0000",
            "timeEpoch": 1773119783000,
        },
        **carried(content, as_text=as_text),
    }
    return event | ({"cookies": cookies} if cookies else {})


def function_url(**given: Any) -> dict[str, Any]:
    """Payload 2.0 with the path as it was sent."""
    return payload_2(domain="abcdefgh.lambda-url.ap-northeast-2.on.aws", decoded=False, **given)


def payload_1(
    *,
    method: str = "GET",
    path: str = "/health/",
    query: str = "",
    content: bytes | None = None,
    as_text: bool = False,
    cookies: list[str] | None = None,
    **headers: str,
) -> dict[str, Any]:
    """API Gateway's REST API. Its `path` is as it was sent, its query decoded."""
    sent = headers_of(content, headers) | ({"cookie": "; ".join(cookies)} if cookies else {})
    words = dict(pair.split("=", 1) for pair in query.split("&")) if query else None
    words = {name: unquote(word) for name, word in words.items()} if words else None
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [word] for name, word in sent.items()},
        "queryStringParameters": words,
        "multiValueQueryStringParameters": {name: [word] for name, word in words.items()} if words else None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "1234567890",
            "domainName": HOST,
            "httpMethod": method,
            "identity": {"sourceIp": "198.51.100.7", "userAgent": "Recorder/1.0"},
            "path": path,
            "protocol": "HTTP/1.1",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "requestTimeEpoch": 1773119783000,
            "resourcePath": "/{proxy+}",
            "stage": "prod",
        },
        **carried(content, as_text=as_text),
    }


def http_api_1(*, path: str = "/health/", **given: Any) -> dict[str, Any]:
    """API Gateway's HTTP API, payload 1.0: as REST APIs have it, but with a version and the path decoded."""
    return payload_1(path=path, **given) | {"version": "1.0", "path": unquote(path)}


def load_balancer(*, method: str = "GET", path: str = "/health/", query: str = "", **given: Any) -> dict[str, Any]:
    """An ALB's target group, without multi-value headers. Path and query are as they were sent."""
    words = dict(pair.split("=", 1) for pair in query.split("&")) if query else {}
    full = payload_1(method=method, path=path, **given)
    arn = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/recorder/6d0ecf831eec9f09"
    return {
        "requestContext": {"elb": {"targetGroupArn": arn}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": words,
        "headers": full["headers"],
        "body": full["body"] or "",
        "isBase64Encoded": full["isBase64Encoded"],
    }


EVENTS = [payload_2, function_url, payload_1, http_api_1, load_balancer]
every_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
BODY = f'{{"status": "ok", "version": "{settings.VERSION}"}}'
FIXED = {
    "Content-Type": "application/json",
    "X-Frame-Options": "DENY",
    "Content-Length": str(len(BODY)),
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "private, no-store",
}
CONTEXT = SimpleNamespace(aws_request_id="0b5e7f6c")


def key(client: Client) -> str:
    return f"Bearer {client.auth_key}"


def header(answer: dict[str, Any], name: str) -> str:
    if "multiValueHeaders" in answer:
        return ", ".join(answer["multiValueHeaders"].get(name, []))
    return str(answer["headers"].get(name) or answer["headers"].get(name.lower()) or "")


@every_event
def test_the_whole_answer(event: Event) -> None:
    request = event()
    answer = lambda_handler(request, CONTEXT)
    fixed = FIXED | {"X-Request-Id": request["requestContext"].get("requestId", CONTEXT.aws_request_id)}
    headers: dict[str, Any]
    if event in (payload_1, http_api_1):
        headers = {"multiValueHeaders": {name: [value] for name, value in fixed.items()}}
    elif event is load_balancer:
        headers = {"headers": fixed}
    else:
        headers = {"headers": {name.lower(): value for name, value in fixed.items()}}
    assert answer.pop("cookies", []) == []
    assert answer == {"statusCode": 200, "body": BODY, "isBase64Encoded": False, **headers}


@every_event
def test_json_in_and_out(alice: Client, event: Event) -> None:
    content = json.dumps({"name": "지우 🎧"}).encode()
    for as_text in (True, False):
        request = event(
            method="PATCH",
            path="/api/v1/accounts/me/",
            content=content,
            as_text=as_text,
            authorization=key(alice),
            **{"content-type": "application/json"},
        )
        answer = lambda_handler(request, None)
        assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False)
        assert json.loads(answer["body"])["name"] == "지우 🎧"


@every_event
def test_audio_under_a_korean_name(alice: Client, event: Event) -> None:
    request = event(
        method="PUT",
        path=f"{MADE}{quote(NAME, safe='')}/",
        query=urlencode({"sha256": sha256(AUDIO), "recorded_at": "2026-03-01T09:30:00+09:00"}),
        content=AUDIO,
        authorization=key(alice),
        **{"content-type": "audio/wav"},
    )
    answer = lambda_handler(request, None)
    assert answer["statusCode"] == 201, answer
    recording = json.loads(answer["body"])
    assert (recording["name"], recording["size"]) == (NAME, len(AUDIO))
    assert recording["recorded_at"] == "2026-03-01T00:30:00.000Z"
    assert objects() == {kept(alice.user_id, recording["id"]).key: AUDIO}


@every_event
@pytest.mark.parametrize("content", [AUDIO, b"\xf0\x9f\x98" * 100], ids=["longer as text", "just as long as text"])
def test_audio_that_the_gateway_took_for_text_is_refused(alice: Client, event: Event, content: bytes) -> None:
    before = snapshot()
    request = event(
        method="PUT",
        path=f"{MADE}x/",
        content=content,
        as_text=True,
        authorization=key(alice),
        **{"content-type": "audio/wav"},
    )
    answer = lambda_handler(request, None)
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, "incomplete_body")
    assert snapshot() == before


@every_event
def test_a_search_in_korean(alice: Client, event: Event) -> None:
    alice.record(b"one", name="강의 & 토론")
    alice.record(b"two", name="other")
    query = urlencode({"search": "의 & 토"}, quote_via=quote)
    answer = lambda_handler(event(path="/api/v1/recordings/", query=query, authorization=key(alice)), None)
    assert [row["name"] for row in json.loads(answer["body"])["results"]] == ["강의 & 토론"]


@every_event
def test_cookies_come_in_and_go_out(alice: Client, event: Event) -> None:
    cookies = ["other=1", f"{COOKIE}={alice.auth_key}"]
    answer = lambda_handler(event(path="/api/v1/accounts/me/", cookies=cookies), None)
    assert json.loads(answer["body"])["user_id"] == alice.user_id
    page = lambda_handler(event(path="/login/"), None)
    given = page["cookies"][0] if "cookies" in page else header(page, "Set-Cookie")
    assert given.strip().startswith("csrftoken=")
    assert "Secure" in given


@every_event
def test_a_download_redirects(alice: Client, event: Event) -> None:
    id = alice.record(AUDIO)["id"]
    answer = lambda_handler(event(path=f"/api/v1/recordings/{id}/download/", authorization=key(alice)), None)
    assert answer["statusCode"] == 302
    assert header(answer, "Location").startswith("https://test-recordings-bucket.s3.ap-northeast-2.amazonaws.com/")


@every_event
def test_problems_stay_text(event: Event) -> None:
    answer = lambda_handler(event(path="/api/v1/recordings/"), None)
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (401, False)
    assert header(answer, "Content-Type") == "application/problem+json"
    assert header(answer, "WWW-Authenticate") == "Bearer"
    assert json.loads(answer["body"])["code"] == "not_authenticated"


@every_event
def test_a_host_that_is_not_served(event: Event) -> None:
    answer = lambda_handler(event(path="/api/v1/recordings/", host="evil.test"), None)
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, "bad_request")


@every_event
def test_a_header_with_an_underscore_is_none_of_ours(alice: Client, event: Event, monkeypatch: Any) -> None:
    """WSGI spells `X_Forwarded_For` as it does `X-Forwarded-For`: whoever sent it could be anybody."""
    seen: list[str] = []
    monkeypatch.setattr("accounts.throttles.hit", lambda scope, who: seen.append(who))
    forged = {"x_forwarded_for": "203.0.113.99", "authorization": "Bearer nonsense"}
    assert lambda_handler(event(path="/api/v1/accounts/me/", **forged), None)["statusCode"] == 401
    assert seen == ["198.51.100.7"]
    forged = {"x_forwarded_proto": "http", "content_length": "1", "authorization": key(alice)}
    upload = {"method": "PUT", "path": f"{MADE}x/", "content": AUDIO, "content-type": "audio/wav"}
    answer = lambda_handler(event(**upload, **forged), None)
    assert (answer["statusCode"], json.loads(answer["body"])["size"]) == (201, len(AUDIO))
    assert header(answer, "Strict-Transport-Security")
