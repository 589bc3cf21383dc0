"""Each endpoint through lambda_handler, and its floor: the AWS calls that it made, again, through a bare client."""

import copy
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config
from django.conf import settings

from benchmarks.cold import event
from benchmarks.seed import content_hash, fill
from recorder_project.wsgi import lambda_handler
from recordings import dynamo, storage
from recordings.models import Recording
from recordings.uploads import id_of


class Bench:
    """One guest's account, and the calls to measure on it."""

    def __init__(self) -> None:
        signed_up = self.call("POST", "accounts/login/", body={"provider": "guest"})
        self.key, self.user_id = signed_up["auth_key"], signed_up["user_id"]
        self.fresh = itertools.count(10_000_000)
        config = Config(parameter_validation=False, retries={"mode": "standard", "total_max_attempts": 3})
        options: dict[str, Any] = {"region_name": settings.AWS_REGION, "config": config}
        self.dynamodb: Any = boto3.client("dynamodb", endpoint_url=settings.DYNAMODB_ENDPOINT_URL, **options)

    def seed(self, start: int, end: int) -> None:
        for first in range(start, end, 1000):
            fill(self.user_id, first, min(first + 1000, end))

    def call(self, method: str, path: str, body: Any = None, query: str = "") -> Any:
        text = "" if body is None else json.dumps(body)
        answer = lambda_handler(event(method, path, getattr(self, "key", ""), text, query), None)
        assert answer["statusCode"] < 400, answer
        return json.loads(answer["body"]) if answer["body"] else None

    def endpoint(self, name: str, rounds: int) -> dict[str, float]:
        """p50, p99 and CPU milliseconds of the call, the p50 of its AWS calls alone, and the ratio of the two."""
        prepare = self.calls()[name]
        for _ in range(5):
            prepare()()
        with recorded() as made:
            prepare_once = prepare()
            made.clear()
            prepare_once()
        raw = [self.raw(operation, arguments) for operation, arguments in made]
        times, floors, cpu = [], [], []
        for _ in range(rounds):
            act = prepare()
            start, used = time.perf_counter(), time.process_time()
            act()
            times.append(time.perf_counter() - start)
            cpu.append(time.process_time() - used)
            start = time.perf_counter()
            for each in raw:
                each()
            floors.append(time.perf_counter() - start)
        p50, floor = statistics.median(times) * 1e3, statistics.median(floors) * 1e3
        p99 = sorted(times)[len(times) * 99 // 100] * 1e3
        return {
            "p50 ms": p50,
            "p99 ms": p99,
            "cpu ms": statistics.mean(cpu) * 1e3,
            "floor ms": floor,
            "ratio": p50 / floor,
        }

    def calls(self) -> dict[str, Callable[[], Callable[[], Any]]]:
        """By name, what prepares one call and returns it."""
        seeded = f"recordings/{id_of(self.user_id, content_hash(7))}/"
        hashes = [content_hash(number) for number in range(500)]

        def ready() -> str:
            declared = self.declare()
            id = self.call("POST", "recordings/", declared)["recording"]["id"]
            row = Recording.find(id, self.user_id)
            assert row
            storage.save(row.key, declared["name"].encode(), "audio/mp4")
            return f"recordings/{id}/"

        def kept() -> str:
            path = ready()
            self.call("POST", f"{path}complete/")
            return path

        def trashed() -> str:
            path = kept()
            self.call("DELETE", path)
            return path

        def large() -> str:
            declared = self.declare() | {"size": 20 * 2**20}
            return f"recordings/{self.call('POST', 'recordings/', declared)['recording']['id']}/"

        part = {"parts": [{"number": 1, "sha256": content_hash(1)}]}
        names = itertools.count()
        large_path = large()
        return {
            "list": lambda: lambda: self.call("GET", "recordings/"),
            "list: tag": lambda: lambda: self.call("GET", "recordings/", query="tag=lecture"),
            "detail": lambda: lambda: self.call("GET", seeded),
            "changes": lambda: lambda: self.call("GET", "recordings/changes/"),
            "check 500": lambda: lambda: self.call("POST", "recordings/check/", {"sha256": hashes}),
            "me": lambda: lambda: self.call("GET", "accounts/me/"),
            "download": lambda: lambda: self.call("GET", f"{seeded}download/", query="redirect=false"),
            "create": lambda: lambda: self.call("POST", "recordings/", self.declare()),
            "complete": lambda: (lambda path: lambda: self.call("POST", f"{path}complete/"))(ready()),
            "change": lambda: lambda: self.call("PATCH", seeded, {"name": f"Name {next(names)}"}),
            "trash": lambda: (lambda path: lambda: self.call("DELETE", path))(kept()),
            "restore": lambda: (lambda path: lambda: self.call("POST", f"{path}restore/"))(trashed()),
            "parts": lambda: lambda: self.call("POST", f"{large_path}parts/", part),
            "purge": lambda: (lambda path: lambda: self.call("DELETE", path, query="permanent=true"))(kept()),
        }

    def declare(self) -> dict[str, Any]:
        """A recording that is not there yet. Its bytes are its name."""
        number = next(self.fresh)
        content = {"size": len(str(number)), "sha256": content_hash(number)}
        return {"name": str(number), "content_type": "audio/mp4", **content}

    def raw(self, operation: str, arguments: dict[str, Any]) -> Callable[[], Any]:
        """The same call without the app. A write goes to keys of its own, without conditions."""
        if operation.startswith("s3:"):
            method = getattr(storage.client(), operation.removeprefix("s3:"))
            return lambda: method(**arguments)
        arguments = copy.deepcopy(arguments)
        if operation == "TransactWriteItems":
            arguments = {"TransactItems": [unconditional(item) for item in arguments["TransactItems"]]}
        return lambda: self.dynamodb._make_api_call(operation, arguments)

    def memory(self, requests: int) -> float:
        """Peak resident megabytes of a process of its own that answers this many lists."""
        code = (
            "import resource, sys\nfrom benchmarks.cold import event\n"
            "from recorder_project.wsgi import lambda_handler\n"
            f"for _ in range({requests}): lambda_handler(event('GET', 'recordings/', sys.argv[1]), None)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        output = subprocess.run([sys.executable, "-c", code, self.key], check=True, capture_output=True, text=True)
        return float(output.stdout.split()[-1])


def unconditional(item: dict[str, Any]) -> dict[str, Any]:
    """A Put or Delete of the same size under another key."""
    ((kind, arguments),) = item.items()
    table = {"TableName": arguments["TableName"]}
    if kind == "Delete":
        return {"Delete": table | {"Key": elsewhere(arguments["Key"])}}
    content = arguments.get("Item") or arguments["Key"] | {
        f"filler{name[1:]}": value for name, value in arguments.get("ExpressionAttributeValues", {}).items()
    }
    return {"Put": table | {"Item": elsewhere(content)}}


def elsewhere(item: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"S": f"floor-{value['S']}"} if name in ("id", "user_id", "shelf") and "S" in value else value
        for name, value in item.items()
    }


class recorded:  # noqa: N801 - reads as a context
    """Notes the AWS calls that happen inside: (operation, arguments)."""

    def __enter__(self) -> list[tuple[str, dict[str, Any]]]:
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.dispatch = dynamo.Dynamo.dispatch

        def dispatch(connection: Any, operation: str, arguments: dict[str, Any]) -> Any:
            self.made.append((operation, copy.deepcopy(arguments)))
            return self.dispatch(connection, operation, arguments)

        dynamo.Dynamo.dispatch = dispatch  # type: ignore[method-assign, assignment]
        events = storage.client().meta.events
        events.register("before-parameter-build.s3", self.prepare, unique_id="bench-prepare")
        events.register("before-call.s3", self.note, unique_id="bench-note")
        return self.made

    def prepare(self, params: dict[str, Any], **_: Any) -> None:
        self.arguments = dict(params)

    def note(self, model: Any, **_: Any) -> None:
        """Only calls that are sent come here: a URL that is presigned is prepared too."""
        self.made.append((f"s3:{xform_name(model.name)}", self.arguments))

    def __exit__(self, *_: object) -> None:
        dynamo.Dynamo.dispatch = self.dispatch  # type: ignore[method-assign]
        events = storage.client().meta.events
        events.unregister("before-parameter-build.s3", unique_id="bench-prepare")
        events.unregister("before-call.s3", unique_id="bench-note")
