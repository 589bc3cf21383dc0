"""What the documentation says of settings is what the code reads, all of it and nothing else."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

ROOT = Path(__file__).parents[2]
READERS = {"env", "envbool", "envint", "envlist", "required"}
# Read for each provider alike, and not what Apple has: its secret is made from APPLE_PRIVATE_KEY.
MEANINGLESS = {"APPLE_CLIENT_SECRET"}


def named(argument: ast.expr) -> Iterator[str]:
    """The variables that the first argument of a reader stands for."""
    if isinstance(argument, ast.Constant):
        yield str(argument.value)
    elif isinstance(argument, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in argument.values)
        if text.startswith("OIDC_"):
            yield text.replace("*", "<NAME>")
        else:
            yield from (text.replace("*", name.upper()) for name in settings.LOGIN_PROVIDERS)


def read_by_settings() -> set[str]:
    tree = ast.parse((ROOT / "recorder_project/settings.py").read_text())
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)]
    found = {name for call in calls if getattr(call.func, "id", "") in READERS for name in named(call.args[0])}
    return found | {"OIDC_<NAME>_ISSUER"}  # found by its pattern


def read_elsewhere() -> set[str]:
    """By the shell script that is the image's entry point, and by `make run`."""
    script = set(re.findall(r"\$\{([A-Z_]+):-", (ROOT / "entrypoint.sh").read_text()))
    run = set(re.findall(r'environ\.get\("([A-Z_]+)"', (ROOT / "local/aws.py").read_text()))
    return script | run - {"PATH"}


def documented() -> set[str]:
    """The names in the first column of every table of settings; `X_…` goes on as the row's other names do."""
    found: set[str] = set()
    for name in ("README.md", "docs/login.md", "docs/deploy.md"):
        for row in re.findall(r"^\| (`[A-Z].*?) \|", (ROOT / name).read_text(), re.MULTILINE):
            names = re.findall(r"`([A-Z0-9_<>]+…?)`", row)
            suffix = names[0].partition("_")[2]
            found |= {each.replace("…", suffix) if each.endswith("…") else each for each in names}
    return found


def test_every_setting_that_is_read_is_documented_and_the_other_way_round() -> None:
    deploy = set(re.findall(r"\$\{([A-Z_]+):-", (ROOT / "deploy.sh").read_text()))
    read = read_by_settings() | read_elsewhere() | (deploy - {"AWS_DEFAULT_REGION"})
    assert len(read) > 50
    assert read - MEANINGLESS - documented() == set()
    assert documented() - read == set()


def test_nobody_else_reads_the_environment() -> None:
    readers = [
        path.relative_to(ROOT).as_posix()
        for package in ("lib", "aws", "recordings", "accounts", "operations", "web", "local", "recorder_project")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"os\.environ(\[|\.get)|getenv", path.read_text())
    ]
    # The last one hands on, unread, what its process needs to find Python's own library.
    assert sorted(readers) == ["local/aws.py", "recorder_project/settings.py", "recordings/analysis/decoding.py"]


def test_every_link_in_docs_leads_somewhere() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
            path, _, anchor = target.partition("#")
            there = (page.parent / path) if path else page
            assert there.exists(), f"{page.name}: {target}"
            if anchor:
                titles = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
                anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
                assert anchor in anchors, f"{page.name}: {target}"


def explained(section: str) -> set[str]:
    """What the table in this section of docs/operations.md has a row for."""
    text = (ROOT / "docs/operations.md").read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}


def test_everything_that_carry_over_does_is_explained() -> None:
    text = "".join(path.read_text() for path in (ROOT / "operations/restore").glob("*.py"))
    assert set(re.findall(r'Carried\(\s*"([a-z_]+)"', text)) == explained("After tables were brought back")


def test_everything_that_verify_storage_finds_is_explained() -> None:
    kinds = re.compile(r'"((?:dangling|foreign|half|leftover|missing|no|orphan|stale|unlisted|wrong)_[a-z]+|unreadable)"')
    found = set(kinds.findall("".join(path.read_text() for path in (ROOT / "operations/fsck").glob("*.py"))))
    assert found == explained("What it finds")
    assert len(found) > 10


def test_the_tests_that_the_threat_model_names_are_there() -> None:
    """`tests/a/test_b.py`, and `test_c.py` beside others."""
    names = set(re.findall(r"`([\w/]+\.py)`", (ROOT / "docs/security.md").read_text()))
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py")}
    assert len(names) > 20
    assert {name for name in names if not any(f"/{path}".endswith(f"/{name}") for path in found)} == set()
