#!/bin/sh
# Makes stand-ins for the two images that Dockerfile builds on, under their names, where no registry can be reached:
# Debian with the same Python and with Amazon's runtime client, and Debian with Node. Needs root, debootstrap, buildah.
set -eu
home=${1:?where to keep them}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
python=public.ecr.aws/lambda/python:3.13
node=public.ecr.aws/docker/library/node:22-slim
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs

image() { # root, name, further options of buildah config
    container=$(buildah from scratch)
    buildah add -q "$container" "$1" / >/dev/null
    buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    buildah commit -q --rm "$container" "$2" >/dev/null
}

mkdir -p "$home"
if ! buildah inspect --type image "$python" >/dev/null 2>&1; then
    debootstrap --variant=minbase --include=python3,python3-pip,ca-certificates trixie "$home/python" "$mirror"
    cp /etc/ssl/certs/ca-certificates.crt "$home/python/etc/ssl/certs/" # a proxy's own certificate among them
    cp /etc/resolv.conf "$home/python/etc/"
    # As in Amazon's image: the client beside the runtime, a script that starts it with the handler's name.
    cp "$(dirname "$0")/requirements-client.txt" "$home/python/tmp/"
    chroot "$home/python" python3 -m pip install --quiet --no-cache-dir --target /var/runtime \
        --require-hashes -r /tmp/requirements-client.txt
    rm "$home/python/tmp/requirements-client.txt"
    # shellcheck disable=SC2016  # the image's shell expands them
    printf '%s\n' '#!/bin/sh' 'export PYTHONPATH="${PYTHONPATH:-}:/var/runtime"' \
        'exec python3 -m awslambdaric "$1"' >"$home/python/lambda-entrypoint.sh"
    chmod 755 "$home/python/lambda-entrypoint.sh"
    image "$home/python" "$python"
    rm -rf "$home/python"
fi
if ! buildah inspect --type image "$node" >/dev/null 2>&1; then
    debootstrap --variant=minbase --include=nodejs,ca-certificates trixie "$home/node" "$mirror"
    cp /etc/ssl/certs/ca-certificates.crt "$home/node/etc/ssl/certs/"
    cp /etc/resolv.conf "$home/node/etc/"
    chroot "$home/node" sh -c 'apt-get update -qq && apt-get install -qq -y --no-install-recommends npm' >/dev/null
    image "$home/node" "$node"
    rm -rf "$home/node"
fi
