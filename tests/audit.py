"""Are there known faults in what is pinned?

    python -m tests.audit

asks pip-audit and npm. Exit 1 if something pinned has one. Where the advisories
can't be reached, a line says what was not looked at, and that alone is no failure.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lock import LOCKS
from tests.tools import ROOT, tool

REQUIREMENTS = [f"{name}.txt" for name in LOCKS]
NODE = ("web", "tests/uppy", "tests/oidc")
SECONDS = 300


def python_faults(told: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Known faults, and what could not be looked up, in what pip-audit says."""
    packages = told["dependencies"]
    faults = [
        f"{package['name']} {package['version']}: {fault['id']}, mended in {fault['fix_versions'] or 'no release'}"
        for package in packages
        for fault in package.get("vulns", [])
    ]
    return faults, [package["name"] for package in packages if "skip_reason" in package]


def node_faults(told: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The same in what `npm audit` says, which is an error where it could not ask."""
    if "vulnerabilities" not in told:
        return [], ["everything"]
    found = told["vulnerabilities"].values()
    return [f"{package['name']} {package['range']}: {package['severity']}" for package in found], []


def ask(command: list[str], cwd: Path) -> dict[str, Any]:
    """The JSON that a program prints, whatever it exits with; nothing where it prints none."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False)
        told = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    return told if isinstance(told, dict) else {}


def report(what: str, faults: list[str], unknown: list[str]) -> bool:
    """Say how it went. Returns whether there are faults."""
    for fault in faults:
        print(f"{what}: {fault}")
    if unknown:
        names = ", ".join(unknown[:3]) + (" …" if len(unknown) > 3 else "")
        print(f"{what}: skipped, for the advisories can't be reached from here ({names}). Try again with a network.")
    elif not faults:
        print(f"{what}: no known fault")
    return bool(faults)


def main() -> None:
    bad = False
    program = tool("pip-audit")
    for name in REQUIREMENTS:
        told = ask([program, "--no-deps", "--disable-pip", "--format", "json", "-r", name], ROOT)
        bad |= report(name, *(python_faults(told) if told else ([], ["everything"])))
    for name in NODE:
        bad |= report(f"{name}/package-lock.json", *node_faults(ask(["npm", "audit", "--json"], ROOT / name)))
    sys.exit(bad)


if __name__ == "__main__":
    main()
