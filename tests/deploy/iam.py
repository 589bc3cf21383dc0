"""IAM as AWS applies it to what Recorder calls: which actions on which resources a call needs, and whether a role's
policies allow them.

moto's own enforcement knows no tables, asks for a TransactWriteItems that IAM does not have, and fails at presigned
URLs. The table of what each call needs is AWS's: https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

import fnmatch
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from aws import functions, s3
from aws.dynamo import dynamo

Need = tuple[str, str, tuple[tuple[str, str], ...]]  # action, resource, condition keys of the request

TRANSACT = {
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
ON_OBJECT = {
    "HeadObject": "GetObject",
    "GetObject": "GetObject",
    "PutObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload",
    "ListParts": "ListMultipartUploadParts",
    "DeleteObject": "DeleteObject",
}
ON_BUCKET = {
    "HeadBucket": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
}


def table(name: str) -> str:
    return f"arn:aws:dynamodb:ap-northeast-2:123456789012:table/{name}"


def function(name: str) -> str:
    return f"arn:aws:lambda:ap-northeast-2:123456789012:function:{name}"


def bucket(name: str) -> str:
    return f"arn:aws:s3:::{name}"


def needs(operation: str, params: dict[str, Any]) -> Iterator[Need]:
    """What the caller must be allowed to do."""
    if operation == "CreateBucket":
        return  # as botocore calls it to sign a form, whose key it does not tell
    if "FunctionName" in params:
        yield "lambda:InvokeFunction", function(params["FunctionName"]), ()
    else:
        yield from of_s3(operation, params) if "Bucket" in params else of_dynamodb(operation, params)


def of_dynamodb(operation: str, params: dict[str, Any]) -> Iterator[Need]:
    if operation in ("TransactWriteItems", "TransactGetItems"):
        for item in params["TransactItems"]:
            for kind, content in item.items():
                yield f"dynamodb:{TRANSACT[kind]}", table(content["TableName"]), ()
    elif operation in ("BatchGetItem", "BatchWriteItem"):
        for name in params["RequestItems"]:
            yield f"dynamodb:{operation}", table(name), ()
    else:
        index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
        yield f"dynamodb:{operation}", table(params["TableName"]) + index, ()


def of_s3(operation: str, params: dict[str, Any]) -> Iterator[Need]:
    if operation == "DeleteObjects":
        for item in params["Delete"]["Objects"]:
            version = "Version" if "VersionId" in item else ""
            yield f"s3:DeleteObject{version}", f"{bucket(params['Bucket'])}/{item['Key']}", ()
    elif operation in ON_BUCKET:
        keys = (("s3:prefix", params["Prefix"]),) if "Prefix" in params else ()
        yield f"s3:{ON_BUCKET[operation]}", bucket(params["Bucket"]), keys
    else:
        version = "Version" if "VersionId" in params else ""
        yield f"s3:{ON_OBJECT[operation]}{version}", f"{bucket(params['Bucket'])}/{params['Key']}", ()


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def holds(condition: dict[str, dict[str, Any]], keys: dict[str, str]) -> bool:
    """Whether a request with these keys meets a Condition. Knows the operators that template.yaml uses."""
    for operator, wanted in condition.items():
        for key, patterns in wanted.items():
            if operator not in ("StringLike", "StringLikeIfExists"):
                raise AssertionError(f"Nobody has said here what {operator} means.")
            if key not in keys and operator.endswith("IfExists"):
                continue
            if not any(fnmatch.fnmatchcase(keys.get(key, ""), pattern) for pattern in listed(patterns)):
                return False
    return True


@dataclass
class Role:
    """A role's statements (all of them Allow), and what was asked of it: each need with the answer."""

    statements: list[dict[str, Any]]
    asked: dict[Need, bool] = field(default_factory=dict)

    def allows(self, action: str, resource: str, keys: tuple[tuple[str, str], ...] = ()) -> bool:
        return any(
            any(fnmatch.fnmatchcase(action, pattern) for pattern in listed(statement["Action"]))
            and any(fnmatch.fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
            and holds(statement.get("Condition", {}), dict(keys))
            for statement in self.statements
        )

    def ask(self, need: Need) -> bool:
        self.asked[need] = self.allows(*need)
        return self.asked[need]

    @property
    def grants(self) -> list[tuple[str, str]]:
        """Each action with each resource that some statement names for it."""
        return [
            (action, resource)
            for statement in self.statements
            for action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        ]

    def without(self, action: str, resource: str) -> "Role":
        """This role, less one grant."""
        single = [
            {**statement, "Action": each, "Resource": where}
            for statement in self.statements
            for each in listed(statement["Action"])
            for where in listed(statement["Resource"])
        ]
        return Role([each for each in single if (each["Action"], each["Resource"]) != (action, resource)])


@contextmanager
def acting_as(role: Role) -> Iterator[Role]:
    """Let the app's calls, and the presigned URLs that it signs, do only what `role` may."""

    def check(params: dict[str, Any], model: Any, **_: Any) -> None:
        for need in needs(model.name, params):
            if not role.ask(need) and model.name != "DeleteObjects":
                raise denied(model.name, f"{need[0]} on {need[1]}")

    def refuse(model: Any, context: dict[str, Any], **_: Any) -> Any:
        """S3 answers DeleteObjects all the same, with what was denied."""
        if model.name != "DeleteObjects" or all(role.allows(*need) for need in needs(model.name, context["asked"])):
            return None
        errors = [{"Key": each["Key"], "Code": "AccessDenied"} for each in context["asked"]["Delete"]["Objects"]]
        return SimpleNamespace(status_code=200), {"Errors": errors, "ResponseMetadata": {"HTTPStatusCode": 200}}

    def missing(parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        """S3 says 404 only to those who may list; to others a missing object is forbidden."""
        absent = parsed["ResponseMetadata"].get("HTTPStatusCode") == 404 and "Key" in context.get("asked", {})
        if absent and not role.ask(("s3:ListBucket", bucket(context["asked"]["Bucket"]), ())):
            parsed["Error"] = {"Code": "403", "Message": "Forbidden"}
            parsed["ResponseMetadata"]["HTTPStatusCode"] = 403

    def remember(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["asked"] = params

    with (
        hooked("before-parameter-build", check),
        hooked("provide-client-params", remember),
        hooked("before-call", refuse),
        hooked("after-call", missing),
    ):
        yield role


def denied(operation: str, what: str) -> ClientError:
    answer: Any = {"Error": {"Code": "AccessDenied", "Message": what}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    return ClientError(answer, operation)


@contextmanager
def hooked(event: str, handler: Callable[..., Any]) -> Iterator[None]:
    clients: list[Any] = [dynamo().client, s3.client(), functions.client()]
    for client in clients:
        client.meta.events.register(event, handler)
    try:
        yield
    finally:
        for client in clients:
            client.meta.events.unregister(event, handler)


def composite(parsed: dict[str, Any], **_: Any) -> None:
    """What S3 says of an object that came in parts: a hash of hashes, marked as one. moto forgets the mark."""
    if "-" in parsed.get("ETag", "") and "ChecksumSHA256" in parsed:
        parsed["ChecksumSHA256"] += "-" + parsed["ETag"].strip('"').partition("-")[2]
