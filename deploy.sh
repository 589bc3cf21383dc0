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
account=$(aws sts get-caller-identity --query Account --output text)
registry=$account.dkr.ecr.$region.amazonaws.com

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
    "Deployed=$(date -u +%Y-%m-%dT%H:%M:%SZ)" ${PARAMETERS:-}
aws cloudformation describe-stacks --stack-name "$stack" --output text \
    --query 'Stacks[0].Outputs[].[OutputKey,OutputValue,Description]'
echo "The image is $tag. To come back to it later: make deploy TAG=$tag"
