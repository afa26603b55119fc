# One image, four roles: `migrate`, `serve`, `worker`, `relay` (docker-compose.yml). Settings come from the
# environment alone; nothing is written, so the root file system may be read-only.

FROM python:3.11.16-slim-trixie AS packages
COPY requirements-runtime.lock /tmp/
# Every package by its hash, as a wheel: nothing is compiled, and no setup code of a package runs.
RUN python -m venv --without-pip /opt/perdure \
 && pip --python /opt/perdure/bin/python install --no-cache-dir --no-compile --disable-pip-version-check \
    --require-hashes --only-binary=:all: --no-deps -r /tmp/requirements-runtime.lock

FROM python:3.11.16-slim-trixie
RUN groupadd --gid 10001 perdure \
 && useradd --uid 10001 --gid perdure --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin perdure \
 && pip uninstall --yes --root-user-action=ignore --disable-pip-version-check setuptools wheel pip
COPY --from=packages /opt/perdure /opt/perdure
COPY LICENSE /app/
COPY domain /app/domain
COPY workflows /app/workflows
COPY activities /app/activities
COPY db /app/db
COPY migrations /app/migrations
COPY api /app/api
COPY workers /app/workers
COPY perdure /app/perdure
ENV PATH=/opt/perdure/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PERDURE_HOST=0.0.0.0
# Compiled now, because at run time nobody may write; and `perdure` as a command for `docker compose exec`.
RUN python -m compileall -q /opt/perdure/lib /app \
 && printf '#!/bin/sh\nexec python -m perdure "$@"\n' > /opt/perdure/bin/perdure \
 && chmod 755 /opt/perdure/bin/perdure
WORKDIR /app
USER 10001:10001
EXPOSE 8400
# The process of each role becomes the container's own: signals reach it, its exit status is the container's.
ENTRYPOINT ["perdure"]
CMD ["serve"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "workers.alive"]
