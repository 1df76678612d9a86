"""The API and a worker as the processes of production, with all their telemetry on, and all that they say."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from devstack.stack.logins import url_of
from devstack.stack.ports import LOOPBACK, free_port
from devstack.stack.stack import Stack
from tests.support.waiting import until
from tests.support.warm_interpreter import PROJECT, Call, WarmProcess, warm


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str  # "" for the first of its trace
    attributes: dict[str, Any]


class Collector:
    """An OTLP/HTTP receiver on loopback."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        received = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.extend(_spans(ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.endpoint = f"http://{LOOPBACK}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def trace_of(self, order_id: str) -> list[Span]:
        """Every span of the traces in which the order's workflow has one."""
        mine = {s.trace_id for s in self.spans if s.attributes.get("temporalWorkflowID") == f"order-{order_id}"}
        return [span for span in self.spans if span.trace_id in mine]


def _spans(request: ExportTraceServiceRequest) -> list[Span]:
    return [
        Span(
            service=next(a.value.string_value for a in found.resource.attributes if a.key == "service.name"),
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            attributes={
                a.key: getattr(a.value, a.value.WhichOneof("value") or "string_value") for a in span.attributes
            },
        )
        for found in request.resource_spans
        for scope in found.scope_spans
        for span in scope.spans
    ]


@dataclass
class Services:
    """Two running processes, and for a while a third. `logs` are their standard error."""

    url: str
    task_queue: str
    worker_metrics: str
    client_metrics: str
    collector: Collector
    folder: Path
    environment: dict[str, str]
    processes: list[WarmProcess] = field(default_factory=list)
    relay_metrics: str | None = None

    @asynccontextmanager
    async def relay(self, **environ: str) -> AsyncIterator[None]:
        """A relay beside them, whose page `scraped` has, too. Not for ever: it would take other tests' webhooks."""
        metrics, health = free_port(), free_port()
        ports = {"ORDERSAGA_RELAY_METRICS_PORT": str(metrics), "ORDERSAGA_RELAY_HEALTH_PORT": str(health)}
        process = await self.start("relay", "relay.py", **ports, **environ)
        try:
            await until(lambda: _answers(f"http://{LOOPBACK}:{health}/readyz"), True, 60)
            self.relay_metrics = f"http://{LOOPBACK}:{metrics}/metrics"
            yield
        finally:
            self.relay_metrics = None
            process.send(signal.SIGTERM)
            self.processes.remove(process)
            assert await process.ended() == 0

    @property
    def logs(self) -> list[str]:
        """Of all processes, one after the other; a line that is still being written is left out."""
        logs = [log.read_text().rpartition("\n")[0] for log in sorted(self.folder.glob("*.log"))]
        return [line for log in logs for line in log.splitlines()]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log lines, each of which has to be a JSON object."""
        return [json.loads(line) for line in self.logs]

    async def scraped(self) -> str:
        """What Prometheus would get from all processes."""
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            pages = [f"{self.url}/metrics", self.worker_metrics, self.client_metrics]
            pages += [self.relay_metrics] if self.relay_metrics else []
            return "".join([(await http.get(page)).raise_for_status().text for page in pages])

    async def start(self, name: str, *command: str, **more: str) -> WarmProcess:
        log = str(self.folder / f"{name}.log")
        role = {"worker.py": "worker", "relay.py": "relay"}.get(command[0], "api")
        own = {"DATABASE_URL": url_of(role, self.environment["DATABASE_URL"])}
        process = await warm.start(Call([*command], str(PROJECT), self.environment | own | more, os.devnull, log))
        self.processes.append(process)
        return process

    async def stop(self) -> list[int]:
        for process in self.processes:
            if process.running:
                process.send(signal.SIGTERM)
        return [await process.ended() for process in self.processes]


@asynccontextmanager
async def running_services(stack: Stack, folder: Path) -> AsyncIterator[Services]:
    """A worker on a queue of its own and an API in front of it."""
    api, worker, client = (free_port() for _ in range(3))
    collector, queue = Collector(), f"orders-{os.urandom(4).hex()}"
    url = f"http://{LOOPBACK}:{api}"
    environment = stack.environment | {
        "ORDERSAGA_TASK_QUEUE": queue,
        "ORDERSAGA_PUBLIC_URL": url,
        "ORDERSAGA_METRICS_PORT": str(worker),
        "ORDERSAGA_API_METRICS_PORT": str(client),
        "ORDERSAGA_LOG_LEVEL": "debug",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",  # milliseconds
        "ORDERSAGA_CHECKOUT_BUDGET": "60",
        # They live as long as the session: what they did by themselves every few minutes, other tests would see.
        "ORDERSAGA_SWEEP_INTERVAL": "1e9",
        "ORDERSAGA_RECONCILE_EVERY": "P365D",
        "ORDERSAGA_EVENT_CATCH_UP_EVERY": "P365D",
    }
    pages = [f"http://{LOOPBACK}:{port}/metrics" for port in (worker, client)]
    services = Services(url, queue, pages[0], pages[1], collector, folder, environment)
    try:
        await services.start("worker", "worker.py")
        await services.start("api", "-m", "uvicorn", "--factory", "api.app:create_app", "--port", str(api))
        await until(lambda: _ready(services), True, 60)
        yield services
    finally:
        await services.stop()
        collector.close()


async def _ready(services: Services) -> bool:
    assert all(process.running for process in services.processes), "\n".join(services.logs)
    if not any('"worker started"' in line for line in services.logs):
        return False
    return await _answers(f"{services.url}/readyz")


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        try:
            return (await http.get(url)).is_success
        except httpx.TransportError:
            return False
