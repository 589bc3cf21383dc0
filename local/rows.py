"""DynamoDB of ministack, with a journal: see durable.py."""

import copy
import json
import logging
import re
import time
from collections.abc import Iterator
from typing import Any

from ministack.core.responses import (  # type: ignore[import-untyped]
    AccountRegionScopedDict,
    get_account_id,
    get_region,
)
from ministack.services import dynamodb  # type: ignore[import-untyped]

from local.journal import Journal, Key, Record, State
from local.stores import FULL, Answer, Asked, Handle, packed, unpacked

log = logging.getLogger("rows")

ROWS = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"}
TABLES = {
    *("CreateTable", "UpdateTable", "DeleteTable", "UpdateTimeToLive", "UpdateContinuousBackups"),
    *("TagResource", "UntagResource"),
}
READS = re.compile(r"(Describe|List|Get|BatchGet|TransactGet)\w*|Query|Scan")
TOKENS = 1000  # of transactions that are remembered, for when they come again


class Rows:
    """What a request changes is compared by identity: ministack replaces a row, it never changes one."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.handle: Handle = dynamodb.handle_request
        self.meta = ""

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Answer:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action not in ROWS | TABLES and not READS.fullmatch(action):
            return refused("UnknownOperationException", f"{action} is not kept", 400)
        change = self._rows if action in ROWS else self._tables if action in TABLES else None
        if change is None:
            return await self.handle(method, path, headers, body, query)
        try:
            return await change(action, json.loads(body), (method, path, headers, body, query))
        except OSError as error:
            log.error(FULL, error)  # noqa: TRY400 - a full disk has no use for long lines
            return refused("ServiceUnavailable", FULL % error, 503)

    async def _rows(self, action: str, data: Asked, request: tuple[Any, ...]) -> Answer:
        places = {key: (table, row(table, key)) for key, table in targets(action, data)}
        try:
            answer = await self.handle(*request)
            changes = {key: row(table, key) for key, (table, old) in places.items() if row(table, key) is not old}
            self.journal.write(changes)
        except BaseException:
            for key, (table, old) in places.items():
                set_row(table, key, old)
                dynamodb._update_counts(table)
            dynamodb._txn_idempotency.pop(data.get("ClientRequestToken"), None)
            raise
        tokens = dynamodb._txn_idempotency._data
        while len(tokens) > TOKENS:
            del tokens[next(iter(tokens))]
        return answer

    async def _tables(self, action: str, data: Asked, request: tuple[Any, ...]) -> Answer:
        stores = (dynamodb._tables, dynamodb._tags, dynamodb._ttl_settings, dynamodb._pitr_settings)
        before = [{key: copied(value) for key, value in store._data.items()} for store in stores]
        table = dynamodb._tables.get(data.get("TableName")) if action == "DeleteTable" else None
        rows = list(rows_of(table, row_key(data["TableName"], "", "")[:4])) if table else []
        try:
            answer = await self.handle(*request)
            meta = tables_meta()
            gone = {} if dynamodb._tables.get(data.get("TableName")) else dict.fromkeys(rows)
            if meta != self.meta:
                self.journal.write({("meta", "dynamodb"): meta, **gone})
        except BaseException:
            for store, values in zip(stores, before, strict=True):
                store._data.clear()
                store._data.update(values)
            raise
        self.meta = meta
        return answer


def refused(code: str, message: str, status: int) -> Answer:
    answer: Answer = dynamodb.error_response_json(code, message, status)
    return answer


def targets(action: str, data: Asked) -> Iterator[tuple[Key, Record]]:
    """The rows that a request may write, as keys of the journal, each with its table."""
    named: list[tuple[Any, Any]] = []
    if action == "BatchWriteItem":
        for name, requests in data["RequestItems"].items():
            named += [(name, value) for request in requests for value in request.values()]
    elif action == "TransactWriteItems":
        named += [(value["TableName"], value) for request in data["TransactItems"] for value in request.values()]
    else:
        named = [(data.get("TableName"), data)]
    for name, value in named:
        table, attributes = dynamodb._tables.get(name), value.get("Item") or value.get("Key")
        if table and attributes:
            sort = dynamodb._extract_key_val(attributes.get(table["sk_name"])) if table["sk_name"] else "__no_sort__"
            yield row_key(name, dynamodb._extract_key_val(attributes.get(table["pk_name"])), sort), table


def copied(value: Any) -> Any:
    """A table, but for its rows, or what else there is about one."""
    if not isinstance(value, dict) or "items" not in value:
        return copy.deepcopy(value)
    return copy.deepcopy({**value, "items": None}) | {"items": value["items"]}


def row_key(table: str, partition: str, sort: str) -> Key:
    return ("row", get_account_id(), get_region(), table, partition, sort)


def row(table: Record, key: Key) -> Any:
    return table["items"].get(key[4], {}).get(key[5])


def set_row(table: Record, key: Key, item: Any) -> None:
    if item is None:
        table["items"].get(key[4], {}).pop(key[5], None)
    else:
        table["items"][key[4]][key[5]] = item


def rows_of(table: Record, prefix: Key) -> Iterator[Key]:
    for partition, rows in table["items"].items():
        for sort in rows:
            yield (*prefix, partition, sort)


def tables_meta() -> str:
    """All about the tables but their rows."""
    tables = AccountRegionScopedDict()
    tables._data = {
        key: {**table, "items": {}, "ItemCount": 0, "TableSizeBytes": 0}
        for key, table in dynamodb._tables._data.items()
    }
    return packed(
        tables=tables,
        tags=dynamodb._tags,
        ttl_settings=dynamodb._ttl_settings,
        pitr_settings=dynamodb._pitr_settings,
    )


def expired(state: State) -> Iterator[Key]:
    """The rows whose time to live is over: ministack has let them go without a word."""
    settings = getattr(unpacked(state, "dynamodb").get("ttl_settings"), "_data", {})
    enabled = {each: found for each, found in settings.items() if found.get("TimeToLiveStatus") == "ENABLED"}
    now = time.time()
    for key, item in state.items():
        name = enabled.get(key[1:4], {}).get("AttributeName") if key[0] == "row" else None
        if name and float(item.get(name, {}).get("N", "inf")) <= now:
            yield key
