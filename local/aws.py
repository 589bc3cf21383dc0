"""The embedded AWS of `make run`: ministack's DynamoDB and S3 on loopback, kept under `.local/aws/`.

Three processes take part. `manage.py runserver` starts the others and outlives them; Django's autoreloader runs the
server and is restarted at will; ministack runs in a session of its own, so that Ctrl-C does not reach it before the
server has stopped, and stops by itself when the process that started it is gone. Each of them may be killed at any
moment: durable.py says how nothing is lost by it.
"""

import asyncio
import fcntl
import gc
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings
from django.core.management import call_command, execute_from_command_line
from django.core.management.commands.runserver import Command as RunServer
from django.core.management.commands.runserver import naiveip_re
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from local import events
from local.files import MISSING

App = Callable[[Any, Any, Any], Awaitable[None]]  # ASGI

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
STARTS_WITHIN = ENDS_WITHIN = 60  # seconds


def runserver(argv: list[str]) -> None:
    """`manage.py runserver` with LOCAL=true, and with the embedded AWS unless the environment names another."""
    os.environ.setdefault("LOCAL", "true")
    if os.environ.get(DJANGO_AUTORELOAD_ENV):  # the server itself, (re)started by the process that holds the AWS
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        if settings.AWS_ENDPOINT_URL == settings.EMBEDDED_AWS:
            events.begin()
        execute_from_command_line(argv)
        return
    host, port = _address(argv)
    here = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    os.environ.setdefault("PUBLIC_URL", here)
    endpoints = (settings.DYNAMODB_ENDPOINT_URL, settings.S3_ENDPOINT_URL)
    if os.environ.get("AWS_ENDPOINT_URL") or settings.EMBEDDED_AWS not in endpoints:
        execute_from_command_line(argv)
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    directory = settings.LOCAL_DIR / "aws"
    try:
        with _alone_with(directory) as lock:
            _check_free(host, port, f"`make run PORT={port + 1}` takes another")
            with _embedded(directory, lock):
                print(
                    f"\nRecorder:   {here}/  (the API: {here}/api/v1/docs/)\n"
                    f"To try it:  curl -X POST {here}/api/v1/accounts/login/"
                    """ -H 'Content-Type: application/json' -d '{"provider":"guest"}'\n"""
                    f"Its data:   {directory}\n",
                    flush=True,
                )
                if "--noreload" in argv:  # this process is the server
                    events.begin()
                execute_from_command_line(argv)
    except KeyboardInterrupt:
        sys.exit(130)


def _address(argv: list[str]) -> tuple[str, int]:
    """Where runserver will listen, as one would type it into a browser on this machine."""
    options = RunServer().create_parser("manage.py", "runserver").parse_args(argv[2:])
    match = naiveip_re.match(options.addrport or RunServer.default_port)
    host = match["addr"].strip("[]") if match and match["addr"] else ""
    any_host = {"": "127.0.0.1", "0": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    if options.use_ipv6:
        any_host[""] = "::1"
    return any_host.get(host, host), int(match["port"] if match else RunServer.default_port)


def _leave(*_: object) -> NoReturn:
    sys.exit(0)


def _end_with(parent: int) -> None:
    """End this process when `parent` is gone: a server that nobody supervises would keep the port."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


@contextmanager
def _alone_with(directory: Path) -> Iterator[IO[str]]:
    """The data, with no other run at work on it. Yields the lock that ministack is to hold."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "run.lock").open("a") as ours, (directory / "aws.lock").open("a") as its:
        if not _locked(ours):
            sys.exit(f"Recorder is running already with the data in {directory}.")
        if not _locked(its):
            otherwise = f"The embedded AWS of an earlier run goes on: see {directory}/log."
            _wait(lambda: _locked(its), ENDS_WITHIN, otherwise)
        yield its


@contextmanager
def _embedded(directory: Path, lock: IO[str]) -> Iterator[None]:
    """ministack, with the tables and the bucket, for as long as the block runs."""
    log = directory / "log"
    bind = urlsplit(settings.EMBEDDED_AWS)
    _check_free(str(bind.hostname), bind.port or 80, "stop what uses it, or use it by setting AWS_ENDPOINT_URL")
    aws = start(bind.netloc, directory, log, lock)
    lock.close()  # ministack alone holds it now, until its last byte is written
    try:
        _wait(lambda: _answers(aws, bind.netloc, log), STARTS_WITHIN, f"The embedded AWS does not answer: see {log}.")
        django.setup()
        call_command("create_tables")
        events.wire()
        if missing := log.read_text(errors="replace").count(MISSING):
            print(f"The bytes of {missing} objects are missing: {log} names them.", file=sys.stderr)
        yield
    finally:
        if aws.returncode is None:
            _stop(aws)


def start(bind: str, directory: Path, log: Path, lock: IO[str]) -> "subprocess.Popen[bytes]":
    """Start ministack at `bind`, blind to this process's environment, which may hold settings for another AWS."""
    environ = {
        "PATH": os.environ.get("PATH", os.defpath),
        "TMPDIR": str(directory),
        "GATEWAY_PORT": bind.rpartition(":")[2],
        "SERVICES": "dynamodb,s3,sqs",
        "STATE_DIR": str(directory / "state"),
        "S3_DATA_DIR": str(directory / "s3"),
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",  # or it would stop the containers of other ministacks
    }
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603  (our own words)
            [sys.executable, "-m", __name__, bind, str(os.getpid()), str(directory)],
            cwd=settings.BASE_DIR,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )


def _stop(aws: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, so that what it is in the middle of is answered."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    aws.terminate()
    try:
        aws.wait(ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        aws.kill()
        aws.wait()


def _locked(file: IO[str]) -> bool:
    """Take the lock on `file` for as long as a process has it open. False if another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_free(host: str, port: int, otherwise: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            sys.exit(f"{host}:{port} can't be used ({error.strerror}): {otherwise}.")


def _wait(true: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            sys.exit(otherwise)
        time.sleep(0.1)


def _answers(aws: "subprocess.Popen[bytes]", netloc: str, log: Path) -> bool:
    if aws.poll() is not None:
        reason = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        sys.exit(f"The embedded AWS has not started: {reason}\n{log} has all that it said.")
    connection = http.client.HTTPConnection(netloc, timeout=5)
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def guarded(app: App) -> App:
    """ministack, as strict as S3 where Recorder's promise leans on it. By itself, ministack 1.4.21

    - stores a body that was cut off or is not what `x-amz-checksum-sha256` says, and reports that checksum as its own,
      unless `x-amz-sdk-checksum-algorithm` stands beside it;
    - keeps old versions and delete markers in memory alone: versioning stays off;
    - lets any web page that the developer has open read and delete everything: no signature, and CORS for all origins;
    - has paths of its own that empty or change it, past the journal.
    """

    async def guard(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        callers = (headers.get("origin", "http://localhost"), f"http://{headers.get('host', '')}")
        if any(urlsplit(caller).hostname not in LOOPBACK for caller in callers):
            return await _answer(send, 403, b"<Error><Code>AccessDenied</Code><Message>Foreign page</Message></Error>")
        if scope["method"] != "GET" and scope["path"].startswith("/_"):
            return await _answer(send, 403, b"<Error><Code>AccessDenied</Code></Error>")
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] == "PUT" and "versioning" in query:
            return await _answer(send, 200)
        if "x-amz-checksum-sha256" in headers and "x-amz-sdk-checksum-algorithm" not in headers:
            scope = {**scope, "headers": [*scope["headers"], (b"x-amz-sdk-checksum-algorithm", b"SHA256")]}
        return await app(scope, receive, send)

    return guard


async def _answer(send: Any, status: int, body: bytes = b"") -> None:
    headers = [(b"content-type", b"application/xml"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _serve(bind: str, parent: int, directory: Path) -> None:
    """Run ministack until SIGTERM, or until the process that started this one is gone."""
    # Imported here: only this process needs them, and ministack reads its environment when it is imported.
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    inherited = not (directory / "journal").is_dir() and _saved_by_itself(directory)
    os.environ["PERSIST_STATE"] = os.environ["S3_PERSIST"] = "1" if inherited else "0"
    from ministack.app import app  # type: ignore[import-untyped]

    from local.durable import install
    from local.journal import DamagedError

    gc.disable()  # reading makes millions of objects that stay: to look at each again and again takes most of the time
    try:
        install(directory, inherited=inherited)
    except DamagedError as damage:
        sys.exit(f"{damage}. Nothing was changed. Bring back a copy of {directory}, or move it away to begin anew.")
    gc.freeze()
    gc.enable()

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def stopped() -> None:
        while os.getppid() == parent and not stop.is_set():
            await asyncio.sleep(0.2)

    config = Config()
    config.bind = [bind]
    config.keep_alive_timeout = 75  # as in ministack's own main()
    await serve(guarded(app), config, shutdown_trigger=stopped)


def _saved_by_itself(directory: Path) -> bool:
    """Whether ministack saved something here when it stopped, as it does without a journal."""
    return (directory / "state").is_dir() or (directory / "s3").is_dir()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
