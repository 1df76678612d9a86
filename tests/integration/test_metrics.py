"""What the worker counts: exact numbers from a worker in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from activities.recovery.reconciliation import WORKFLOWS
from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from adapters.telemetry.runtime import create_runtime
from adapters.temporal import client as temporal
from devstack.stack.ports import LOOPBACK, free_port
from domain.commands import ParcelStatus
from domain.errors import TryAgain
from domain.order_states import OrderStatus
from domain.repairs import RECONCILIATION_STOPPED
from services.orders.tables import Order
from services.tickets.book import close_ticket_about
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop
from tests.support.reconciling import reconcile
from tests.support.scrape import Scrape, page
from tests.support.services import Services
from tests.support.waiting import until
from worker import build_activities, build_worker
from workflows.order_fulfillment import OrderFulfillment


class Counting:
    """A worker with a metrics port, and steps that can be made to fail."""

    def __init__(self, faults: StepFaults, http: httpx.AsyncClient) -> None:
        self.faults, self._http = faults, http

    async def page(self) -> Scrape:
        return await page(self._http)


@asynccontextmanager
async def counting_worker(settings: Settings) -> AsyncIterator[Counting]:
    port, faults = free_port(), StepFaults()
    client = await temporal.connect(settings, runtime=create_runtime(LOOPBACK, port))
    async with (
        build_activities(settings) as activities,
        build_worker(client, settings, activities, interceptors=[faults]),
        httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", trust_env=False, timeout=60) as http,
    ):
        yield Counting(faults, http)


@pytest.fixture
async def counting(settings: Settings) -> AsyncIterator[Counting]:
    async with counting_worker(settings) as counting:
        yield counting


async def ended(handle: Handle) -> OrderStatus:
    return await asyncio.wait_for(handle.result(), 60)


async def test_orders_are_counted_by_how_they_ended(counting: Counting, shop: Shop) -> None:
    """One delivered, one declined, one canceled before it began: each once, with its reason."""
    product = await shop.product()
    good = await shop.put(product)
    delivered = await shop.start(good)
    declined = await shop.start(await shop.put(product, payment_method="pm_card_chargeDeclined"))
    canceled = await shop.start(await shop.put(product), by_signal="changed my mind")
    await until(lambda: shop.status(good.order_id), OrderStatus.READY_TO_SHIP)
    await delivered.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    assert [await ended(handle) for handle in (delivered, declined, canceled)] == [
        "DELIVERED",
        "REJECTED",
        "CANCELED",
    ]

    seen = await counting.page()

    closed = {(s.labels["outcome"], s.labels["code"]): s.value for s in seen.samples if "orders_closed" in s.name}
    assert {key: value for key, value in closed.items() if value} == {
        ("delivered", ""): 1,
        ("rejected", "generic_decline"): 1,
        ("canceled", "canceled"): 1,
    }
    assert seen.value("ordersaga_checkout_to_confirmed_seconds_count") == 1
    assert seen.value("ordersaga_checkout_to_shipped_seconds_count") == 1
    assert seen.value("ordersaga_undo_attempts_total", step="return_payment") == 2
    assert seen.value("ordersaga_step_failures_total", step="authorize_payment", code="generic_decline") == 1


async def test_a_step_that_is_repeated_is_counted_as_one_confirmation(counting: Counting, shop: Shop) -> None:
    """The first attempt confirmed the order and its answer was lost; the second finds that done."""
    counting.faults.fail("authorize_payment", TryAgain("the answer was lost"), after=True)
    order = await shop.put(await shop.product())
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)

    seen = await counting.page()

    assert seen.value("ordersaga_step_attempts_total", step="authorize_payment") == 2
    assert seen.value("ordersaga_step_failures_total", step="authorize_payment", code="try_again") == 1
    assert seen.value("ordersaga_checkout_to_confirmed_seconds_count") == 1


async def test_failing_undos_are_counted_by_step_and_code(counting: Counting, shop: Shop) -> None:
    """Two attempts fail, each in its own way, and the third gives the stock back."""
    counting.faults.fail("release_inventory", TryAgain("the database is away"))
    counting.faults.fail("release_inventory", ConnectionError("something that nobody thought of"))
    product = await shop.product()
    assert (
        await ended(await shop.start(await shop.put(product, payment_method="pm_card_chargeDeclined"))) == "REJECTED"
    )

    seen = await counting.page()

    assert seen.value("ordersaga_undo_attempts_total", step="release_inventory") == 3
    assert seen.value("ordersaga_undo_failures_total", step="release_inventory", code="try_again") == 1
    assert seen.value("ordersaga_undo_failures_total", step="release_inventory", code="ConnectionError") == 1
    assert seen.value("ordersaga_undo_failures_total", step="return_payment") == 0


async def test_the_time_to_confirmation_begins_at_the_checkout(
    counting: Counting, shop: Shop, sessions: Sessions
) -> None:
    """In seconds, from when the order was stored: the wait for a worker is the customer's wait too."""
    order = await shop.put(await shop.product())
    async with sessions() as session, session.begin():
        row = await session.get_one(Order, order.order_id)
        row.created_at = now() - timedelta(minutes=10)
        session.add(row)
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)

    seen = await counting.page()

    assert 600 <= seen.value("ordersaga_checkout_to_confirmed_seconds_sum") < 660
    assert seen.value("ordersaga_checkout_to_confirmed_seconds_bucket", le="300") == 0
    assert seen.value("ordersaga_checkout_to_confirmed_seconds_bucket", le="900") == 1


async def test_a_taken_metrics_port_is_a_clear_error(services: Services) -> None:
    """Two workers on one host need two ports: the second says so and does not start half blind."""
    second = await services.start("second-worker", "worker.py")

    assert await second.ended() == 1
    (line,) = [line for line in services.lines if line["event"] == "worker broke"]
    address = services.worker_metrics.removeprefix("http://").removesuffix("/metrics")
    assert line["error"].startswith(f"RuntimeError: no metrics at {address}: ")
    assert "in use" in line["error"]


async def test_a_reconciliation_is_counted_when_it_comes_to_its_end(counting: Counting, shop: Shop) -> None:
    """One that begins again and again and never ends would look well; one that stops itself is told apart."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=timedelta(hours=1))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    counting.faults.hold("compare_payments")
    run = asyncio.ensure_future(reconcile(shop, order.order_id))
    await counting.faults.arrived("compare_payments")
    assert (await counting.page()).value("ordersaga_reconciliations_total") == 0
    counting.faults.release("compare_payments")
    await run
    assert (await counting.page()).value("ordersaga_reconciliations_total") == 1

    await handle.terminate("another cluster")
    assert (await reconcile(shop, order.order_id, stop_orders=0)).stopped
    seen = await counting.page()
    assert seen.value("ordersaga_reconciliations_total") == 1
    assert seen.value("ordersaga_reconciliations_stopped_total") == 1
    async with shop.sessions() as session, session.begin():
        await close_ticket_about(session, RECONCILIATION_STOPPED, WORKFLOWS)
