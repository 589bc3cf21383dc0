"""deploy.sh, with stand-ins for aws and docker that write down how they were called."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAND_IN = """#!/bin/sh
[ "$1" != login ] || cat >/dev/null
echo "$(basename "$0") $*" >>"$CALLS"
case "$*" in *RoleARN* | *Parameters*) [ -z "$STACK_ERROR" ] || { echo "$STACK_ERROR" >&2; exit 254; } ;; esac
case "$*" in
*get-caller-identity*) printf '123456789012\t%s\n' "${CALLER:-arn:aws:iam::123456789012:user/me}" ;;
*RoleARN*) echo "${SERVICE_ROLE:-None}" ;;
*DeployRoles*ParameterValue*) echo "${DEPLOY_ROLES:-}" ;;
*BreakGlassRole*ParameterValue*) echo "${BREAK_GLASS:-}" ;;
*describe-repositories*) exit "${NO_REPOSITORY:-0}" ;;
*get-login-password*) echo secret ;;
esac
"""


@pytest.fixture(autouse=True)
def aws() -> None:
    """No stack: this is about the script."""


def deploy(path: Path, **environ: str) -> list[str]:
    """How it called the others. Their outputs are beside the point."""
    bin = path / "bin"
    bin.mkdir()
    for name in ("aws", "docker", "podman"):
        (bin / name).write_text(STAND_IN)
        (bin / name).chmod(0o755)
    calls = path / "calls"
    start = {"PATH": f"{bin}:{os.environ['PATH']}", "CALLS": str(calls), "AWS_REGION": "ap-northeast-2", **environ}
    subprocess.run([ROOT / "deploy.sh"], check=True, env=start, capture_output=True, cwd=path)
    return calls.read_text().splitlines()


def test_builds_pushes_and_deploys(tmp_path: Path) -> None:
    calls = deploy(tmp_path, NO_REPOSITORY="1", PARAMETERS="AlarmEmail=me@example.org GuestLogin=true")
    (build,) = [call for call in calls if call.startswith("docker build")]
    (push,) = [call for call in calls if call.startswith("docker push")]
    (deployed,) = [call for call in calls if "cloudformation deploy" in call]
    image = push.split()[-1]
    assert image.startswith("123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/recorder:")
    assert build == f"docker build --platform linux/amd64 -t {image} ."
    assert f"ImageUri={image} Architecture=x86_64" in deployed
    assert deployed.endswith("AlarmEmail=me@example.org GuestLogin=true")
    assert any("create-repository" in call and "IMMUTABLE" in call for call in calls)
    assert calls.index(build) < calls.index(push) < calls.index(deployed)


def test_an_earlier_image_is_deployed_and_nothing_built(tmp_path: Path) -> None:
    calls = deploy(tmp_path, TAG="v1", STACK="mine", ARCH="arm64")
    (deployed,) = [call for call in calls if "cloudformation deploy" in call]
    assert "--stack-name mine" in deployed
    assert "ImageUri=123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/mine:v1 Architecture=arm64" in deployed
    assert not any(call.startswith("docker") for call in calls)


def test_another_engine_and_no_repository_twice(tmp_path: Path) -> None:
    calls = deploy(tmp_path, ENGINE="podman", ARCH="arm64")
    assert any(call.startswith("podman build --platform linux/arm64") for call in calls)
    assert not any("create-repository" in call for call in calls)


ACCOUNT = "arn:aws:iam::123456789012"
ADMIN = "arn:aws:sts::123456789012:assumed-role/Admin/me@example.org"
ROLES = f"{ACCOUNT}:role/Admin,{ACCOUNT}:role/*/Admin"
USER = f"{ACCOUNT}:user/me"
SERVICE = f"{ACCOUNT}:role/cloudformation"
ROOT_USER = f"{ACCOUNT}:root"


@pytest.mark.parametrize(
    ("environ", "roles"),
    [
        ({"CALLER": ADMIN}, ROLES),
        ({"CALLER": USER}, USER),
        ({"CALLER": ADMIN, "SERVICE_ROLE": SERVICE}, SERVICE),
        ({"CALLER": ADMIN.replace("aws", "aws-cn", 1)}, ROLES.replace("aws:", "aws-cn:")),
        ({"CALLER": ADMIN, "DEPLOY_ROLES": f"{USER},{ROLES}"}, f"{USER},{ROLES}"),
        (
            {"CALLER": ADMIN, "DEPLOY_ROLES": f"{ACCOUNT}:role/aws-reserved/x/Admin"},
            "role/aws-reserved",
        ),
        ({"CALLER": ADMIN, "DEPLOY_ROLES": USER, "BREAK_GLASS": f"{ACCOUNT}:role/Admin"}, USER),
        ({"CALLER": ROOT_USER, "DEPLOY_ROLES": USER}, USER),
    ],
)
def test_who_deploys_guards_the_bucket_from_then_on(tmp_path: Path, environ: dict[str, str], roles: str) -> None:
    (deployed,) = [call for call in deploy(tmp_path, TAG="v1", **environ) if "cloudformation deploy" in call]
    (given,) = [word for word in deployed.split() if word.startswith("DeployRoles=")]
    assert roles in given
    assert given.count("arn:") == roles.count("arn:") or roles.startswith("role/")


@pytest.mark.parametrize(
    "environ",
    [
        {"CALLER": ADMIN, "DEPLOY_ROLES": USER},
        {"CALLER": USER, "DEPLOY_ROLES": ROLES},
        {"CALLER": ADMIN, "DEPLOY_ROLES": ROLES, "SERVICE_ROLE": SERVICE},
    ],
)
def test_whom_the_policy_would_refuse_deploys_nothing(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        deploy(tmp_path, **environ)
    assert b"DeployRoles" in refused.value.stderr
    assert not any("deploy " in call or "docker" in call for call in (tmp_path / "calls").read_text().splitlines())


def test_a_stack_that_is_not_there_yet_is_none(tmp_path: Path) -> None:
    calls = deploy(tmp_path, STACK_ERROR="An error occurred (ValidationError): Stack with id recorder does not exist")
    assert any("cloudformation deploy" in call for call in calls)


@pytest.mark.parametrize("error", ["An error occurred (Throttling): Rate exceeded", "(AccessDenied): not authorized"])
def test_of_a_stack_that_can_not_be_asked_for_nothing_is_taken_for_granted(tmp_path: Path, error: str) -> None:
    """Who may change the bucket's policy would be forgotten."""
    with pytest.raises(subprocess.CalledProcessError) as failed:
        deploy(tmp_path, STACK_ERROR=error)
    assert error in failed.value.stderr.decode()
    calls = (tmp_path / "calls").read_text()
    assert "docker build" not in calls
    assert "cloudformation deploy" not in calls


def test_an_unknown_architecture_is_refused_before_anything_is_called(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        deploy(tmp_path, ARCH="mips")
    assert b"x86_64 or arm64" in refused.value.stderr
    assert not (tmp_path / "calls").exists()
