"""What `docker build` gets to see: the sources, and no secret that lies beside them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def ignored(path: str) -> bool:
    """As Docker reads .dockerignore: the last pattern that fits the path, or a folder that it is in, decides."""
    found = False
    for line in (ROOT / ".dockerignore").read_text().split():
        pattern = line.removeprefix("!")
        form = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
        if re.fullmatch(f"{form}(?:/.*)?", path):
            found = not line.startswith("!")
    return found


@pytest.mark.parametrize(
    "path",
    [
        *(
            ".env",
            ".git/config",
            ".local/aws/dynamodb.json",
            "local/aws.py",
            "tests/conftest.py",
            "AuthKey_ABC.p8",
            "docs/openapi.yaml",
        ),
        *("web/.env", "recorder_project/.env.production", "accounts/AuthKey_ABC.p8", "image/server.key", "web/.npmrc"),
        *("recordings/private.pem", "accounts/__pycache__/keys.cpython-313.pyc", "web/node_modules/x/index.js"),
    ],
)
def test_secrets_and_leftovers_stay_out(path: str) -> None:
    assert ignored(path)


def test_the_sources_are_all_in() -> None:
    for name in ("manage.py", "requirements.txt", "entrypoint.sh", "web/package-lock.json", "image/prune.py"):
        assert (ROOT / name).exists()
        assert not ignored(name)
    for package in ("lib", "aws", "recordings", "accounts", "operations", "web", "recorder_project"):
        for source in (ROOT / package).rglob("*.py"):
            assert not ignored(str(source.relative_to(ROOT))), source
