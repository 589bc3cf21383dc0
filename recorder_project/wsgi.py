"""Entry points: `application` for WSGI servers, `lambda_handler` for API Gateway, Function URLs and ALB.

What the first request needs is loaded here, before it comes: Lambda gives a start a whole processor, and no thread is
there yet that could make a botocore client beside another. Nearly all of it stays, so that nobody looks for garbage
among it, neither now, which took a seventh of a cold start, nor later.
"""
# ruff: noqa: E402 - this comes before all else

import gc

gc.disable()

import os
from typing import Any

from apig_wsgi import make_lambda_handler
from django import setup
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

from lib.gateway import Event, legible

Answer = dict[str, Any]  # as apig-wsgi makes it for the kind of event


class Request(WSGIRequest):
    """A Content-Type that Django can't read, which it would not survive, counts as none.

    Its charset counts for nothing: JSON is UTF-8 (RFC 8259), and Django would take the query for what it says too.
    """

    def _set_content_type_params(self, meta: dict[str, str]) -> None:
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except (LookupError, ValueError):
            meta["CONTENT_TYPE"], self.content_type, self.content_params = "", "", {}


class Application(WSGIHandler):
    request_class = Request


def warm_up() -> None:
    import recorder_project.urls  # noqa: F401 - these two need the settings
    from aws.dynamo import dynamo

    _ = dynamo().client


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recorder_project.settings")
setup(set_prefix=False)
application = Application()
warm_up()
_handler = make_lambda_handler(application, binary_support=True)
gc.freeze()
gc.enable()


def lambda_handler(event: Event, context: object) -> Answer:
    """One HTTP request, as API Gateway (both payloads), a Function URL or a load balancer hands it over."""
    answer: Answer = _handler(legible(event), context)
    return answer
