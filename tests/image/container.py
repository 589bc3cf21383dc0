"""Running the image as an engine does: its entry point, its user, this machine's network."""

import contextlib
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import processes

ENGINE = os.environ.get("ENGINE", "buildah")
IMAGE = os.environ.get("IMAGE", "recorder")
ENVIRON = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}


def engine(*arguments: str) -> str:
    done = subprocess.run([ENGINE, *arguments], env=ENVIRON, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def command(name: str, arguments: list[str], environ: dict[str, str]) -> list[str]:
    """What starts the image with these arguments; with none, with its own CMD."""
    settings = [f"--env={key}={value}" for key, value in environ.items()]
    if ENGINE != "buildah":
        return [ENGINE, "run", "--rm", "--network=host", f"--name={name}", *settings, IMAGE, *arguments]
    engine("from", "--pull-never", f"--name={name}", IMAGE)
    config = json.loads(engine("inspect", name))["OCIv1"]["config"]
    return ["buildah", "run", *settings, name, "--", *config["Entrypoint"], *(arguments or config["Cmd"])]


@contextmanager
def running(arguments: list[str], environ: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A container, until the block ends. What it says goes to `log`."""
    name = f"recorder-test-{uuid.uuid4().hex[:8]}"
    try:
        with processes.running(command(name, arguments, environ), ENVIRON, log) as process:
            yield process
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            engine("rm", *(["--force"] if ENGINE != "buildah" else []), name)
