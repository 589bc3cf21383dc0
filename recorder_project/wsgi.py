"""Entry points: `application` for WSGI servers, `lambda_handler` for API Gateway, Function URLs and ALB."""

import os
from typing import Any
from urllib.parse import quote

from apig_wsgi import make_lambda_handler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recorder_project.settings")
application = get_wsgi_application()
_handler = make_lambda_handler(application, binary_support=True)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """HTTP APIs hand over the path decoded, in both payloads; everybody else as it was sent, which is what WSGI needs.

    They say a `version`, as Function URLs do, whose events are otherwise the same.
    """
    domain = str(event.get("requestContext", {}).get("domainName", ""))
    if "version" in event and ".lambda-url." not in domain:
        name = "rawPath" if event["version"] == "2.0" else "path"
        event = event | {name: quote(event[name])}
    answer: dict[str, Any] = _handler(event | unambiguous(event), context)
    return answer


def unambiguous(event: dict[str, Any]) -> dict[str, Any]:
    """The event's headers without those that have an underscore: WSGI can't tell `X_Forwarded_For`, which anybody can
    write, from the load balancer's own. gunicorn drops them too.
    """
    found = {name: event[name] for name in ("headers", "multiValueHeaders") if event.get(name)}
    return {name: {key: words[key] for key in words if "_" not in key} for name, words in found.items()}
