#!/usr/bin/env bash
# Builds the image, pushes it to this account's ECR and deploys template.yaml with it. `make deploy` runs this.
#
#   STACK       the stack's name, and so the first part of every name in it    recorder
#   ARCH        x86_64 or arm64                                               x86_64
#   TAG         an image that was pushed before: nothing is built             a new one
#   PARAMETERS  template.yaml's parameters: "AlarmEmail=me@example.org …"     what they were
#   ENGINE      docker or podman                                              docker
#
# Needs the aws command, signed in (`aws sts get-caller-identity`), with a region.
set -euo pipefail
cd "$(dirname "$0")"
stack=${STACK:-recorder} arch=${ARCH:-x86_64} tag=${TAG:-} engine=${ENGINE:-docker}
case $arch in
x86_64) platform=linux/amd64 ;;
arm64) platform=linux/arm64 ;;
*) echo "ARCH is x86_64 or arm64." >&2 && exit 2 ;;
esac
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
[ -n "$region" ] || { echo "Which region? Set AWS_REGION, or run: aws configure" >&2 && exit 2; }
export AWS_REGION=$region AWS_PAGER=
identity=$(aws sts get-caller-identity --query '[Account,Arn]' --output text)
read -r account caller <<<"$identity"
registry=$account.dkr.ecr.$region.amazonaws.com

# They alone may change what keeps old versions. Before anything is built: whoever the policy refuses deploys nothing.
# Nothing is known of a stack that is not there; of one that can't be asked for, nothing may be taken for granted.
asked() {
    local said
    said=$(aws cloudformation describe-stacks --stack-name "$stack" --output text --query "$1" 2>&1) && echo "$said" && return
    case $said in *"does not exist"*) ;; *) echo "$said" >&2 && return 2 ;; esac
}
deployer=$(asked 'Stacks[0].RoleARN') # the stack's service role, if it has one
case $deployer in arn:*) ;; *) deployer=$caller ;; esac
roles=$deployer
case $deployer in
arn:*:assumed-role/*) # a session's ARN leaves out the path of its role, whose name alone is unique
    name=${deployer#*:assumed-role/} partition=${deployer#arn:}
    deployer=arn:${partition%%:*}:iam::$account:role/${name%%/*}
    roles="$deployer,arn:${partition%%:*}:iam::$account:role/*/${name%%/*}"
    ;;
esac
known=$(asked "Stacks[0].Parameters[?ParameterKey=='DeployRoles'].ParameterValue")
case $known in
arn:*)
    breakglass=$(asked "Stacks[0].Parameters[?ParameterKey=='BreakGlassRole'].ParameterValue")
    roles=$known may=
    set -f # their * stands for paths of roles, not for files
    for each in ${known//,/ } $breakglass arn:aws:iam::"$account":root; do
        [ "${each##*[:/]}" != "${deployer##*[:/]}" ] || may=yes
    done
    set +f
    if [ -z "$may" ]; then
        echo "The bucket's policy would refuse $deployer: the stack's DeployRoles are $known." >&2
        echo "Deploy as one of them, or have one of them add you: docs/operations.md#who-guards-the-bucket" >&2
        exit 2
    fi
    ;;
esac

if [ -z "$tag" ]; then
    tag=$(git describe --always --dirty 2>/dev/null || echo image)-$(date -u +%Y%m%d-%H%M%S)-$arch
    if ! aws ecr describe-repositories --repository-names "$stack" >/dev/null 2>&1; then
        aws ecr create-repository --repository-name "$stack" --image-tag-mutability IMMUTABLE \
            --image-scanning-configuration scanOnPush=true >/dev/null
        aws ecr put-lifecycle-policy --repository-name "$stack" --lifecycle-policy-text \
            '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":20},"action":{"type":"expire"}}]}' >/dev/null
    fi
    aws ecr get-login-password | "$engine" login --username AWS --password-stdin "$registry"
    # Lambda takes no index of images, which attestations would make of this one.
    BUILDX_NO_DEFAULT_ATTESTATIONS=1 "$engine" build --platform "$platform" -t "$registry/$stack:$tag" .
    "$engine" push "$registry/$stack:$tag"
fi

# shellcheck disable=SC2086  # PARAMETERS are several words
aws cloudformation deploy --stack-name "$stack" --template-file template.yaml --capabilities CAPABILITY_IAM \
    --no-fail-on-empty-changeset \
    --parameter-overrides "ImageUri=$registry/$stack:$tag" "Architecture=$arch" \
    "Deployed=$(date -u +%Y-%m-%dT%H:%M:%SZ)" "DeployRoles=$roles" ${PARAMETERS:-}
aws cloudformation describe-stacks --stack-name "$stack" --output text \
    --query 'Stacks[0].Outputs[].[OutputKey,OutputValue,Description]'
echo "The image is $tag. To come back to it later: make deploy TAG=$tag"
