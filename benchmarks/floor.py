"""The floor of a call: the AWS calls that it made, and the URLs that it signed, again, through a bare client."""

import copy
import itertools
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import botocore.session
from botocore import xform_name
from botocore.config import Config
from django.conf import settings

from aws import dynamo, s3

Made = list[tuple[str, dict[str, Any]]]


class Recorded:
    """Notes the AWS calls that happen inside, as (operation, arguments), and `presign` with its own."""

    def __enter__(self) -> Self:
        self.made: Made = []
        self.dispatch, self.client = dynamo.Dynamo.dispatch, s3.client()
        self.presign = self.client.generate_presigned_url

        def dispatch(connection: Any, operation: str, arguments: dict[str, Any]) -> Any:
            self.made.append((operation, copy.deepcopy(arguments)))
            return self.dispatch(connection, operation, arguments)

        def presign(operation: str, **arguments: Any) -> str:
            self.made.append(("presign", {"ClientMethod": operation, **copy.deepcopy(arguments)}))
            return self.presign(operation, **arguments)

        dynamo.Dynamo.dispatch = dispatch  # type: ignore[method-assign, assignment]
        self.client.generate_presigned_url = presign  # type: ignore[method-assign, assignment]
        self.client.meta.events.register("before-parameter-build.s3", self.prepare, unique_id="bench-prepare")
        self.client.meta.events.register("before-call.s3", self.note, unique_id="bench-note")
        return self

    def prepare(self, params: dict[str, Any], **_: Any) -> None:
        self.arguments = dict(params)
        body: Any = params.get("Body")
        if hasattr(body, "seek"):
            self.arguments["Body"] = body.read()  # what is sent once can't be sent again
            body.seek(0)

    def note(self, model: Any, **_: Any) -> None:
        """Only calls that are sent come here: what is signed is prepared too."""
        self.made.append((f"s3:{xform_name(model.name)}", self.arguments))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        dynamo.Dynamo.dispatch = self.dispatch  # type: ignore[method-assign]
        self.client.generate_presigned_url = self.presign  # type: ignore[method-assign]
        self.client.meta.events.unregister("before-parameter-build.s3", unique_id="bench-prepare")
        self.client.meta.events.unregister("before-call.s3", unique_id="bench-note")


class Floor:
    """Makes recorded calls again. A write goes to new keys each time, without conditions."""

    def __init__(self) -> None:
        self.turn = itertools.count()
        config = Config(
            parameter_validation=False,
            max_pool_connections=32,
            retries={"mode": "standard", "total_max_attempts": 3},
        )
        self.dynamodb: Any = botocore.session.get_session().create_client(
            "dynamodb",
            region_name=settings.AWS_REGION,
            endpoint_url=settings.DYNAMODB_ENDPOINT_URL,
            config=config,
        )

    def again(self, made: Made) -> Callable[[], None]:
        calls = [self.one(operation, arguments) for operation, arguments in made]

        def act() -> None:
            for call in calls:
                call()

        return act

    def one(self, operation: str, arguments: dict[str, Any]) -> Callable[[], Any]:
        if operation == "presign":
            return lambda: s3.client().generate_presigned_url(**arguments)
        if operation.startswith("s3:"):
            method = getattr(s3.client(), operation.removeprefix("s3:"))
            return lambda: method(**arguments)
        if operation == "TransactWriteItems":
            prefix = f"floor-{next(self.turn)}-"
            arguments = {"TransactItems": [unconditional(item, prefix) for item in arguments["TransactItems"]]}
        return lambda: self.dynamodb._make_api_call(operation, arguments)


def unconditional(item: dict[str, Any], prefix: str) -> dict[str, Any]:
    """A Put or Delete of the same size under another key."""
    ((kind, arguments),) = item.items()
    table = {"TableName": arguments["TableName"]}
    if kind == "Delete":
        return {"Delete": table | {"Key": elsewhere(arguments["Key"], prefix)}}
    content = arguments.get("Item") or arguments["Key"] | {
        f"filler{name[1:]}": value for name, value in arguments.get("ExpressionAttributeValues", {}).items()
    }
    return {"Put": table | {"Item": elsewhere(content, prefix)}}


def elsewhere(item: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name: {"S": prefix + value["S"]} if name in ("id", "user_id", "shelf") and "S" in value else value
        for name, value in item.items()
    }
