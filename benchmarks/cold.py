"""One process from its start to the first authenticated list answer: `python -m benchmarks.cold app|floor KEY`.

`app` is Recorder through lambda_handler. `floor` is what no Django REST API on DynamoDB can do without: Django
configured with rest_framework and no authentication, viewsets, serializers, botocore, pynamodb's models, one client,
the same two calls.
"""

import os
import sys
from typing import Any


def event(method: str, path: str, key: str, body: str = "", query: str = "") -> dict[str, Any]:
    """What API Gateway (payload 2.0) hands to the handler for one call of the API."""
    url = f"/api/v1/{path}"
    http = {"method": method, "path": url, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "benchmark"}
    headers = {"host": "localhost", "authorization": f"Bearer {key}"}
    if body:
        headers |= {"content-type": "application/json", "content-length": str(len(body))}
    return {
        "version": "2.0",
        "rawPath": url,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {"http": http},
        "body": body,
        "isBase64Encoded": False,
    }


def app(key: str) -> None:
    from recorder_project.wsgi import lambda_handler

    answer = lambda_handler(event("GET", "recordings/", key), None)
    assert answer["statusCode"] == 200, answer


def floor(key: str) -> None:
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["rest_framework"],
        DATABASES={},
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": [],
            "DEFAULT_PERMISSION_CLASSES": [],
            "UNAUTHENTICATED_USER": None,
        },
    )
    django.setup()
    import botocore.session
    import pynamodb.models  # noqa: F401
    import rest_framework.serializers
    import rest_framework.viewsets  # noqa: F401

    client: Any = botocore.session.get_session().create_client(
        "dynamodb", region_name=os.environ["AWS_REGION"], endpoint_url=os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    )
    user_id = key.partition(".")[0]
    client.get_item(
        TableName="recorder-users", Key={"id": {"S": user_id}, "auth_key": {"S": "x"}}, ConsistentRead=True
    )
    client.query(
        TableName="recorder-recordings",
        IndexName="by_shelf",
        KeyConditionExpression="shelf = :shelf",
        ExpressionAttributeValues={":shelf": {"S": f"{user_id}#library"}},
        ScanIndexForward=False,
        Limit=51,
    )


if __name__ == "__main__":
    {"app": app, "floor": floor}[sys.argv[1]](sys.argv[2])
