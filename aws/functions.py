"""The edge to AWS Lambda: having another function called, which answers somewhere else."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from aws.s3 import session
from lib.deadline import begin_in_time
from lib.logs import called
from lib.problems import unavailable

CONNECT_TIMEOUT, READ_TIMEOUT, TRIES = 1, 5, 3  # seconds, of each try


@cache
def client() -> Any:
    how = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": TRIES},
    )
    made = session().client("lambda", region_name=settings.AWS_REGION, config=how)
    made.meta.events.register("before-call.lambda", lambda model, **_: called(model.name))
    made.meta.events.register("before-send.lambda", begin_in_time)
    return made


def call(function: str, event: Mapping[str, object]) -> None:
    """Have Lambda call the function with this event, soon. Raises a 503 Problem where it does not take it, for
    whatever reason: nothing has been done then.
    """
    try:
        client().invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode())
    except (BotoCoreError, ClientError) as error:
        raise unavailable() from error
