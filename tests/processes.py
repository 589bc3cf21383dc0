"""Programs that tests start."""

import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

ENDS_WITHIN = 15  # seconds
# Systems give higher ones to outgoing connections, which would take one before its server does.
PORTS = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """So many, all different, that servers can soon have. No seed of the tests decides: workers have the same one."""
    ports: set[int] = set()
    while len(ports) < count:
        port = secrets.choice(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.add(port)
    return [*ports]


def free_port() -> int:
    return free_ports(1)[0]


@contextmanager
def running(command: list[str], environ: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`command`, beside its log, in a session of its own, so that Ctrl-C reaches the tests first. Everything in that
    session ends with the block.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
