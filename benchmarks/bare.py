"""The least that a list costs: a WSGI application that makes the two calls of one and answers what came."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import botocore.session
from botocore.config import Config

KEY = {"id": {"S": "nobody"}, "auth_key": {"S": "nothing"}}
client: Any = botocore.session.get_session().create_client(
    "dynamodb",
    region_name=os.environ["AWS_REGION"],
    endpoint_url=os.environ["AWS_ENDPOINT_URL_DYNAMODB"],
    config=Config(parameter_validation=False, max_pool_connections=32),
)


def read(user_id: str) -> dict[str, Any]:
    client.get_item(TableName=os.environ["USERS_TABLE"], Key=KEY, ConsistentRead=True)
    found: dict[str, Any] = client.query(
        TableName=os.environ["RECORDINGS_TABLE"],
        IndexName="by_shelf",
        KeyConditionExpression="shelf = :shelf",
        ExpressionAttributeValues={":shelf": {"S": f"{user_id}#library"}},
        ScanIndexForward=False,
        Limit=51,
    )
    return found


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    user_id = environ["HTTP_AUTHORIZATION"].removeprefix("Bearer ").partition(".")[0]
    body = json.dumps(read(user_id)["Items"]).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
