"""One process from its start to the first authenticated list answer: `python -m benchmarks.cold app|floor KEY`.

`app` is Recorder through lambda_handler. `floor` is what no Django REST API on DynamoDB can do without: Django
configured with rest_framework and no authentication, viewsets, serializers, botocore, pynamodb's models, one client,
the same two calls. With `memory`, a thousand lists are answered, and the megabytes shown that were resident at most.
"""

import os
import sys
from typing import Any


def event(method: str, path: str, key: str, body: str = "", query: str = "") -> dict[str, Any]:
    """What API Gateway (payload 2.0) hands to the handler for one call of the API."""
    url = f"/api/v1/{path}"
    http = {"method": method, "path": url, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "benchmark"}
    headers = {"host": "localhost", "authorization": f"Bearer {key}", "x-forwarded-proto": "https"}
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
    import pynamodb.models  # noqa: F401
    import rest_framework.serializers
    import rest_framework.viewsets  # noqa: F401

    from benchmarks import bare

    assert bare.read(key.partition(".")[0])["Items"]


def memory(key: str) -> None:
    import resource

    for _ in range(1000):
        app(key)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    {"app": app, "floor": floor, "memory": memory}[sys.argv[1]](sys.argv[2])
    sys.stdout.flush()
    os._exit(0)  # what an interpreter does at its end is no part of an answer
