"""One version of the product, in settings.py, and whoever else says it says the same."""

import re
import tomllib
from pathlib import Path

from django.conf import settings

from tests.client import Client

ROOT = Path(__file__).parents[2]
FORM = re.compile(r"(\d+)\.(\d+)\.(\d+)(-dev)?")


def numbers(version: str) -> tuple[int, ...]:
    found = FORM.fullmatch(version)
    assert found, version
    return tuple(int(each) for each in found.group(1, 2, 3))


def test_health_and_the_api_document_say_the_version(nobody: Client) -> None:
    document = nobody.get("schema/", accept="application/vnd.oai.openapi+json").json
    assert nobody.get("/health/").json["version"] == document["info"]["version"] == settings.VERSION
    assert f"\n  version: {settings.VERSION}\n" in (ROOT / "docs/openapi.yaml").read_text()


def test_nobody_else_has_a_version_of_its_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    assert project["dynamic"] == ["version"]


def test_the_changelog_has_a_section_for_it() -> None:
    """Newest first. What is being worked on has none but `Unreleased`, and is newer than all that have."""
    titles = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] == "Unreleased"
    released = [re.fullmatch(r"(\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d", title) for title in titles[1:]]
    versions = [numbers(match[1]) for match in released if match]
    assert len(versions) == len(titles) - 1 > 0
    assert versions == sorted(set(versions), reverse=True)
    ours = numbers(settings.VERSION)
    assert ours > versions[0] if settings.VERSION.endswith("-dev") else ours == versions[0]
