"""moto's tables and bucket as `create_tables` makes them: made once in a process, and new for whoever asks."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from moto import mock_aws
from moto.core.config import DefaultConfig
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends

from recordings.models import SHARDS

# boto3 keeps its session, and with it what it has read of each service: megabytes of JSON.
CONFIG: DefaultConfig = {"core": {"reset_boto3_session": False}}

_made: list[dict[str, Any]] = []  # what the backends of DynamoDB and S3 hold then


def make() -> None:
    """Outside of any mock, with the settings of the process: before the first test has changed anything."""
    with mock_aws(config=CONFIG):
        call_command("create_tables", verbosity=0)
        _made[:] = copy.deepcopy([vars(backend) for backend in _backends()])


def put() -> None:
    """Into a mock: what was there of DynamoDB and S3 is gone."""
    for backend, made in zip(_backends(), _made, strict=True):
        backend.reset()
        vars(backend).update(copy.deepcopy(made))
    s3_backends.bucket_accounts[settings.RECORDINGS_BUCKET] = ("aws", DEFAULT_ACCOUNT_ID)


def _backends() -> list[Any]:
    dynamodb, s3 = dynamodb_backends[DEFAULT_ACCOUNT_ID], s3_backends[DEFAULT_ACCOUNT_ID]
    return [dynamodb[settings.AWS_REGION], s3["aws"]]


class OccupiedShards:
    """The shards of `by_due` in which a row is, whenever it is asked."""

    def __getitem__(self, part: slice) -> list[str]:
        (dynamodb, _) = _backends()
        rows = dynamodb.tables[settings.RECORDINGS_TABLE].all_items()
        occupied = {row.attrs["due_shard"].value for row in rows if "due_shard" in row.attrs}
        return [shard for shard in SHARDS[part] if shard in occupied]


@contextmanager
def quick_moto() -> Iterator[None]:
    """moto that writes texts, numbers and truths of rows as they are: the same answers, in half of the time.

    By itself it looks at each of them for ten types that it might have, under two names each.
    """
    whole: Any = BaseJSONSerializer._serialize_type_structure

    def serialize(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue" and type(value) is dict and len(value) == 1:
            ((kind, content),) = value.items()
            if (kind in ("S", "N") and type(content) is str) or (kind == "BOOL" and type(content) is bool):
                serialized[key] = value
                return
        whole(self, serialized, value, shape, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseJSONSerializer, "_serialize_type_structure", serialize)
        yield
