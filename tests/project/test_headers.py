"""Headers that protect people: on pages, on answers of the API, and on their files."""

import re

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import RequestFactory

from lib.headers import Headers
from tests.client import Client

BUCKET = f"https://{settings.RECORDINGS_BUCKET}.s3.{settings.AWS_REGION}.amazonaws.com"


def policy(header: str) -> dict[str, list[str]]:
    return {name: sources for name, *sources in (part.split() for part in header.split(";"))}


@pytest.mark.parametrize(
    "path", ["/", "/login/", "/nothing/", "/health/", "recordings/", "schema/", "docs/", "nothing"]
)
def test_every_answer_is_https_only_typed_and_in_no_frame(nobody: Client, path: str) -> None:
    headers = nobody.get(path).headers
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert policy(headers["Content-Security-Policy"])["default-src"] == ["'none'"]
    assert policy(headers["Content-Security-Policy"])["frame-ancestors"] == ["'none'"]


@pytest.mark.parametrize("path", ["/", "/login/"])
def test_pages_run_this_servers_scripts_alone_and_reach_the_bucket(nobody: Client, path: str) -> None:
    answer = nobody.get(path)
    allowed = policy(answer.headers["Content-Security-Policy"])
    assert allowed["script-src"] == allowed["style-src"] == ["'self'"]
    assert allowed["connect-src"] == ["'self'", BUCKET]
    assert allowed["media-src"] == ["'self'", "blob:", BUCKET]
    assert allowed["base-uri"] == ["'none'"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    page = answer.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", page)


PAGES = ["/", "/login/", "/nothing/", "/login/nothing/", f"/s/{'x' * 43}", "/health/?deep=1"]
PAGES += ["recordings/", "recordings/nothing/", "recordings/?limit=0", "accounts/me/", "accounts/providers/", "docs/"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_answer_allows_anything_inline(alice: Client, path: str, method: str) -> None:
    """Pages that Django, DRF and Swagger make too, and those that say what went wrong."""
    for client in (alice, Client(), Client("nonsense")):
        answer = client.call(method, path, accept="text/html")
        allowed = policy(answer.headers["Content-Security-Policy"])
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert allowed["default-src"] == allowed["frame-ancestors"] == ["'none'"]
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            assert allowed["script-src"] == allowed["style-src"] == ["'self'"]
            assert allowed["base-uri"] == ["'none'"]


def test_no_page_runs_inline_scripts(alice: Client) -> None:
    """DRF's browsable API and Swagger's page too. What is of type application/json does not run."""
    for path in ("recordings/", "docs/"):
        answer = alice.get(path, accept="text/html")
        assert "<style" not in answer.content.decode()
        scripts = re.findall(r"<script([^>]*)>", answer.content.decode())
        assert scripts
        assert all("src=" in each or "application/json" in each for each in scripts)


@pytest.mark.parametrize("kind", ["text/javascript", "text/html; charset=utf-8"])
def test_a_script_may_reach_what_its_page_may(kind: str) -> None:
    """A service worker's policy comes with its script."""
    answer = Headers(lambda request: HttpResponse(content_type=kind))(RequestFactory().get("/sw.js"))
    assert policy(answer["Content-Security-Policy"])["connect-src"] == ["'self'", BUCKET]


def test_the_microphone_is_this_sites_own(nobody: Client) -> None:
    assert nobody.get("/").headers["Permissions-Policy"] == "microphone=(self), camera=(), geolocation=()"


def test_private_answers_are_not_cached(alice: Client) -> None:
    id = alice.upload(b"x" * 100).json["id"]
    for path in ("accounts/me/", "recordings/changes/", "accounts/sessions/", "recordings/nothing/"):
        assert alice.get(path).headers["Cache-Control"] == "private, no-store"
    for path in ("recordings/", f"recordings/{id}/"):
        assert alice.get(path).headers["Cache-Control"] == "private, no-cache"
    assert "no-store" in alice.get(f"recordings/{id}/download/").headers["Cache-Control"]
    assert "no-store" in Client().post("accounts/login/", {"provider": "guest"}).headers["Cache-Control"]


def test_apps_on_named_origins_may_call_and_others_may_not(alice: Client) -> None:
    answer = alice.get("recordings/", origin="https://app.test")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.test"
    assert "x-request-id" in answer.headers["Access-Control-Expose-Headers"].lower()
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Access-Control-Allow-Origin" not in alice.get("recordings/", origin="https://evil.test").headers
    for refused in (
        Client().call("DELETE", "schema/", origin="https://app.test"),
        alice.get("recordings/?" + "x=1&" * 1001, origin="https://app.test"),
    ):
        assert refused.json["request_id"]
        assert refused.headers["Access-Control-Allow-Origin"] == "https://app.test"  # or it could not read why
        assert refused.headers["X-Content-Type-Options"] == "nosniff"
        assert "max-age" in refused.headers["Strict-Transport-Security"]
    preflight = alice.call("OPTIONS", "recordings/", origin="https://app.test", access_control_request_method="POST")
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.test"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
