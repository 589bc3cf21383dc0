"""`make audit` tells a fault from a clean bill, and neither from not having been able to ask."""

import json
import sys
from pathlib import Path

import pytest

from tests.audit import ask, node_faults, python_faults, report

GOOD = {"name": "django", "version": "5.2.19", "vulns": []}
BAD = {"name": "django", "version": "5.2.1", "vulns": [{"id": "CVE-2026-1", "fix_versions": ["5.2.2"]}]}
UNKNOWN = {"name": "av", "skip_reason": "Dependency not found"}


def test_pip_audits_words() -> None:
    assert python_faults({"dependencies": [GOOD]}) == ([], [])
    assert python_faults({"dependencies": [GOOD, BAD]}) == (["django 5.2.1: CVE-2026-1, mended in ['5.2.2']"], [])
    assert python_faults({"dependencies": [UNKNOWN, BAD]})[1] == ["av"]


def test_npms_words() -> None:
    found = {"esbuild": {"name": "esbuild", "range": "<=0.24.2", "severity": "moderate"}}
    assert node_faults({"vulnerabilities": {}}) == ([], [])
    assert node_faults({"vulnerabilities": found}) == (["esbuild <=0.24.2: moderate"], [])
    assert node_faults({"message": "Method Not Allowed"}) == ([], ["everything"])


@pytest.mark.parametrize("printed", ["", "no JSON", "[]"])
def test_a_program_that_prints_something_else_has_told_nothing(tmp_path: Path, printed: str) -> None:
    assert ask([sys.executable, "-c", f"print({printed!r})"], tmp_path) == {}
    assert ask(["no-such-program"], tmp_path) == {}
    told: dict[str, list[str]] = {"dependencies": []}
    assert ask([sys.executable, "-c", f"print({json.dumps(told)!r}); raise SystemExit(1)"], tmp_path) == told


def test_what_could_not_be_asked_is_said_and_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert not report("pins", [], ["av"])
    assert "skipped" in capsys.readouterr().out
    assert report("pins", ["a fault"], ["av"])
    assert not report("pins", [], [])
    assert capsys.readouterr().out.endswith("pins: no known fault\n")
