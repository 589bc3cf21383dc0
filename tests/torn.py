"""DynamoDB as its documentation allows it to be: the items of a transaction come to be one after the other, in any
order, with readers between any two of them.

Only TransactGetItems and TransactWriteItems notice: they are refused as long as one of their items is still to come.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-isolation
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import permutations
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

Item = dict[str, Any]
KEYS = {"test-users": ("id", "auth_key"), "test-recordings": ("id", "user_id"), "test-changes": ("user_id", "version")}


class Place:
    """An item that a transaction writes, as it was before and as it is afterwards (None: not there)."""

    def __init__(self, table: str, key: Item) -> None:
        self.table, self.key = table, key
        self.before: Item | None = None
        self.after: Item | None = None

    @property
    def name(self) -> str:
        return name_of(self.table, self.key)

    def __repr__(self) -> str:
        return self.name


def name_of(table: str, key: Item) -> str:
    return f"{table} {json.dumps(key, sort_keys=True)}"


def key_in(table: str, item: Item) -> Item:
    return {name: item[name] for name in KEYS[table]}


def named(params: dict[str, Any]) -> Iterator[tuple[str, Item]]:
    """Table and key of each item that a TransactWriteItems or a TransactGetItems is about."""
    for entry in params["TransactItems"]:
        ((kind, what),) = entry.items()
        yield what["TableName"], key_in(what["TableName"], what["Item"]) if kind == "Put" else what["Key"]


class Torn:
    """`transactions` that were committed since it is there, oldest first, and what of them is still `to_come`."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.real: Any = BaseClient._make_api_call  # type: ignore[attr-defined]
        self.client: Any = None
        self.transactions: list[list[Place]] = []
        self.to_come: set[str] = set()
        self.fault: BaseException | None = None
        self.after_each: Callable[[list[Place]], None] = lambda places: None
        torn = self

        def call(client: BaseClient, action: str, params: dict[str, Any]) -> Any:
            return torn.call(client, action, params)

        patch.setattr(BaseClient, "_make_api_call", call)

    def call(self, client: BaseClient, action: str, params: dict[str, Any]) -> Any:
        if action not in ("TransactWriteItems", "TransactGetItems"):
            return self.real(client, action, params)
        self.client = client
        places = [Place(table, key) for table, key in named(params)]
        if any(place.name in self.to_come for place in places):
            reasons: Any = [{"Code": "TransactionConflict" if p.name in self.to_come else "None"} for p in places]
            message = (
                f"Transaction cancelled, please refer cancellation reasons [{', '.join(r['Code'] for r in reasons)}]"
            )
            error: Any = {"Error": {"Code": "TransactionCanceledException", "Message": message}}
            raise ClientError(error | {"CancellationReasons": reasons}, action)
        for place in places:
            place.before = self.read(place)
        answer = self.real(client, action, params)
        if action == "TransactWriteItems":
            for place in places:
                place.after = self.read(place)
            written = [place for place in places if place.before != place.after]
            self.transactions.append(written)
            self.look(written)
        return answer

    def look(self, places: list[Place]) -> None:
        """What a look finds wrong is the test's to tell: the request about it would turn it into an answer."""
        try:
            self.after_each(places)
        except BaseException as error:
            self.fault = self.fault or error
            raise

    def read(self, place: Place) -> Item | None:
        asked = {"TableName": place.table, "Key": place.key, "ConsistentRead": True}
        found: Item | None = self.real(self.client, "GetItem", asked).get("Item")
        return found

    def write(self, place: Place, item: Item | None) -> None:
        if item is None:
            self.real(self.client, "DeleteItem", {"TableName": place.table, "Key": place.key})
        else:
            self.real(self.client, "PutItem", {"TableName": place.table, "Item": item})

    def hide(self, places: Sequence[Place]) -> None:
        """Let these items be as they were, until they `come`."""
        for place in places:
            self.write(place, place.before)
            self.to_come.add(place.name)

    def come(self, places: Sequence[Place]) -> None:
        for place in places:
            self.write(place, place.after)
            self.to_come.discard(place.name)


@contextmanager
def torn() -> Iterator[Torn]:
    with pytest.MonkeyPatch.context() as patch:
        double = Torn(patch)
        yield double
    if double.fault:
        raise double.fault


def orders(places: Sequence[Place]) -> Iterator[list[Place]]:
    """Every order in which the items may come."""
    yield from map(list, permutations(places))


def parts(places: Sequence[Place]) -> Iterator[list[Place]]:
    """Every part of a transaction that may be there without the rest."""
    for bits in range(1, 2 ** len(places) - 1):
        yield [place for at, place in enumerate(places) if bits >> at & 1]
