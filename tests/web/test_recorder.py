"""The recorder page as the server gives it. tests/browser tries what it does."""

import re
from pathlib import Path

import pytest

from tests.client import Answer, Client
from tests.web.test_pages import Browser
from web import views


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(views, "BUILT", tmp_path)
    (tmp_path / "main.js").write_text("// the page")
    (tmp_path / "sw.js").write_text("// the worker")
    return tmp_path


@pytest.fixture
def guest() -> Browser:
    browser = Browser()
    browser.submit("/login/", provider="guest")
    return browser


def test_it_is_there_for_who_is_signed_in(guest: Browser, built: Path) -> None:
    page = guest.open("/")
    text = page.content.decode()
    assert "/static/web/app/main.js" in text
    assert 'data-account="' in text
    assert "csrftoken" in guest.http.cookies
    assert "/static/web/app/main.js" not in Browser().open("/").content.decode()


def test_nothing_of_it_is_inline(guest: Browser, built: Path) -> None:
    page = guest.open("/")
    text = page.content.decode()
    policy = page.headers["Content-Security-Policy"]
    assert "<style" not in text
    assert " style=" not in text
    assert " on" not in text.partition("<body")[2].replace(" on ", "")
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy


def test_without_it_there_is_a_plain_page(guest: Browser, built: Path) -> None:
    (built / "main.js").unlink()
    assert "You are signed in." in guest.open("/").content.decode()


def test_the_service_worker_is_at_the_root(nobody: Client, built: Path) -> None:
    answer: Answer = nobody.get("/sw.js")
    assert (answer.status, answer.content) == (200, b"// the worker")
    assert answer.headers["Content-Type"] == "text/javascript"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
    (built / "sw.js").unlink()
    assert nobody.get("/sw.js").status == 404


def test_every_word_is_there_in_both_languages() -> None:
    source = Path(views.__file__).parent / "src"
    text = (source / "words.js").read_text()
    english, _, korean = text.partition("const KO = {")
    korean = korean.partition("export const languages")[0]
    known = [
        {name: set(re.findall(r"\{\d\}", text)) for name, text in re.findall(r"[\s{](\w+):\s+\"([^\"]*)\"", words)}
        for words in (english, korean)
    ]
    used = {name for path in source.glob("*.js") for name in re.findall(r"\bt\(\s*\"(\w+)\"", path.read_text())}
    assert len(used) > 90
    assert known[0] == known[1]  # the same words, with the same places for values
    assert used <= set(known[0])
