"""Pin anew what each requirements*.in says, with all that it brings along and the hashes of all files of each release.

    python -m tests.lock             what is pinned stays where it still fits
    python -m tests.lock --upgrade   the newest of everything that the .in files leave open

One lock is for every platform and Python that Recorder supports: uv resolves for all at once, from Python 3.11 on.
"""

import subprocess
import sys

from tests.tools import ROOT, tool

LOCKS = (
    "requirements",
    "requirements-dev",
    "tests/requirements-tools",
    "tests/image/requirements-client",
    "tests/integration/requirements-s3",
)
HOW = ("--quiet", "--universal", "--generate-hashes", "--python-version", "3.11", "--no-header")


def main() -> None:
    uv = tool("uv")
    for name in LOCKS:
        compiled = [uv, "pip", "compile", *HOW, *sys.argv[1:], f"{name}.in", "--output-file", f"{name}.txt"]
        subprocess.run(compiled, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
