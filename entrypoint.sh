#!/bin/sh
# What the image does: `serve` starts gunicorn, `manage …` runs a management command, anything else is a Lambda handler.
set -eu
case "${1:-}" in
serve)
    shift
    exec python3 -m gunicorn recorder_project.wsgi:application \
        --bind "0.0.0.0:${PORT:-8000}" --workers "${WEB_WORKERS:-2}" --threads "${WEB_THREADS:-8}" \
        --timeout 60 --worker-tmp-dir /dev/shm "$@"
    ;;
manage)
    shift
    exec python3 /var/task/manage.py "$@"
    ;;
*)
    if [ -x /lambda-entrypoint.sh ]; then
        exec /lambda-entrypoint.sh "$@"
    fi
    exec python3 -m awslambdaric "$@"
    ;;
esac
