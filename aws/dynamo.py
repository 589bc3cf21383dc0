"""DynamoDB as both packages use it: one client, consistent reads, transactions.

Botocore's errors end here: what is temporary becomes a 503 Problem, what is a fault of ours passes through.
"""

import base64
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, ClassVar, Self, TypeVar, cast

from botocore import __version__ as botocore_version
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import JSONParser, ResponseParserFactory
from botocore.session import Session
from django.conf import settings
from pynamodb.attributes import Attribute, UnicodeAttribute
from pynamodb.connection import Connection, TableConnection
from pynamodb.constants import NULL, NUMBER
from pynamodb.exceptions import TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from lib.deadline import begin_in_time
from lib.logs import called
from lib.problems import unavailable

# Three tries of at most 3 s each; deadline.py sees to it that all calls of a request end in time.
CONNECT_TIMEOUT, READ_TIMEOUT, RETRIES = 1, 3, 2
UNPROCESSED = 3  # how often what BatchGetItem left over is asked for again
CLASHES = {"ConditionalCheckFailed", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
PASSING = {
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
}


Value = dict[str, Any]  # of an attribute, as DynamoDB has it: `{"S": …}`
Item = dict[str, Value]  # a row, or its key, by the names of its attributes
IdT = TypeVar("IdT", bound=str)
TableT = TypeVar("TableT", bound="Table")


class Conflict(Exception):  # noqa: N818 - an answer to act on, not an error
    """Somebody else wrote first: read again and decide again."""


class Parser(JSONParser):
    """Botocore's, but for rows: it asks of each value which of ten kinds it is, a quarter of what a list costs."""

    def _handle_map(self, shape: Any, value: Any) -> Any:
        if shape.value.name != "AttributeValue":
            return super()._handle_map(shape, value)  # type: ignore[misc]
        return {name: plain(each) for name, each in value.items()}


def plain(value: Value) -> Value:
    """A value of a row, `{"S": …}`, as it came in JSON: bytes are in base64 there, and all else is what it is."""
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return {"B": base64.b64decode(content)}
        case "BS":
            return {"BS": [base64.b64decode(each) for each in content]}
        case "L":
            return {"L": [plain(each) for each in content]}
        case "M":
            return {"M": {name: plain(each) for name, each in content.items()}}
    return value


class Parsers(ResponseParserFactory):
    def create_parser(self, protocol_name: str) -> Any:
        return Parser() if protocol_name == "json" else super().create_parser(protocol_name)


class Dynamo(Connection):
    """One botocore client for all tables."""

    @property
    def session(self) -> Session:
        session = super().session
        session.register_component("response_parser_factory", Parsers())
        # Botocore says anew for each call what it runs on, a tenth of the call, unless somebody else has said it.
        session.set_default_client_config(Config(user_agent=f"Recorder Botocore/{botocore_version}"))
        return session

    def _before_send(self, request: Any, **more: Any) -> None:
        begin_in_time()
        super()._before_send(request, **more)

    def dispatch(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        called(operation_name)
        try:
            return super().dispatch(operation_name, operation_kwargs)
        except ClientError as error:
            answer: Any = error.__cause__ or error  # pynamodb leaves the status out
            status = answer.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status >= 500 or status == 429 or error.response["Error"].get("Code") in PASSING:
                raise unavailable() from error
            raise
        except BotoCoreError as error:
            raise unavailable() from error


@cache
def dynamo() -> Dynamo:
    return Dynamo(
        region=settings.AWS_REGION,
        host=settings.DYNAMODB_ENDPOINT_URL,
        connect_timeout_seconds=CONNECT_TIMEOUT,
        read_timeout_seconds=READ_TIMEOUT,
        max_retry_attempts=RETRIES,
        max_pool_connections=32,
    )


def id_attribute(kind: Callable[[str], IdT], **options: Any) -> Attribute[IdT]:  # noqa: ARG001 - for mypy
    """A text that is an id of this `kind`, which mypy lets nobody take for another."""
    return cast("Attribute[IdT]", UnicodeAttribute(**options))


class IntegerAttribute(Attribute[int]):
    """A number without a fraction."""

    attr_type = NUMBER

    def serialize(self, value: Any) -> str:
        return str(int(value))

    def deserialize(self, value: Any) -> int:
        return int(value)


class Table(Model):
    """A model whose reads are strongly consistent and whose calls go through `dynamo()`."""

    @classmethod
    def _get_connection(cls) -> TableConnection:
        if cls._connection is None or cls._connection.connection is not dynamo():
            cls._connection = None
            table = super()._get_connection()
            meta, table.connection = table.get_meta_table(), dynamo()
            if cls._indexes or meta.table_name not in dynamo()._tables:  # several models share a table
                dynamo()._tables[meta.table_name] = meta
        return cast("TableConnection", cls._connection)

    @classmethod
    def from_raw_data(cls, data: Item) -> Self:
        """A row as DynamoDB sent it. PynamoDB's own walks through all that a row could have, three times."""
        row, attributes = cls.__new__(cls), cls.get_attributes()
        values = {name: default() if callable(default) else default for name, default in cls._defaults()}
        for name, value in data.items():
            attribute = attributes.get(name)
            if attribute and NULL not in value:
                values[name] = attribute.deserialize(attribute.get_value(value))
        row.attribute_values = values
        return row

    @classmethod
    @cache
    def _defaults(cls) -> list[tuple[str, Any]]:
        return [(name, each.default) for name, each in cls.get_attributes().items() if each.default is not None]

    def update_if(self, condition: Condition, *actions: Action) -> bool:
        """Change the row where the condition holds. Returns whether it did. One UpdateItem."""
        try:
            self.update(list(actions), condition=condition)
        except UpdateError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            return False
        return True

    @classmethod
    def find(cls, hash_key: str, range_key: str | int) -> Self | None:
        """The row as it is now, or None. One GetItem."""
        try:
            return cls.get(hash_key, range_key, consistent_read=True)
        except cls.DoesNotExist:
            return None


def elsewhere(model: type[TableT], table_name: str) -> type[TableT]:
    """The model's rows in another table, such as the one that was there before a restore."""
    place = type("Meta", (), {"table_name": table_name})
    return type(model.__name__, (model,), {"Meta": place, "_connection": None})


class TokenRow(Table):
    """A row for one token, which opens what it says to whoever has it. `id` is `"<KIND>:<the token's hash>"`."""

    KIND: ClassVar[str]

    id = UnicodeAttribute(hash_key=True)
    auth_key = UnicodeAttribute(range_key=True)

    @classmethod
    def place(cls, public_id: str) -> tuple[str, str]:
        return f"{cls.KIND}:{public_id}", cls.KIND

    @classmethod
    def bare(cls, public_id: str, **values: Any) -> Self:
        return cls(*cls.place(public_id), **values)

    @classmethod
    def of(cls, public_id: str) -> Self | None:
        return cls.find(*cls.place(public_id))

    @classmethod
    def batch(cls, public_ids: Iterable[str]) -> dict[str, Self]:
        """Those that are there, by `public_id`. One BatchGetItem for each 100, none for none."""
        places = {cls.place(id) for id in public_ids}
        return {row.public_id: row for row in cls.batch_get(places, consistent_read=True)}

    @property
    def public_id(self) -> str:
        """The hash alone, by which its owner knows it."""
        return str(self.id).partition(":")[2]


def find_all(*wanted: tuple[type[Table], str, str | int]) -> list[Any]:
    """Rows of several tables as they are now, None in the place of each that is not there. One BatchGetItem."""
    asked: dict[str, list[Any]] = {}
    for model, *key in wanted:
        asked.setdefault(model.Meta.table_name, []).append(_raw_key(model, *key))
    requests = {name: {"Keys": keys, "ConsistentRead": True} for name, keys in asked.items()}
    found: list[tuple[str, Item]] = []
    for _ in range(UNPROCESSED):
        answer = dynamo().dispatch("BatchGetItem", {"RequestItems": requests})
        found += [(name, item) for name, items in answer["Responses"].items() for item in items]
        requests = answer.get("UnprocessedKeys") or {}
        if not requests:
            return [_pick(found, model, _raw_key(model, *key)) for model, *key in wanted]
    raise unavailable()


def find_at_once(*wanted: tuple[type[Table], str, str | int]) -> list[Any]:
    """Rows of several tables as they are at one moment, None in the place of each that is not there; no transaction is
    half in it. One TransactGetItems, of 100 different rows at most. Raises Conflict where it met a transaction.
    """
    keys = [{"TableName": model.Meta.table_name, "Key": _raw_key(model, *key)} for model, *key in wanted]
    try:
        answer = dynamo().dispatch("TransactGetItems", {"TransactItems": [{"Get": key} for key in keys]})
    except ClientError as error:
        met = error.response["Error"].get("Code") == "TransactionCanceledException"
        if met and any(clash in str(error) for clash in CLASHES):
            raise Conflict from error
        raise
    items = [each.get("Item") for each in answer["Responses"]]
    return [model.from_raw_data(item) if item else None for (model, *_), item in zip(wanted, items, strict=True)]


def _raw_key(model: type[Table], hash_key: Any, range_key: Any) -> Item:
    values = [
        (each, hash_key if each.is_hash_key else range_key)
        for each in model.get_attributes().values()
        if each.is_hash_key or each.is_range_key
    ]
    return {each.attr_name: {each.attr_type: each.serialize(value)} for each, value in values}


def _pick(found: list[tuple[str, Item]], model: type[Table], key: Item) -> Table | None:
    for name, item in found:
        if name == model.Meta.table_name and key.items() <= item.items():
            return model.from_raw_data(item)
    return None


def create_table(*models: type[Table]) -> None:
    """Make each model's table, with its indexes and its TTL, unless it is there. Returns when all can be used."""
    for model in models:
        model.create_table(wait=True, billing_mode="PAY_PER_REQUEST")
        client: Any = dynamo().client
        ttl = client.describe_time_to_live(TableName=model.Meta.table_name)["TimeToLiveDescription"]
        if "expires_at" in model.get_attributes() and ttl["TimeToLiveStatus"] in ("DISABLED", "DISABLING"):
            model._get_connection().update_time_to_live("expires_at")


def transaction() -> TransactWrite:
    return TransactWrite(connection=dynamo())


def commit(write: TransactWrite) -> None:
    """Send one transaction. Raises Conflict when one of its conditions did not hold, or when it met another."""
    try:
        write._commit()
    except TransactWriteError as error:
        if CLASHES.intersection(reason.code for reason in error.cancellation_reasons if reason):
            raise Conflict from error
        raise
