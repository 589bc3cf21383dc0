"""template.yaml as CloudFormation would make it: translated by SAM's own translator, created in moto."""

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from moto import mock_aws
from moto.core.config import default_user_config
from moto.moto_api._internal.models import moto_api_backend
from pytest_django import Settings

from aws import s3
from tests import fresh, state
from tests.deploy.iam import Role, composite, hooked

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
IMAGE = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/recorder:1"
REGION = "ap-northeast-2"

Stack = dict[str, Any]


@cache
def translated() -> dict[str, Any]:
    """template.yaml without SAM."""
    import os

    from samtranslator.translator.transform import transform
    from samtranslator.yaml_helper import yaml_parse

    class NoManagedPolicies:
        def load(self) -> dict[str, str]:
            return {}

    os.environ["AWS_DEFAULT_REGION"] = REGION  # the translator asks boto3 for the partition
    try:
        plain: dict[str, Any] = transform(yaml_parse(TEMPLATE.read_text()), {"ImageUri": IMAGE}, NoManagedPolicies())
    finally:
        del os.environ["AWS_DEFAULT_REGION"]
    return plain


NOT_IN_MOTO = (
    "AWS::ApiGatewayV2::",
    "AWS::CloudWatch::Alarm",
    "AWS::S3::BucketPolicy",
    "AWS::SecretsManager::",
    "AWS::Lambda::EventInvokeConfig",
)
STAND_INS = {"Api": "api123", "Secret": "test"}


def for_moto(template: dict[str, Any]) -> dict[str, Any]:
    """The part that moto can make; what refers to the rest refers to made-up names."""
    made = {
        name: resource
        for name, resource in template["Resources"].items()
        if not resource["Type"].startswith(NOT_IN_MOTO)
    }
    return {"Resources": replaced(made)} | {name: template[name] for name in ("Parameters", "Conditions", "Mappings")}


def replaced(part: Any) -> Any:
    if isinstance(part, str):
        for name, value in STAND_INS.items():
            part = part.replace(f"${{{name}}}", value)
        return part
    if isinstance(part, list):
        return [replaced(each) for each in part]
    if isinstance(part, dict):
        return STAND_INS.get(part.get("Ref", "")) or {name: replaced(each) for name, each in part.items()}
    return part


def make_stack(name: str, **parameters: str) -> None:
    """A stack with these parameters, the others at their defaults."""
    given = {"ImageUri": IMAGE, **parameters}
    boto3.client("cloudformation", region_name=REGION).create_stack(
        StackName=name,
        TemplateBody=json.dumps(for_moto(translated())),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        Capabilities=["CAPABILITY_IAM"],
    )


def forget_bucket() -> None:
    """The stack's bucket has another name than that of other tests."""
    s3._files.cache_clear()
    state._resources.cache_clear()


@pytest.fixture(autouse=True)
def aws() -> Iterator[None]:
    """Nothing: `stack` makes what there is. Takes the place of tests/conftest.py's.

    moto gives back its settings only when the last of nested mocks ends, which would let each later test invoke
    functions that do not exist.
    """
    with patch.dict(default_user_config), mock_aws(config=fresh.CONFIG | {"lambda": {"use_docker": False}}):
        moto_api_backend.reset()  # the mock of the process around it stays as it is
        yield


@pytest.fixture
def stack(aws: None, settings: Settings) -> Iterator[None]:
    """The stack `test`, whose tables have the names that the settings give."""
    make_stack("test")
    settings.RECORDINGS_BUCKET = "test-recordings-123456789012-ap-northeast-2"
    boto3.client("s3", region_name=REGION).put_bucket_versioning(  # which moto's stacks leave out
        Bucket=settings.RECORDINGS_BUCKET, VersioningConfiguration={"Status": "Enabled"}
    )
    forget_bucket()
    with hooked("after-call.s3.HeadObject", composite):
        yield
    forget_bucket()


def physical(logical: str, stack: str = "test") -> str:
    """The name that the stack gave to its function or role."""
    functions = boto3.client("lambda", region_name=REGION).list_functions()["Functions"]
    roles = boto3.client("iam", region_name=REGION).list_roles()["Roles"]
    names = [each["FunctionName"] for each in functions] + [each["RoleName"] for each in roles]
    name: str
    (name,) = [name for name in names if name.startswith(f"{stack}-{logical}-")]
    return name


def role(name: str) -> Role:
    iam = boto3.client("iam", region_name=REGION)
    statements: list[dict[str, Any]] = []
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        document: Any = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        if isinstance(document, str):  # moto keeps a stack's policies as Python writes them
            document = ast.literal_eval(document)
        statements += document["Statement"]
    assert all(statement["Effect"] == "Allow" for statement in statements)
    return Role(statements)


@pytest.fixture
def http_role(stack: None) -> Role:
    return role(physical("HttpRole"))


@pytest.fixture
def event_role(stack: None) -> Role:
    return role(physical("EventRole"))


@pytest.fixture
def closing_role(stack: None) -> Role:
    return role(physical("ClosingRole"))


@pytest.fixture
def decode_role(stack: None) -> Role:
    return role(physical("DecodeRole"))
