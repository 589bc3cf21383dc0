#!/bin/sh
# Pin the images that Dockerfile builds on to what their names stand for now: `make pin`. Look at the change, build,
# test, and commit it; do it again when the bases have had updates that you want. Needs a registry.
set -eu
engine=${ENGINE:-docker} file=${1:-Dockerfile}
# shellcheck disable=SC2013  # names have no blanks, and all are read before the file is written
for name in $(sed -n 's/^ARG [A-Z]*=\([^@]*\).*/\1/p' "$file"); do
    "$engine" pull --quiet "$name" >/dev/null
    digest=$("$engine" image inspect --format '{{index .RepoDigests 0}}' "$name")
    digest=${digest##*@}
    case "$digest" in sha256:????????????????????????????????????????????????????????????????) ;;
    *) echo "$engine tells no digest of $name: $digest" >&2 && exit 1 ;; esac
    sed "s|^\(ARG [A-Z]*=$name\).*|\1@$digest|" "$file" >"$file.new"
    cat "$file.new" >"$file"
    rm "$file.new"
    echo "$name@$digest"
done
