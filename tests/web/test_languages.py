"""English and Korean: which one a page speaks, that the API speaks English, and that nothing is left untranslated."""

import re
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils.translation.template import templatize

from tests.catalogue import LOCALE, compiled, messages
from tests.client import Answer, Client

ROOT = Path(__file__).resolve().parents[2]
KOREAN = "ko-KR, en;q=0.8"
# as Django writes what a template says for xgettext
TEXT = re.compile(r"""gettext\((u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))\)""")


def catalogue() -> dict[str, str]:
    return messages((LOCALE / "ko/LC_MESSAGES/django.po").read_text())


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("ko", "ko"),
        ("KO-kr", "ko"),
        ("ko-KP, en;q=0.9", "ko"),
        ("en-GB, ko;q=0.9", "en"),
        ("fr, ko;q=0.5, en;q=0.1", "ko"),
        ("en;q=0.1, ko;q=0.2", "ko"),
        ("ko;q=0, en", "en"),
        ("de", "en"),
        ("*", "en"),
        ("ko-x-y-z-1-2-3", "ko"),
        ("ko;q=x", "en"),
        ("k" * 5000, "en"),
        ("ko\x80", "en"),
    ],
)
def test_the_language_that_the_browser_likes_best(nobody: Client, accepted: str, language: str) -> None:
    for path, status in (("/", 200), ("/login/", 200), ("/login/x/", 404), ("/login/x/callback/", 404), ("/s/x", 404)):
        answer = nobody.get(path, accept="text/html", accept_language=accepted)
        assert answer.status == status
        assert f'<html lang="{language}">' in answer.content.decode()
        assert answer.headers["Content-Language"] == language
        assert "Accept-Language" in answer.headers["Vary"]


def test_the_api_speaks_english(alice: Client, nobody: Client) -> None:
    """Whoever asks in Korean too, and right after the same thread has served a page in Korean."""
    asks: tuple[Callable[..., Answer], ...] = (
        lambda **more: alice.post("recordings/", {"name": 5}, **more),
        lambda **more: alice.patch("recordings/", {}, **more),
        lambda **more: nobody.get("recordings/", **more),
        lambda **more: nobody.get("/s/x/nothing", **more),
    )
    plain = [(answer.status, *said(answer.content)) for answer in (ask() for ask in asks)]
    for ask, expected in zip(asks, plain, strict=True):
        assert nobody.get("/login/", accept="text/html", accept_language="ko").headers["Content-Language"] == "ko"
        answer = ask(accept_language=KOREAN)
        assert (answer.status, *said(answer.content)) == expected
        assert "Content-Language" not in answer.headers
        assert "Accept-Language" not in answer.headers.get("Vary", "")


def said(content: bytes) -> list[str]:
    """Without what is another at each request."""
    return re.findall(rb'"(?:title|detail)":"[^"]*"|<h1>.*', content)


def test_all_words_are_there_in_korean() -> None:
    """Those of templates, with the same places for values, and no others but sentences for codes of problems."""
    used = set()
    for path in (ROOT / "web/templates/web").glob("*.html"):
        used |= {literal_eval(text) for text in TEXT.findall(templatize(path.read_text()))}
    known = catalogue()
    assert known.pop("").startswith("Language: ko\n")
    assert {each for each in known if "\4" not in each} == used
    for id, text in known.items():
        assert text
        assert sorted(re.findall(r"%\(\w+\)s", id)) == sorted(re.findall(r"%\(\w+\)s", text)), id


def test_gettext_reads_what_people_write() -> None:
    for path in LOCALE.rglob("*.po"):
        made = path.with_suffix(".mo").read_bytes()
        assert made == compiled(messages(path.read_text())), "run: python -m tests.catalogue"
