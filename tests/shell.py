"""Check every shell script of the project: `make lint`.

    python -m tests.shell

runs ShellCheck over all that Git knows under a name that ends in .sh, and .ci/run. Exit 1 if it finds anything.
"""

import subprocess
import sys

from tests.tools import ROOT, tool


def scripts() -> list[str]:
    """Their paths, from the top."""
    listed = subprocess.run(
        ["git", "ls-files", "*.sh", ".ci/run"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def main() -> None:
    sys.exit(subprocess.run([tool("shellcheck"), *scripts()], cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
