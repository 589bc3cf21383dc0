"""Programs of `make audit`, `make lint` and `make lock`, installed once, into .local/tools/."""

import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".local" / "tools"
PINNED = ROOT / "tests" / "requirements-tools.txt"


def tool(name: str) -> str:
    """Where the program is. Where it can't be installed there is none, which whoever starts it sees."""
    done = HOME / "pinned.txt"
    if not done.exists() or done.read_text() != PINNED.read_text():
        venv.create(HOME, clear=True, with_pip=True)
        pip = [str(HOME / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        installed = subprocess.run([*pip, "--require-hashes", "-r", str(PINNED)], check=False)
        if installed.returncode == 0:
            done.write_text(PINNED.read_text())
    return str(HOME / "bin" / name)
