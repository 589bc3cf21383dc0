"""A real browser against hostile words, hostile files and hostile sites: nothing of them runs, nothing gets out."""

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect

from tests.browser.conftest import ROOT, Server, until

SPEECH = (ROOT / "tests" / "audio" / "speech.m4a").read_bytes()
MARKUP = "<img src=x onerror=alert(1)>"
NAMES = [
    MARKUP,
    "\"'></title><script>alert(2)</script>",
    "javascript:alert(3)",
    "talk \u202egpj.exe",
    "{{7*7}} ${7*7} <%= 7*7 %>",
]
HTML = b"<!doctype html><title>x</title><script>fetch('/ran')</script>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>fetch('/ran')</script></svg>"


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(locale="en-US")
    yield context
    context.close()


@pytest.fixture
def alarms(context: BrowserContext) -> Iterator[list[str]]:
    """What ran that should not have: dialogs, and calls that only a hostile script makes."""
    found: list[str] = []

    def note(dialog: Dialog) -> None:
        found.append(dialog.message)
        dialog.dismiss()

    context.on("dialog", note)
    context.on("request", lambda request: found.append(request.url) if request.url.endswith("/ran") else None)
    yield found
    assert found == []


@pytest.fixture
def page(context: BrowserContext, server: Server, alarms: list[str]) -> Page:
    """Signed in as a guest."""
    page = context.new_page()
    page.goto(f"{server.url}/login/")
    page.get_by_role("button", name="Continue as a guest").click()
    expect(page.locator("body")).to_have_attribute("data-account", re.compile("[0-9a-f]{32}"))
    return page


def call(server: Server, page: Page, method: str, path: str, **given: Any) -> Any:
    """As an app of the same account."""
    (key,) = [cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "recorder"]
    headers = {"Authorization": f"Bearer {key}", **given.pop("headers", {})}
    answer = httpx.request(method, f"{server.api}{path}", headers=headers, timeout=20, **given)
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def upload(server: Server, page: Page, name: str, content: bytes, kind: str = "audio/mp4") -> str:
    path = f"recordings/upload/{quote(name, safe='')}/"
    id: str = call(server, page, "PUT", path, content=content, headers={"Content-Type": kind})["id"]
    return id


def shown_as_text(page: Page, name: str) -> None:
    """It is there to be read, and has made no element of its own."""
    text = page.evaluate("""() => [document.title, document.body.innerText,
        ...[...document.querySelectorAll("input, textarea")].map(each => each.value)].join("\\n")""")
    assert name in text
    for wild in ("img[src='x']", "a[href^='javascript:' i]", "[onerror]"):
        assert page.locator(wild).count() == 0
    assert page.locator("script:not([src]):not([type='application/json'])").count() == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_text_wherever_it_is_shown(server: Server, page: Page, name: str) -> None:
    id = upload(server, page, name, SPEECH + name.encode())
    call(server, page, "PATCH", f"recordings/{id}/", json={"tags": [name[:50]], "notes": f"{name}\n{name}"})
    call(server, page, "PATCH", f"recordings/{id}/", json={"markers": [{"at": 1, "label": name}]})
    call(server, page, "PATCH", "accounts/me/", json={"name": name})
    page.goto(server.url)
    expect(page.locator(".item .name")).to_have_text(name)
    shown_as_text(page, name)
    page.locator(".item").click()
    expect(page.locator("input.title")).to_have_value(name)
    shown_as_text(page, name)
    for path in (f"recordings/{id}/", "recordings/", "accounts/me/", f"recordings/{id}/download/?redirect=false"):
        page.goto(f"{server.api}{path}")
        expect(page.locator(".response-info")).to_be_visible()
        assert page.locator("img[src='x'], [onerror]").count() == 0
    page.goto(call(server, page, "POST", f"recordings/{id}/shares/", json={})["url"])
    expect(page.locator("h2.name")).to_have_text(name)
    expect(page.locator("h2.name")).to_have_attribute("dir", "auto")  # its order ends with it
    shown_as_text(page, name)
    with page.expect_download() as saving:
        page.get_by_role("link", name="Download").click()
    saved = saving.value.suggested_filename
    assert not set("/\\\u202e") & set(saved)
    assert not saved.lower().endswith(("exe", "html", "htm", "svg"))


def test_a_hostile_device_is_text(server: Server, page: Page) -> None:
    (key,) = [cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "recorder"]
    login = {"provider": "guest", "device_name": MARKUP}
    guest = httpx.post(f"{server.api}accounts/login/", json=login, timeout=20).json()
    assert key != guest["auth_key"]
    page.context.add_cookies([{"name": "recorder", "value": guest["auth_key"], "url": server.url}])
    page.goto("about:blank")  # an open page would see the other account's cookie, and leave by itself
    page.goto(f"{server.url}/#/account")
    expect(page.locator(".devices .name")).to_have_text(MARKUP)
    shown_as_text(page, MARKUP)
    page.goto(f"{server.api}accounts/sessions/")
    expect(page.locator(".response-info")).to_contain_text(MARKUP)
    assert page.locator("img[src='x']").count() == 0


@pytest.mark.parametrize("kind", ["audio/wav", "audio/html", "video/webm"])
@pytest.mark.parametrize("content", [HTML, SVG], ids=["html", "svg"])
def test_what_is_stored_runs_nowhere(server: Server, page: Page, alarms: list[str], kind: str, content: bytes) -> None:
    """Opened at S3's own address, where no header but the type could be set."""
    id = upload(server, page, "page.html", content, kind)
    url = call(server, page, "GET", f"recordings/{id}/download/?disposition=inline&redirect=false")["url"]
    page.goto(server.url)
    page.evaluate("url => { open(url, 'opened'); }", url)  # shown or saved: what it does is the question
    page.wait_for_timeout(700)
    assert alarms == []


def test_the_alarm_rings_for_what_would_run(page: Page, alarms: list[str]) -> None:
    """The same bytes, were they called a page."""
    page.context.route("https://s3.test/**", lambda route: route.fulfill(body=HTML, content_type="text/html"))
    page.goto("https://s3.test/file")
    until(page, lambda: bool(alarms))
    alarms.clear()


@pytest.mark.parametrize("path", ["/", "/login/", "/api/v1/docs/", "/api/v1/recordings/", "/nothing/"])
def test_markup_that_got_in_would_not_run(server: Server, page: Page, path: str) -> None:
    page.goto(f"{server.url}{path}")
    page.evaluate("""() => {
        const place = document.createElement("div");
        place.innerHTML = "<img src=x onerror='alert(1)'><a id=link href='javascript:alert(2)'>x</a>";
        const script = document.createElement("script");
        script.textContent = "alert(3)";
        document.body.append(place, script);
        document.getElementById("link").click();
    }""")
    page.wait_for_timeout(300)


# Other sites.


Evil = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Evil]:
    """Shows a page of another origin in the same browser. Its port alone differs, so that SameSite is no help; and it
    is on loopback as Recorder is, so that the browser's own bar between networks is none either.
    """
    content = [""]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content[0].encode())

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as evil:
        threading.Thread(target=evil.serve_forever, daemon=True).start()

        def show(page: Page, html: str) -> None:
            content[0] = html
            page.goto(f"http://127.0.0.1:{evil.server_port}/evil")

        yield show
        evil.shutdown()


@pytest.mark.parametrize("path", ["/", "/login/", "/api/v1/docs/", "/api/v1/recordings/", "/nothing/"])
def test_no_page_is_shown_in_a_frame(server: Server, page: Page, elsewhere: Evil, path: str) -> None:
    elsewhere(page, f"<iframe src='{server.url}{path}'></iframe>")
    (frame,) = page.frames[1:]
    until(page, lambda: frame.url not in ("", "about:blank"))
    assert frame.url.startswith("chrome-error:")


def test_another_site_reads_and_changes_nothing(server: Server, page: Page, elsewhere: Evil) -> None:
    upload(server, page, "mine.m4a", SPEECH)
    csrf = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "csrftoken")
    elsewhere(page, "<title>evil</title>")
    tries = page.evaluate(
        """async ([url, csrf]) => {
            const tries = [
                ["accounts/me/", {}],
                ["accounts/sessions/?scope=others", { method: "DELETE", headers: { "X-CSRFToken": csrf } }],
                ["accounts/logout/", { method: "POST", mode: "no-cors" }],
                ["recordings/?shelf=trash", { method: "DELETE" }],
                ["accounts/me/", { method: "PATCH", headers: { "Content-Type": "application/json" }, body: "{}" }],
                ["accounts/logout/", { method: "POST", body: new URLSearchParams({ csrfmiddlewaretoken: csrf }) }],
            ];
            const told = [];
            for (const [path, how] of tries) {
                const asked = fetch(url + path, { credentials: "include", ...how });
                told.push(await asked.then((answer) => answer.type + answer.status, () => "refused"));
            }
            return told;
        }""",
        [server.api, csrf],
    )
    assert set(tries) <= {"refused", "opaque0"}
    for path in ("/logout/", "/api/v1/accounts/logout/"):
        elsewhere(page, "<title>evil</title>")
        page.evaluate(
            """([url, csrf]) => {
                const form = document.createElement("form");
                form.method = "post"; form.action = url;
                const field = document.createElement("input");
                field.name = "csrfmiddlewaretoken"; field.value = csrf;
                form.append(field); document.body.append(form); form.submit();
            }""",
            [f"{server.url}{path}", csrf],
        )
        page.wait_for_url(f"{server.url}{path}")
    page.goto(server.url)
    expect(page.locator(".item .name")).to_have_text("mine.m4a")


def test_the_service_worker_keeps_the_page_and_no_answers(server: Server, page: Page) -> None:
    upload(server, page, "private.m4a", SPEECH)
    page.goto(server.url)
    scope = page.evaluate("async () => (await navigator.serviceWorker.ready).scope")
    assert scope == f"{server.url}/"
    page.goto(f"{server.api}recordings/")
    page.goto(server.url)
    expect(page.locator(".item .name")).to_have_text("private.m4a")
    kept = page.evaluate(
        """async () => {
            const found = [];
            for (const name of await caches.keys())
                for (const request of await (await caches.open(name)).keys()) {
                    const answer = await (await caches.open(name)).match(request);
                    found.push([new URL(request.url).pathname, await answer.text()]);
                }
            return found;
        }"""
    )
    assert kept
    for path, text in kept:
        assert path == "/" or path.startswith("/static/web/")
        assert "private.m4a" not in text
