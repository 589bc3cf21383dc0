"""What the image has in /var/task, made of this checkout: what is measured is what is shipped.

The packages are those of the virtual environment, without what only the tests need, pruned and compiled as in the
Dockerfile, for a Python that has nothing of its own.
"""

import compileall
import importlib.metadata
import os
import py_compile
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from image import prune

ROOT = Path(__file__).resolve().parent.parent
TASK, PYTHON = ROOT / ".local/bench/task", ROOT / ".local/bench/venv/bin/python"
APP = ("recorder_project", "lib", "aws", "accounts", "recordings", "operations", "web", "benchmarks")
SETTINGS = {  # of production: a debug server is another program
    "SECRET_KEY": "only-for-benchmarks-" + "0" * 32,
    "ALLOWED_HOSTS": "localhost,127.0.0.1",
    "PUBLIC_URL": "https://localhost",
    "AWS_REGION": "us-east-1",
    "USERS_TABLE": "recorder-users",
    "RECORDINGS_TABLE": "recorder-recordings",
    "CHANGES_TABLE": "recorder-changes",
    "RECORDINGS_BUCKET": "recorder-files",
    "GUEST_LOGIN": "true",
    "THROTTLE": "false",
    "DJANGO_SETTINGS_MODULE": "recorder_project.settings",
}


def build() -> None:
    shutil.rmtree(TASK, ignore_errors=True)
    venv.create(PYTHON.parents[1], clear=True, with_pip=False)
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if match := re.match(r"[\w.-]+(?===)", line):
            copy_package(match[0])
    prune.main(TASK)
    leave_out = shutil.ignore_patterns("node_modules", "__pycache__", "src")
    for name in APP:
        shutil.copytree(ROOT / name, TASK / name, ignore=leave_out)
    for name in ("manage.py", "image/collect_static.py"):
        shutil.copy(ROOT / name, TASK)
    run("collect_static.py", environ={"LOCAL": "true"})
    compiled = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(TASK, quiet=2, workers=0, invalidation_mode=compiled)


def copy_package(name: str) -> None:
    """All files that pip has put into site-packages for it."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:  # of another platform
        return
    for file in distribution.files or []:
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = TASK / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(distribution.locate_file(file)), target)


def environ_of(peers: dict[str, str]) -> dict[str, str]:
    """All that a measured process inherits."""
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TASK), "PYTHONDONTWRITEBYTECODE": "1"}
    return own | SETTINGS | peers


def run(*command: str, environ: dict[str, str]) -> str:
    """What a Python of the task prints. Its log is thrown away; where it fails, that is shown."""
    everything = environ_of({}) | environ
    done = subprocess.run([PYTHON, *command], cwd=TASK, env=everything, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return done.stdout
