# One image for AWS Lambda and for any container engine:
#   CMD (as it is)                                  HTTP, behind API Gateway, a Function URL or an ALB
#   CMD ["recordings.handlers.handler"]             S3 events and the hourly schedule
#   docker run -p 8000:8000 IMAGE serve             gunicorn, for hosting it yourself
ARG BASE=public.ecr.aws/lambda/python:3.13

FROM ${BASE} AS build
WORKDIR /build
COPY requirements.txt .
RUN python3 -m pip install --no-cache-dir --no-compile --target /build/packages -r requirements.txt
COPY manage.py ./
COPY recorder_project recorder_project
COPY accounts accounts
COPY recordings recordings
COPY web web
RUN PYTHONPATH=/build/packages LOCAL=true python3 manage.py collectstatic --noinput \
    && find packages -type d -name tests -prune -exec rm -rf {} + \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash packages recorder_project accounts recordings web

FROM ${BASE}
COPY --from=build /build/packages /var/task/
COPY --from=build /build/staticfiles /var/task/staticfiles
COPY --from=build /build/recorder_project /var/task/recorder_project
COPY --from=build /build/accounts /var/task/accounts
COPY --from=build /build/recordings /var/task/recordings
COPY --from=build /build/web /var/task/web
COPY manage.py entrypoint.sh /var/task/
WORKDIR /var/task
ENV PYTHONPATH=/var/task PYTHONUNBUFFERED=1
USER 1000
ENTRYPOINT ["/var/task/entrypoint.sh"]
CMD ["recorder_project.wsgi.lambda_handler"]
