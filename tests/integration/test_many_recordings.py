"""What a call costs does not grow with what an account holds: calls, and the units that DynamoDB counts, not time."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aws.dynamo import dynamo
from benchmarks.seed import content_hash, fill
from recordings.uploads import id_of
from tests.client import Answer, Client, declare

FEW = 200
Spent = dict[str, tuple[int, float]]  # by operation: calls, and capacity units


@contextmanager
def spending() -> Iterator[Spent]:
    """What goes to DynamoDB in this block; the dictionary is filled at its end."""
    calls: Counter[str] = Counter()
    units: Counter[str] = Counter()
    spent: Spent = {}

    def ask(params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def note(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        consumed = parsed["ConsumedCapacity"]
        each = consumed if isinstance(consumed, list) else [consumed]
        calls[model.name] += 1
        units[model.name] += sum(one["CapacityUnits"] for one in each)

    events = dynamo().client.meta.events
    events.register("before-parameter-build.dynamodb", ask)
    events.register("after-call.dynamodb", note)
    try:
        yield spent
    finally:
        events.unregister("before-parameter-build.dynamodb", ask)
        events.unregister("after-call.dynamodb", note)
        spent |= {name: (calls[name], units[name]) for name in calls}


def cost_of(act: Callable[[], Answer]) -> Spent:
    with spending() as spent:
        answer = act()
    assert answer.status < 300, answer
    return spent


def costs(client: Client, first: int) -> dict[str, Spent]:
    """By name, what each call spends that could depend on how much there is. `first` is the number of a recording."""
    hashes = [content_hash(number) for number in [*range(first, first + 100), *range(10**8, 10**8 + 400)]]
    one = f"recordings/{id_of(client.user_id, content_hash(first))}/"
    page, changes = client.get("recordings/").json, client.get("recordings/changes/?limit=50").json
    acts: dict[str, Callable[[], Answer]] = {
        "list": lambda: client.get("recordings/"),
        "next page": lambda: client.get(f"recordings/?cursor={page['next_cursor']}"),
        "changes": lambda: client.get("recordings/changes/"),
        "more changes": lambda: client.get(f"recordings/changes/?cursor={changes['cursor']}"),
        "check": lambda: client.post("recordings/check/", {"sha256": hashes}),
        "detail": lambda: client.get(one),
        "me": lambda: client.get("accounts/me/"),
        "create": lambda: client.post("recordings/", declare(b"new")),
        "edit": lambda: client.patch(one, {"name": "Another name"}),
        "trash": lambda: client.delete(one),
        "restore": lambda: client.post(f"{one}restore/"),
        "purge": lambda: client.delete(f"{one}?permanent=true"),
    }
    return {name: cost_of(act) for name, act in acts.items()}


@pytest.mark.parametrize("many", [1_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_no_call_costs_more_where_there_is_much(alice: Client, charlie: Client, many: int) -> None:
    first = many - FEW
    fill(alice.user_id, first, many)  # the same recordings: a name of more digits is longer
    fill(charlie.user_id, 0, many)
    assert costs(charlie, first) == costs(alice, first)
