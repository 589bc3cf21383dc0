"""Lambda's entry point for what is not HTTP: S3 events and the schedule of sweeps."""

import json
import logging
import os
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote_plus

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recorder_project.settings")
django.setup()

from lib.gateway import Event  # noqa: E402
from lib.logs import count, doing, say  # noqa: E402 - models need the settings
from operations import decode_answers  # noqa: E402
from operations.events import object_created  # noqa: E402
from operations.sweep import Kinds, sweep  # noqa: E402
from recordings.models import is_closing, is_for_all  # noqa: E402

log = logging.getLogger(__name__)

SWEEP_SECONDS = 285.0  # a sweep begins nothing after them: the schedule's next one is about to start
REST = 90.0  # seconds before Lambda ends the function, by when all has to be done


def handler(event: Event, context: Any = None) -> dict[str, int]:
    """Take S3's notifications (also through SQS, and its test event), EventBridge's schedule, and from a queue of
    their own the answers of the decoding function.

    Raises ValueError for anything else, so that the alarms see it, and whatever a record's handling raises once the
    others are done: S3 and SQS then send it again, and repeating is safe.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    work = partial(take_part, event, context) if is_schedule(event) else partial(take, event)
    return noted(kind(event), context, work)


def closing_handler(event: Event, context: Any = None) -> dict[str, int]:
    """The entry point of the one function that may erase old versions: on its schedule it closes accounts, and does
    nothing else. Images that know of no such function do not have it, and can't be called for it.
    """

    def work() -> dict[str, int]:
        if not is_schedule(event):
            raise ValueError("This is not the schedule.")
        return take_part(event, context, name="Closings", kinds=is_closing)

    return noted("closings", context, work)


def noted(route: str, context: Any, work: Callable[[], dict[str, int]]) -> dict[str, int]:
    """Do it, with a line in the log about it."""
    started, level = time.monotonic(), logging.ERROR
    outcomes: dict[str, int] = {}
    with doing(getattr(context, "aws_request_id", None) or uuid.uuid4().hex) as done:
        try:
            outcomes = work()
            level = logging.INFO
        finally:
            say(done, level=level, started=started, route=route, outcomes=outcomes)
    return outcomes


def is_schedule(event: Event) -> bool:
    return event.get("source") == "aws.events" or event.get("detail-type") == "Scheduled Event"


def kind(event: Event) -> str:
    """What the log calls it."""
    return "sweep" if is_schedule(event) else "s3" if "Records" in event or "Event" in event else "unknown"


def take_part(event: Event, context: Any, *, name: str = "Sweeps", kinds: Kinds = is_for_all) -> dict[str, int]:
    """Sweep the schedule's `part` of so many, all where it names none. Counts the run under its name."""
    part, of = event.get("part", 0), event.get("of", 1)
    if not (type(part) is type(of) is int and 0 <= part < of):
        raise ValueError("These are no parts of a sweep.")
    remaining = context.get_remaining_time_in_millis() / 1000 - REST if context else 600
    seconds = min(SWEEP_SECONDS, remaining)
    outcomes = sweep(seconds=seconds, spare=remaining - seconds, part=part, of=of, kinds=kinds)
    count(name)
    count("SweepFailed", outcomes["failed"] + outcomes["missing"] + outcomes["unclear"])
    for outcome, number in outcomes.items():
        if outcome != "failed":
            count(f"Sweep{outcome.capitalize()}", number)
    return {outcome: number for outcome, number in outcomes.items() if number}


def take(event: Event) -> dict[str, int]:
    """Handle each record, the others too where one fails. Returns how many of each came out."""
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


def handle_record(record: Event) -> str:
    if settings.DECODE_ANSWERS and record.get("eventSourceARN") == settings.DECODE_ANSWERS:
        return decode_answers.take(record["body"])
    if record.get("eventSource") == "aws:sqs":
        return ", ".join(take(json.loads(record["body"])))
    if record.get("eventSource") != "aws:s3":
        raise ValueError("This record is not S3's.")
    if not record["eventName"].removeprefix("s3:").startswith("ObjectCreated:"):
        return "ignored"
    if record["s3"].get("bucket", {}).get("name", settings.RECORDINGS_BUCKET) != settings.RECORDINGS_BUCKET:
        return "foreign"
    return object_created(unquote_plus(record["s3"]["object"]["key"]))
