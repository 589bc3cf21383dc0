"""Time as the tables and the API write it."""

import datetime
import time


def now() -> str:
    """The time as the tables and the API write it: ISO 8601, UTC, milliseconds."""
    return stamp(datetime.datetime.now(datetime.UTC))


def stamp(moment: datetime.datetime) -> str:
    """`moment` (aware) in the one form that sorts as text."""
    return moment.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def seconds_since(moment: str) -> float:
    """How long ago a time of the tables was."""
    return time.time() - datetime.datetime.fromisoformat(moment).timestamp()


def days_from_now(days: float) -> str:
    return stamp(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days))
