"""How ministack is asked, what it answers, and its stores as text."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.core import persistence  # type: ignore[import-untyped]

from local.journal import Record, State

Asked = dict[str, Any]  # of DynamoDB: a call's JSON
Answer = tuple[int, Record, Any]  # status, headers, body
Handle = Callable[..., Awaitable[Answer]]

FULL = "The disk does not take it: %s"


def packed(**stores: Any) -> str:
    return json.dumps(stores, default=persistence._json_default)


def unpacked(state: State, service: str) -> Record:
    found: Record = json.loads(state.get(("meta", service), "{}"), object_hook=persistence._json_object_hook)
    return found
