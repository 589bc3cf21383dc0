"""What happens by itself in `make run`: threads of the server handle S3's events, and sweep.

The embedded AWS puts the events into a queue, which outlives a crash. On AWS template.yaml leads them to a Lambda
function of their own, and sweeps by a schedule; the same handler runs there.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from django.apps import apps
from django.conf import settings

from lib.gateway import Event

log = logging.getLogger(__name__)

QUEUE = "recorder-events"
BUSY = 60  # seconds that a message has for being handled, before it is handed out again
SWEEP_AFTER, SWEEP_EVERY = 30, 600  # seconds from the start, which has enough to do, and from one to the next


@cache
def _client(service: Any, endpoint: str) -> Any:
    return boto3.session.Session().client(service, region_name=settings.AWS_REGION, endpoint_url=endpoint)


def wire() -> None:
    """Lead the bucket's events into a queue. Safe to repeat; the bucket must be there."""
    attributes = {"VisibilityTimeout": str(BUSY), "MessageRetentionPeriod": "86400"}
    sqs = _client("sqs", settings.EMBEDDED_AWS)
    url = sqs.create_queue(QueueName=QUEUE, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    created = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    _client("s3", settings.EMBEDDED_AWS).put_bucket_notification_configuration(
        Bucket=settings.RECORDINGS_BUCKET, NotificationConfiguration=created
    )


def begin() -> None:
    """Handle events and sweep, until the process ends."""
    for work in (listen, sweep):
        threading.Thread(target=work, daemon=True).start()


def listen() -> None:
    handler = _handler()
    while True:
        try:
            take(handler)
        except (BotoCoreError, ClientError):
            time.sleep(1)  # the AWS is not up yet, or on its way down
        except Exception:
            log.exception("An event of the embedded AWS could not be handled; it comes again")


def sweep() -> None:
    handler = _handler()
    time.sleep(SWEEP_AFTER)
    while True:
        try:
            handler({"source": "aws.events"})
        except Exception:
            log.exception("A sweep failed; the next one comes in %d seconds", SWEEP_EVERY)
        time.sleep(SWEEP_EVERY)


def _handler() -> Callable[[Event], object]:
    while not apps.ready:  # the server's main thread sets Django up
        time.sleep(0.1)
    from operations.lambda_handler import handler  # only now: it needs the models

    return handler


def take(handler: Callable[[Event], object]) -> None:
    """Wait a second for events and handle them. One whose handling fails comes again after a while."""
    sqs = _client("sqs", settings.EMBEDDED_AWS)
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
    for message in got.get("Messages", []):
        handler(json.loads(message["Body"]))
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
