"""Cursors: signed, and worth something only where they were given."""

import pytest
from pytest_django import Settings

from lib.paging import dump_cursor, load_cursor
from lib.problems import Problem


@pytest.mark.parametrize("position", [None, 0, "한글", ["2026-01-01T00:00:00.000Z", "0" * 32], [1, 2]])
def test_gives_back_what_was_put_in(position: object) -> None:
    assert load_cursor(dump_cursor(position, "a", "b"), "a", "b") == position


@pytest.mark.parametrize("binding", [(), ("a",), ("b", "a"), ("a", "b", ""), ("a", "c"), ("A", "b")])
def test_another_binding_refuses_it(binding: tuple[str, ...]) -> None:
    cursor = dump_cursor(1, "a", "b")
    with pytest.raises(Problem) as caught:
        load_cursor(cursor, *binding)
    assert caught.value.status_code == 400
    assert caught.value.errors == [
        {"pointer": "/cursor", "code": "invalid_cursor", "detail": "This cursor does not belong to this list."}
    ]


def test_words_of_a_binding_do_not_run_together() -> None:
    """A search for "x|y" is not the tag "x" with a search for "y"."""
    cursor = dump_cursor(1, "user", "library", "x|y", "")
    with pytest.raises(Problem):
        load_cursor(cursor, "user", "library", "x", "y|")


@pytest.mark.parametrize("cursor", ["", "x", ":", "a:b:c", "é", "\ud800", ".eJw:1:x", "x" * 100_000])
def test_garbage(cursor: str) -> None:
    with pytest.raises(Problem):
        load_cursor(cursor, "a")


def test_another_key_signs_nothing_here(settings: Settings) -> None:
    cursor = dump_cursor(1, "a")
    settings.SECRET_KEY = "another" * 8
    with pytest.raises(Problem):
        load_cursor(cursor, "a")
    settings.SECRET_KEY_FALLBACKS = ["tests-only-" + "0" * 32]
    assert load_cursor(cursor, "a") == 1
