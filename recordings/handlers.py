"""Lambda's entry point for what is not HTTP: S3 events and the hourly schedule."""

import json
import logging
import os
from typing import Any
from urllib.parse import unquote_plus

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recorder_project.settings")
django.setup()

from recordings.events import object_created  # noqa: E402 - models need the settings
from recordings.sweeping import sweep  # noqa: E402

log = logging.getLogger(__name__)


def handler(event: dict[str, Any], context: Any = None) -> dict[str, Any]:
    """Take S3's notifications (also through SQS, and its test event), and EventBridge's schedule.

    Raises ValueError for anything else, so that the alarms see it, and whatever a record's handling raises once the
    others are done: S3 and SQS then send it again, and repeating is safe.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    if event.get("source") == "aws.events" or event.get("detail-type") == "Scheduled Event":
        remaining = context.get_remaining_time_in_millis() / 1000 - 30 if context else 600
        return dict(sweep(seconds=remaining))
    if event.get("Event") == "s3:TestEvent":
        return {"test": 1}
    records = event.get("Records")
    if not isinstance(records, list) or not records:
        raise ValueError("This is neither an S3 notification nor the schedule.")
    outcomes: dict[str, int] = {}
    failures: list[Exception] = []
    for record in records:
        try:
            outcome = handle_record(record)
        except Exception as error:
            log.exception("A record could not be handled")
            failures.append(error)
        else:
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    if failures:
        raise failures[0]
    return outcomes


def handle_record(record: dict[str, Any]) -> str:
    if record.get("eventSource") == "aws:sqs":
        return ", ".join(handler(json.loads(record["body"])))
    if record.get("eventSource") != "aws:s3":
        raise ValueError("This record is not S3's.")
    if not record["eventName"].removeprefix("s3:").startswith("ObjectCreated:"):
        return "ignored"
    return object_created(unquote_plus(record["s3"]["object"]["key"]))
