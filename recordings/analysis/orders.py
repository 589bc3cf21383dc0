"""Decoding by a Lambda function that may do nothing else (decode_function.py): ordered here, its answers read here.

An order is sealed: it says for which bytes of which recording, and for which try at them, an answer may be written.
Whoever can put something into the queue of answers can therefore write nothing else, nor anything twice: once a
recording has been heard, or another try has begun, the old order is over.
"""

import json
import math
from typing import Any, Literal, NotRequired, TypedDict, cast

from django.conf import settings
from django.core import signing

from aws import functions, presign
from recordings.analysis.decoding import Told, most_bytes
from recordings.keys import RecordingId, UserId
from recordings.models import Recording, Share

SALT = "recordings.orders"
SECONDS = 3600  # for which an order's URL works, and its answer counts for an hour more
MOST_BODY = 2**18  # bytes of an answer with its order: 256 KB is what Lambda hands on


class Task(TypedDict):
    """What the function shall do."""

    task: Literal["read", "read_header", "cut"]
    start: NotRequired[float]  # these three are a cut's: seconds of the recording,
    end: NotRequired[float]
    form: NotRequired[presign.Form]  # and where the part goes


class Order(Task):
    """What the function is sent."""

    url: str
    seal: str


class About(TypedDict):
    """What the seal says of an order: for what an answer to it may be written."""

    user_id: UserId
    id: RecordingId
    key: str
    tries: int
    share_id: NotRequired[str]


def order_facts(row: Recording, tries: int, *, header: bool) -> None:
    """Have the recording listened to. Raises a 503 Problem where that can't be ordered."""
    send(row, {"task": "read_header" if header else "read"}, about(row, tries))


def order_part(row: Recording, share: Share, tries: int) -> None:
    """Have a share's part cut out and stored. Raises as `order_facts` does."""
    start, end = float(share.start), float(share.end)
    form = presign.presign_form(
        row.excerpt_key(share.public_id), most=most_bytes(end - start), content_type="audio/mp4", seconds=SECONDS
    )
    task: Task = {"task": "cut", "start": start, "end": end, "form": form}
    send(row, task, {**about(row, tries), "share_id": share.public_id})


def about(row: Recording, tries: int) -> About:
    return {"user_id": row.user_id, "id": row.id, "key": row.stored_key, "tries": tries}


def send(row: Recording, task: Task, about: About) -> None:
    url = presign.presign_read(row.stored_key, seconds=SECONDS)
    order: Order = {**task, "url": url, "seal": signing.dumps(about, salt=SALT)}
    functions.call(settings.DECODE_FUNCTION, order)


class Answer:
    """What the queue brings: an order's, as far as the seal says, and `said`, which nobody vouches for."""

    def __init__(self, body: str) -> None:
        """Raises ValueError for what no order of ours is answered by."""
        if len(body) > MOST_BODY:
            raise ValueError("This is longer than any answer.")
        try:
            told = json.loads(body)
            self.about: About = signing.loads(told["requestPayload"]["seal"], salt=SALT, max_age=2 * SECONDS)
            self.never_begun = told["requestContext"]["condition"] == "EventAgeExceeded"
        except (KeyError, TypeError, RecursionError, signing.BadSignature) as error:
            raise ValueError("This answers no order.") from error
        said = told.get("responsePayload")
        self.said = cast("Told", said if isinstance(said, dict) else {})

    @property
    def seconds(self) -> float | None:
        """Of a part: how long it is, 0 where there is none; None where that did not come to an end."""
        length: Any = self.said.get("seconds")
        is_one = type(length) in (int, float) and math.isfinite(length) and length >= 0
        return float(length) if is_one else None
