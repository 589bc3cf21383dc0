"""What the documentation says of settings is what the code reads, and what it names in the code is there."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

import pytest
from django.conf import settings
from django.core.management import get_commands

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
    first = "dangling|foreign|half|leftover|missing|no|orphan|stale|unlisted|wrong"
    kinds = re.compile(rf'"((?:{first})_[a-z]+|unreadable)"')
    found = set(kinds.findall("".join(path.read_text() for path in (ROOT / "operations/fsck").glob("*.py"))))
    assert found == explained("What it finds")
    assert len(found) > 10


def test_the_tests_that_the_threat_model_names_are_there() -> None:
    """`tests/a/test_b.py`, and `test_c.py` beside others."""
    names = set(re.findall(r"`([\w/]+\.py)`", (ROOT / "docs/security.md").read_text()))
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py")}
    assert len(names) > 20
    assert {name for name in names if not any(f"/{path}".endswith(f"/{name}") for path in found)} == set()


PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("README*.md")), ROOT / "CONTRIBUTING.md"]
# Names in the form of ours that are others', or a machine's.
FOREIGN = {"gc.freeze", "recorder.example.org", "boto3.resources.factory", "table.md"}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def named_in(page: Path, form: str) -> set[str]:
    """What stands in backticks on the page, outside of its blocks of code, and has this form from end to end."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return {name for name in re.findall(r"`([^`\n]+)`", text) if re.fullmatch(form, name)} - FOREIGN


@cache
def files() -> list[PurePosixPath]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [PurePosixPath(name) for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@cache
def words() -> set[str]:
    """Every name in the code."""
    kinds = (".py", ".sh", ".js", ".mjs", ".yaml", ".toml")
    code = [path for path in files() if path.suffix in kinds and path.name != "test_documentation.py"]
    return {word for path in code for word in re.findall(r"\w+", (ROOT / path).read_text())}


def defines(path: Path, name: str) -> bool:
    """Whether a module has this function, class or value, or one of its classes such a method."""
    found = re.compile(rf"^\s*(?:async )?(?:def|class) {name}\b|^{name}(?::.*)? =", re.MULTILINE)
    return bool(found.search(path.read_text()))


@every_page
def test_files_that_it_names_are_there(page: Path) -> None:
    names = named_in(page, r"[\w.*-]+(?:/[\w.*-]+)*\.(?:css|html|in|js|json|md|mjs|py|sh|toml|txt|yaml)")
    for diagram in re.findall(r"^```mermaid\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        names |= set(re.findall(r"\b\w+(?:/\w+)*\.py\b", diagram))
    assert {name for name in names if not any(path.match(name) for path in files())} == set()


@every_page
def test_what_it_names_in_a_module_is_in_it(page: Path) -> None:
    """`module.function`, also with the module's packages, and `Class.method` in whatever module."""
    for name in named_in(page, r"[A-Za-z_]+(?:\.[A-Za-z_]+)+(?:\(\))?"):
        if PurePosixPath(name).suffix not in {path.suffix for path in files()}:
            *where, what = name.removesuffix("()").split(".")
            form = "*.py" if where[-1][0].isupper() else "/".join(where) + ".py"
            modules = [ROOT / path for path in files() if path.match(form) and path.parts[0] != "tests"]
            assert any(defines(module, what) for module in modules), name


@every_page
def test_commands_that_it_names_are_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = {each for name in named_in(page, "make .+") for each in re.findall(r" ([a-z][a-z-]*)(?![\w=])", name)}
    assert made - targets == set()
    managed = {name.split()[1] for name in named_in(page, r"manage(?:\.py)? [a-z_]+.*")}
    assert managed - set(get_commands()) == set()


@every_page
def test_names_that_it_says_are_in_the_code(page: Path) -> None:
    """Settings, members, codes, metrics, parameters, tests: `UPPER_CASE`, `snake_case` and `CamelCase`."""
    names = named_in(page, r"[A-Z]+(?:_[A-Z0-9]+)+|[a-z0-9]+(?:_[a-z0-9]+)+|(?:[A-Z][a-z0-9]+){2,}")
    # A metric for each outcome of the sweep is named where it is counted, after the outcome.
    counted = {name for name in names if name.removeprefix("Sweep").lower() in words()}
    assert names - words() - read_by_settings() - counted == set()
