# One image for AWS Lambda and for any container engine:
#   CMD (as it is)                                  HTTP, behind API Gateway, a Function URL or an ALB
#   CMD ["recordings.handlers.handler"]             S3 events and the hourly schedule
#   CMD ["operations.decode_function.handler"]      decoding, without any rights
#   docker run -p 8000:8000 IMAGE serve             gunicorn, for hosting it yourself
#   docker run IMAGE manage sweep                   a management command
# `docker build .` needs no arguments. For arm64: docker build --platform linux/arm64 .
# `make pin` writes the digests of today behind these names, so that a build is the same tomorrow: docs/deploy.md.
ARG BASE=public.ecr.aws/lambda/python:3.13
ARG NODE=public.ecr.aws/docker/library/node:22-slim

# The page's scripts and styles, where web/ has sources of them.
FROM ${NODE} AS page
WORKDIR /build
COPY web web
RUN if [ -f web/package.json ]; then cd web && npm ci --no-audit --no-fund && npm run build && rm -rf node_modules src package*.json; fi

FROM ${BASE} AS build
WORKDIR /build
COPY requirements.txt ./
RUN python3 -m pip install --no-cache-dir --no-compile --only-binary :all: --require-hashes --target packages -r requirements.txt
COPY image/prune.py image/collect_static.py ./
RUN python3 prune.py packages
COPY recorder_project recorder_project
COPY lib lib
COPY aws aws
COPY recordings recordings
COPY accounts accounts
COPY operations operations
COPY --from=page /build/web web
RUN PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=packages LOCAL=true DJANGO_SETTINGS_MODULE=recorder_project.settings \
        python3 collect_static.py \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash packages recorder_project lib aws recordings accounts operations web

# Neither Node nor pip's leftovers, and nothing here that user 1000 could change.
FROM ${BASE}
COPY --from=build /build/packages /var/task/
COPY --from=build /build/staticfiles /var/task/staticfiles
COPY --from=build /build/recorder_project /var/task/recorder_project
COPY --from=build /build/lib /var/task/lib
COPY --from=build /build/aws /var/task/aws
COPY --from=build /build/recordings /var/task/recordings
COPY --from=build /build/accounts /var/task/accounts
COPY --from=build /build/operations /var/task/operations
COPY --from=build /build/web /var/task/web
COPY manage.py entrypoint.sh /var/task/
WORKDIR /var/task
ENV PYTHONPATH=/var/task PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 1000
ENTRYPOINT ["/var/task/entrypoint.sh"]
CMD ["recorder_project.wsgi.lambda_handler"]
