"""Whatever is installed is what was pinned: each file has its hash in a lock, and each install asks for it."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.lock import LOCKS
from tests.tools import ROOT

ENTRY = re.compile(r"^(\S+)==(\S+)((?: ; [^\\]+)?) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


def asked(name: str) -> list[Requirement]:
    """What an .in file says, and those that it names."""
    found = []
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("-r "):
            found += asked(str(Path(name).with_name(line[3:])))
        elif line and not line.startswith("#"):
            found.append(Requirement(line))
    return found


def locked(name: str) -> dict[str, tuple[str, int]]:
    """The version of each package in a lock, and how many files of it."""
    text = (ROOT / name).read_text()
    entries: dict[str, tuple[str, int]] = {
        str(canonicalize_name(match[1])): (match[2], match[4].count("sha256:")) for match in ENTRY.finditer(text)
    }
    assert len(entries) == len(re.findall(r"^[^\s#]", text, re.MULTILINE)), "a line that is no pin with hashes"
    return entries


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_covers_what_is_asked_for(name: str) -> None:
    pins = locked(f"{name}.txt")
    for wanted in asked(f"{name}.in"):
        version, _ = pins[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), wanted


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_names_a_registry(name: str) -> None:
    assert not re.search(r"://|--(?:extra-)?index|--find-links|--trusted", (ROOT / f"{name}.txt").read_text())


def test_all_files_of_a_release_are_in_it() -> None:
    """Not only those of the machine where the lock was made: these have one for each platform and Python."""
    pins = locked("requirements.txt")
    assert all(pins[name][1] >= 15 for name in ("av", "cffi", "cryptography", "numpy", "pyyaml", "rpds-py"))


def test_development_runs_on_what_production_runs_on() -> None:
    production, development = locked("requirements.txt"), locked("requirements-dev.txt")
    assert production.items() <= development.items()


def test_every_install_asks_for_hashes() -> None:
    """pip's `install`, wherever the project calls it, and `-r` with a lock."""
    places = ["Makefile", "Dockerfile", "tests/image/bases.sh", "tests/tools.py", "tests/integration/peers.py"]
    for place in places:
        text = (ROOT / place).read_text()
        assert "--require-hashes" in text, place
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    for place in listed:
        if not place.endswith((".md", ".js", ".json", "test_lock.py")) and (ROOT / place).is_file():
            text = (ROOT / place).read_bytes().decode(errors="ignore")
            assert place in places or not re.search(r"""pip["',\s]+install""", text), place


def pin(folder: Path, digest: str) -> subprocess.CompletedProcess[str]:
    """Runs image/pin.sh on a copy of Dockerfile, with an engine that says this digest of each image."""
    engine = folder / "engine"
    engine.write_text(f'#!/bin/sh\n[ "$1" = pull ] || echo "somewhere/base@{digest}"\n')
    engine.chmod(0o755)
    command = ["sh", str(ROOT / "image/pin.sh"), str(folder / "Dockerfile")]
    environ = {**os.environ, "ENGINE": str(engine)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_bases_are_pinned_by_digest_and_renewed(tmp_path: Path) -> None:
    plain = re.sub(r"(?m)^(ARG [A-Z]+=[^@\n]*)@.*", r"\1", (ROOT / "Dockerfile").read_text())
    copy = tmp_path / "Dockerfile"
    copy.write_text(plain)
    for digest in ("sha256:" + "a" * 64, "sha256:" + "b" * 64):
        assert pin(tmp_path, digest).returncode == 0
        bases = re.findall(r"(?m)^ARG [A-Z]+=(.*)", copy.read_text())
        assert bases == [f"{base}@{digest}" for base in re.findall(r"(?m)^ARG [A-Z]+=(.*)", plain)]
        assert len(bases) == 2
    kept = copy.read_text()
    assert pin(tmp_path, "nonsense").returncode == 1
    assert copy.read_text() == kept
