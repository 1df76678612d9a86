"""Prometheus metrics of the API process and of the shop's books, at `/metrics`; `docs/metrics.md` explains each.

No label ever holds an id: labels are route templates, methods, statuses, steps and codes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Request, Response
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.telemetry.health_page import Answer
from api.deps import ServicesDep
from api.orders.admission import Shed
from services.insight import census
from services.insight.census import Census, ConsumerState

REFRESH = 5.0  # seconds that a reading of the books is good for, so that no number of scrapes can hurt
SHARE = 20  # a reading that took long is good for this many times as long: it costs a twentieth of a connection
PATIENCE = 2.0  # seconds that a scrape waits for the books
KEPT = 600.0  # seconds that the last reading is told for while none succeeds: an alert goes on, and says of what time
METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)

Values = Mapping[tuple[str], float] | Mapping[tuple[str, str], float]
"""By the values of the labels."""

log = structlog.get_logger()
router = APIRouter(tags=["health"])


class ApiMetrics:
    """What one process measures. `books` is read for a scrape, and only then."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that nobody reads
        self.registry = CollectorRegistry()
        self.books = Books()
        self.registry.register(self.books)
        ProcessCollector(registry=self.registry)
        self._requests = Histogram(
            "ordersaga_http_request_duration_seconds",
            "From a request to the beginning of its answer",
            ["method", "route", "status"],
            buckets=HTTP_BUCKETS,
            registry=self.registry,
        )
        self._shed = Counter(
            "ordersaga_checkouts_shed",
            "Checkouts that were refused because there were too many",
            ["reason"],
            registry=self.registry,
        )
        for reason in Shed:
            self._shed.labels(reason.value)  # a series that is not there yet raises no alert
        self._in_flight = Gauge(
            "ordersaga_checkouts_in_flight", "Checkouts that wait for their answer", registry=self.registry
        )
        self._limit = Gauge("ordersaga_checkouts_limit", "How many may wait at a time", registry=self.registry)
        self._listeners = Gauge("ordersaga_listeners", "Streams of orders' events", registry=self.registry)
        self._dropped = Counter(
            "ordersaga_listeners_dropped",
            "Streams that were ended because their clients did not read them",
            registry=self.registry,
        )
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method if method in METHODS else "other", route, status)
        if (child := self._children.get(key)) is None:
            child = self._children[key] = self._requests.labels(*key)
        child.observe(seconds)

    def shed(self, reason: Shed) -> None:
        self._shed.labels(reason.value).inc()

    def dropped(self) -> None:
        """A listener that was too slow."""
        self._dropped.inc()

    def listeners(self, count: Callable[[], float]) -> None:
        """Asked for at each scrape."""
        self._listeners.set_function(count)

    def admission(self, in_flight: Callable[[], float], limit: Callable[[], float]) -> None:
        """Asked for at each scrape."""
        self._in_flight.set_function(in_flight)
        self._limit.set_function(limit)


class Books(Collector):
    """The last census as gauges, for as long as it is worth telling; `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._census: Census | None = None
        self._readable = False
        self._read_at = self._until = 0.0
        self._reading = asyncio.Lock()

    async def refresh(self, reads: AsyncEngine) -> None:
        async with self._reading:
            began = self._clock()
            if began < self._until:
                return
            try:
                async with asyncio.timeout(PATIENCE):
                    self._census = await census.take(reads)
                self._readable, self._read_at = True, began
            except Exception as error:
                self._readable = False
                log.warning("books_not_readable", error=type(error).__name__)
            ended = self._clock()
            self._until = ended + max(REFRESH, SHARE * (ended - began))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield _gauge("books_readable", "Whether the database answered the last reading", float(self._readable))
        seen, age = self._census, self._clock() - self._read_at
        if seen is None or age > KEPT:
            return
        yield _gauge("books_age_seconds", "Since the reading that the gauges below are of", age)
        orders = {(status.value,): number for status, number in seen.orders.items()}
        yield _gauge("orders", "Orders that are not over, by status", orders, "status")
        yield _gauge("checkout_unanswered_age_seconds", "Of the oldest PLACED or RESERVED order", seen.unanswered_age)
        words = "Orders with an open ticket, and open tickets of no order"
        yield _gauge("orders_needing_attention", words, seen.flagged)
        yield _gauge("tickets_open", "Open tickets", seen.tickets, "step", "kind")
        waiting = {(cause,): number for cause, number in seen.waiting.items()} or {("none",): 0}
        yield _gauge("orders_waiting", "Orders that wait for a fault of ours to be mended", waiting, "cause")
        yield _gauge("brake_on", "Whether orders that would end by a fault of ours are held", float(seen.brake_on))
        yield _gauge("outbox_unpublished", "Events that wait for the relay", seen.outbox.count)
        yield _gauge("outbox_oldest_age_seconds", "Of the oldest unpublished event", seen.outbox.age)
        yield _gauge("outbox_parked", "Events that the broker refused, and those behind them", seen.parked)
        consumers = {(name,): state for name, state in seen.consumers.items()} or {("none",): ConsumerState()}
        lags, words = {name: state.lag for name, state in consumers.items()}, "Positions that it has not reached"
        yield _gauge("consumer_lag", words, lags, "consumer")
        behind = {name: state.behind for name, state in consumers.items()}
        yield _gauge("consumer_behind_seconds", "Since a consumer was at the end of the stream", behind, "consumer")
        silence = {name: state.silence for name, state in consumers.items()}
        yield _gauge("consumer_silence_seconds", "Since a partition's owner was last heard of", silence, "consumer")
        dead = {name: state.dead for name, state in consumers.items()}
        yield _gauge("dead_letters", "Events that a consumer could not apply", dead, "consumer")
        yield from _merchants(seen)
        counts = {(source,): backlog.count for source, backlog in seen.inbox.items()}
        ages = {(source,): backlog.age for source, backlog in seen.inbox.items()}
        yield _gauge("webhook_inbox_unprocessed", "Webhook events not followed up yet", counts, "source")
        yield _gauge("webhook_inbox_oldest_age_seconds", "Of the oldest of them", ages, "source")


def _merchants(seen: Census) -> Iterator[GaugeMetricFamily]:
    yield _gauge("merchant_deliveries_waiting", "Webhooks that merchants have not got yet", seen.deliveries.count)
    yield _gauge("merchant_delivery_oldest_age_seconds", "Of the oldest of them", seen.deliveries.age)
    endpoints = {(state,): number for state, number in seen.endpoints.items()}
    yield _gauge("merchant_endpoints", "Where merchants get webhooks, by how it stands", endpoints, "state")


def _gauge(name: str, words: str, value: Values | float, *labels: str) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(f"ordersaga_{name}", words, labels=labels)
    for key, number in value.items() if isinstance(value, Mapping) else [((), value)]:
        gauge.add_metric(key, number)
    return gauge


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """What the scraper asks for; the plain format where it asks for a version that is none."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):
        return choose_encoder("")


async def metrics_page(metrics: ApiMetrics, reads: AsyncEngine) -> Answer:
    """The same in the plain format, for a port of its own."""
    await metrics.books.refresh(reads)
    encode, media = choose_encoder("")
    return Answer(True, {}, encode(metrics.registry), media)


@router.get("/metrics", response_class=Response, summary="Prometheus metrics")
async def scrape(request: Request, services: ServicesDep, accept: Annotated[str, Header()] = "") -> Response:
    metrics: ApiMetrics = request.app.state.metrics
    await metrics.books.refresh(services.reads)
    encode, content_type = _encoder(accept)
    return Response(encode(metrics.registry), headers={"Content-Type": content_type})
