"""Traces of an order through the real processes: one from the request to the last step, and none unasked for."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.worker import Replayer

from adapters.temporal.client import workflow_id
from domain.order_states import OrderStatus
from tests.support.orders import Shop
from tests.support.services import Services, Span
from tests.support.waiting import until
from tests.support.warm_interpreter import PROJECT
from worker import workflow_runner
from workflows.order_fulfillment import OrderFulfillment

NewProduct = Callable[..., Awaitable[str]]
NewCustomer = Callable[[], Awaitable[str]]
CheckOut = Callable[..., Awaitable[str]]

STEPS = ["reserve_inventory", "authorize_payment", "ship_order", "capture_payment"]


@pytest.fixture
def check_out(front: httpx.AsyncClient, new_product: NewProduct, new_customer: NewCustomer, shop: Shop) -> CheckOut:
    """Places a good order and waits until it is ready to ship: its id."""

    async def place(**headers: str) -> str:
        lines = [{"productId": await new_product(), "quantity": 1}]
        body = {"customerId": await new_customer(), "items": lines, "paymentMethod": "pm_card_visa"}
        answer = await front.post("/api/orders", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        order_id = str(answer.json()["orderId"])
        await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
        return order_id

    return place


async def spans_of(services: Services, order_id: str) -> list[Span]:
    """The spans of the order's trace, once its last step's is there; spans are sent in batches."""
    wanted = {"POST /api/orders", *(f"RunActivity:{step}" for step in STEPS)}

    async def arrived() -> bool:
        return wanted <= {span.name for span in services.collector.trace_of(order_id)}

    await until(arrived, True)
    return services.collector.trace_of(order_id)


async def test_one_trace_spans_the_request_the_workflow_and_its_steps(
    services: Services, check_out: CheckOut
) -> None:
    """Each span leads up, parent by parent, through the client's call of Temporal to the request."""
    spans = await spans_of(services, await check_out())

    assert len({span.trace_id for span in spans}) == 1
    by_id = {span.span_id: span for span in spans}
    above = [
        ("ordersaga-api", "StartUpdateWithStartWorkflow:OrderFulfillment"),
        ("ordersaga-api", "POST /api/orders"),
    ]
    ways = {"RunWorkflow:OrderFulfillment": above}
    for step in STEPS:
        ways[f"RunActivity:{step}"] = [("ordersaga-worker", f"StartActivity:{step}"), *above]
    for name, expected in ways.items():
        (span,) = [span for span in spans if span.name == name]
        way = []
        while span.parent_id:
            span = by_id[span.parent_id]
            way.append((span.service, span.name))
        assert way == expected, name


async def test_goes_on_with_the_trace_of_the_client(services: Services, check_out: CheckOut) -> None:
    """A `traceparent` from the shop's front end makes its trace reach into the saga."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)

    spans = await spans_of(services, await check_out(traceparent=f"00-{trace_id}-{span_id}-01"))

    assert {span.trace_id for span in spans} == {trace_id}
    (request,) = [span for span in spans if span.name == "POST /api/orders"]
    assert request.parent_id == span_id


async def test_every_event_of_an_order_carries_its_trace(services: Services, check_out: CheckOut, shop: Shop) -> None:
    """Both what the API writes and what the steps write, each with the span that wrote it."""
    order_id = await check_out()
    spans = await spans_of(services, order_id)

    events = {event.type: event.traceparent for event in await shop.events(order_id)}
    names = {span.span_id: span.name for span in spans}
    writers = {}
    for kind, traceparent in events.items():
        version, trace_id, span_id, _ = (traceparent or "").split("-")
        assert (version, trace_id) == ("00", spans[0].trace_id)
        writers[kind] = names[span_id]
    assert writers["ordersaga.order.placed.v1"] == "POST /api/orders"
    assert writers["ordersaga.order.confirmed.v1"] == "RunActivity:authorize_payment"
    assert writers["ordersaga.payment.captured.v1"] == "RunActivity:capture_payment"


async def test_log_lines_name_the_trace_that_they_belong_to(services: Services, check_out: CheckOut) -> None:
    """From a line of the log to the trace and back, in both processes."""
    order_id = await check_out()
    spans = await spans_of(services, order_id)

    lines = [line for line in services.lines if line.get("order_id") == order_id]
    assert {"api", "activities"} <= {line["logger"].partition(".")[0] for line in lines}
    assert {line["trace_id"] for line in lines} == {spans[0].trace_id}
    assert {line["span_id"] for line in lines} <= {span.span_id for span in spans}


async def test_a_replay_adds_no_span(check_out: CheckOut, temporal_client: Client) -> None:
    """Workflow code runs again after a restart or an eviction, while its trace has to stay as it was."""
    handle = temporal_client.get_workflow_handle(workflow_id(await check_out()))
    await until(lambda: _waits(handle), True)  # a task that is not over would go on here, for the first time
    history = await handle.fetch_history()
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    replayer = Replayer(
        workflows=[OrderFulfillment],
        workflow_runner=workflow_runner(),
        data_converter=temporal_client.data_converter,
        interceptors=[TracingInterceptor(provider.get_tracer("replay"))],
    )

    await replayer.replay_workflow(history)

    assert "_tracer-data" in str(history.events[0])  # there was a trace to go on with
    assert exporter.get_finished_spans() == ()


async def _waits(handle: WorkflowHandle[Any, Any]) -> bool:
    """Whether the order waits for its parcel."""
    return any(event.HasField("timer_started_event_attributes") for event in (await handle.fetch_history()).events)


async def test_requests_keep_no_address_of_who_asked(services: Services, check_out: CheckOut) -> None:
    """A customer's network address is personal data, and a trace goes to many eyes."""
    spans = await spans_of(services, await check_out())

    (request,) = [span for span in spans if span.name == "POST /api/orders"]
    assert request.attributes["http.response.status_code"] == 201
    assert [name for name in request.attributes if "client" in name or "peer" in name or "user" in name] == []


async def test_events_have_no_trace_where_nothing_is_traced(shop: Shop, new_product: NewProduct) -> None:
    """This process has no collector configured."""
    order = await shop.put(await new_product())

    assert [event.traceparent for event in await shop.events(order.order_id)] == [None]


UNCONFIGURED = """
import sys
from adapters.telemetry import runtime as telemetry
from adapters.settings import Settings
import worker
settings = Settings(otlp_endpoint=None)
telemetry.start(settings, "test", 0)
print([name for name in sys.modules if "opentelemetry" in name])
from api.app import create_app  # FastAPI imports OpenTelemetry's interfaces by itself, which is all that it has
create_app(settings)
print([name for name in sys.modules if "opentelemetry" in name and ("sdk" in name or "exporter" in name)])
"""

DEAD_COLLECTOR = """
import time
from adapters.telemetry import tracing
from adapters.settings import Settings
tracing.start(Settings(otlp_endpoint="http://127.0.0.1:9"), "test")
with tracing._tracing.provider.get_tracer("test").start_as_current_span("lost"):
    print(tracing.traceparent() is not None)
began = time.monotonic()
tracing.stop()
print(time.monotonic() - began < 20)
"""


@pytest.mark.slow
async def test_costs_nothing_unasked_for_and_little_when_the_collector_is_dead() -> None:
    """Without a collector none of it is imported, and a dead one does not hold up the end of the process."""
    assert list(await asyncio.gather(output(UNCONFIGURED), output(DEAD_COLLECTOR))) == ["[]\n[]", "True\nTrue"]


async def output(script: str) -> str:
    python = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=PROJECT, env={}, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await python.communicate()
    return out.decode().strip()
