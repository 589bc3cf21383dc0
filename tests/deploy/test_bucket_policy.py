"""The bucket's policy, evaluated as S3 does: who may take away what keeps recordings for 35 days."""

import fnmatch
import re
from typing import Any

import pytest

from tests.deploy.conftest import translated
from tests.deploy.iam import listed

ACCOUNT = "arn:aws:iam::123456789012"
CLOSING, ROOT, ADMIN = f"{ACCOUNT}:role/ClosingRole", f"{ACCOUNT}:root", f"{ACCOUNT}:role/Admin"
SSO, GLASS = f"{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/Sso", f"{ACCOUNT}:role/recorder-break-glass"
DEPLOY = f"{ADMIN},{ACCOUNT}:role/*/Admin,{ACCOUNT}:role/Sso,{ACCOUNT}:role/*/Sso"
OTHERS = {
    f"{ACCOUNT}:role/HttpRole",
    f"{ACCOUNT}:role/EventRole",
    f"{ACCOUNT}:role/DecodeRole",
    f"{ACCOUNT}:role/ClosingRoleOfAnother",
    f"{ACCOUNT}:role/NotAdmin",
    f"{ACCOUNT}:user/Admin",
    "arn:aws:iam::210987654321:role/Admin",
    "",  # nobody, or a service of AWS's
}
EVERYBODY = {CLOSING, ROOT, ADMIN, SSO, GLASS, *OTHERS}
SETTINGS = ["s3:PutLifecycleConfiguration", "s3:PutBucketVersioning", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"]
OBJECT = "arn:aws:s3:::test/recordings/u/r/a"


def resolved(part: Any, parameters: dict[str, str]) -> Any:
    """A part of the template as CloudFormation makes it."""
    if isinstance(part, list):
        done = [resolved(each, parameters) for each in part]
        return [each for each in done if each is not None]
    if not isinstance(part, dict) or len(part) != 1 or not next(iter(part)).startswith(("Fn::", "Ref")):
        return {key: resolved(each, parameters) for key, each in part.items()} if isinstance(part, dict) else part
    ((name, given),) = part.items()
    if name == "Fn::If":
        return resolved(given[1] if parameters[given[0].removeprefix("Has")] else given[2], parameters)
    if name == "Ref":
        return {"AWS::NoValue": None, "DeployRoles": parameters["DeployRoles"].split(",")}.get(
            given, parameters.get(given)
        )
    if name == "Fn::GetAtt":
        return {"ClosingRole": CLOSING, "Bucket": "arn:aws:s3:::test"}[given[0]]
    if name == "Fn::Sub":
        known = {"AWS::Partition": "aws", "AWS::AccountId": "123456789012", "Bucket.Arn": "arn:aws:s3:::test"}
        return re.sub(r"\$\{([^}]+)\}", lambda match: known[match[1]], given)
    if name == "Fn::Join":
        return given[0].join(resolved(given[1], parameters))
    assert name == "Fn::Split", name
    return resolved(given[1], parameters).split(given[0])


def statements(deploy: str = "", glass: str = "") -> list[dict[str, Any]]:
    policy = translated()["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]
    found: list[dict[str, Any]] = resolved(policy["Statement"], {"DeployRoles": deploy, "BreakGlassRole": glass})
    return found


def like(arn: str, pattern: str) -> bool:
    """ArnLike: each of six parts by itself."""
    parts, patterns = arn.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))


def meets(condition: dict[str, Any], principal: str) -> bool:
    """Of a call over TLS 1.3. A negated operator holds where the key is missing, as of nobody."""
    ((operator, ((key, values),)),) = ((name, tuple(each.items())) for name, each in condition.items())
    if operator in ("Bool", "NumericLessThan"):
        return False
    assert (operator, key) == ("ArnNotLike", "aws:PrincipalArn")
    return not any(like(principal, each) for each in listed(values))


def denied(action: str, resource: str, **parameters: str) -> set[str]:
    """Whom the policy keeps from it, whatever rights they have."""
    return {
        principal
        for principal in EVERYBODY
        for each in statements(**parameters)
        if each["Effect"] == "Deny"
        and each["Principal"] == "*"
        and any(fnmatch.fnmatchcase(action, pattern) for pattern in listed(each["Action"]))
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in listed(each["Resource"]))
        and meets(each["Condition"], principal)
    }


def test_the_closing_role_alone_deletes_versions_and_who_breaks_the_glass() -> None:
    for deploy in ("", DEPLOY):
        assert denied("s3:DeleteObjectVersion", OBJECT, deploy=deploy) == EVERYBODY - {CLOSING}
        assert denied("s3:DeleteObjectVersion", OBJECT, deploy=deploy, glass=GLASS) == EVERYBODY - {CLOSING, GLASS}


@pytest.mark.parametrize("action", SETTINGS)
def test_who_deploys_alone_changes_what_keeps_versions_and_who_breaks_the_glass(action: str) -> None:
    bucket = "arn:aws:s3:::test"
    assert denied(action, bucket, deploy=DEPLOY) == EVERYBODY - {ADMIN, SSO, ROOT}
    assert denied(action, bucket, deploy=DEPLOY, glass=GLASS) == EVERYBODY - {ADMIN, SSO, ROOT, GLASS}


@pytest.mark.parametrize("action", SETTINGS)
def test_nobody_is_locked_out_where_nobody_said_who_deploys(action: str) -> None:
    assert denied(action, "arn:aws:s3:::test") == set()


def test_all_else_is_as_roles_say() -> None:
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectVersion"):
        assert denied(action, OBJECT, deploy=DEPLOY, glass=GLASS) == set()
    for action in ("s3:ListBucket", "s3:GetBucketPolicy", "s3:PutBucketNotification", "s3:PutBucketCORS"):
        assert denied(action, "arn:aws:s3:::test", deploy=DEPLOY) == set()


def test_the_policy_names_principals_by_condition_alone() -> None:
    """What NotPrincipal names has to be there, session by session."""
    assert [each for each in statements(DEPLOY, GLASS) if "NotPrincipal" in each] == []
