# One image for the API, the worker, the relay, the migrations and the `ordersaga` command: docker-compose.yml says which
# command each one runs, and how its health is seen.

FROM python:3.11.15-slim-trixie AS build

WORKDIR /build
COPY requirements.txt .
# Wheels only: with a compiler in reach, a package without one would be built from sources nobody pinned.
RUN python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
      --only-binary :all: --require-hashes -r requirements.txt

WORKDIR /app
COPY alembic.ini cli.py codec_server.py ordersaga relay.py worker.py ./
COPY activities activities
COPY adapters adapters
COPY api api
COPY commandline commandline
COPY domain domain
COPY engine engine
COPY events events
COPY migrations migrations
COPY services services
COPY workflows workflows
COPY ops/temporal/worker_health.py ops/temporal/
# The file system will be read-only, so that bytecode is written now. Whoever builds may have a strict umask.
RUN /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash . \
 && chmod -R a+rX /app /opt/venv


FROM python:3.11.15-slim-trixie

RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip setuptools wheel \
 && groupadd --gid 10001 ordersaga \
 && useradd --uid 10001 --gid ordersaga --no-log-init --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin ordersaga \
 && install -d -o ordersaga -g ordersaga -m 0700 /identities /keys /customer-keys /tombstones
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
CMD ["python", "worker.py"]
