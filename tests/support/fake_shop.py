"""A shop whose orders run the real workflow on steps in memory, with the interface of `Shop`."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from activities.interceptors.failures import FailureTranslation
from adapters.settings import Settings
from domain.commands import FulfillOrder, ParcelStatus
from domain.money import Money
from domain.order_states import OrderStatus
from domain.processes import NEWEST
from tests.support.fake_steps import FakeOrder, FakeSteps, Row
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Handle, start_order
from worker import STICKY_TIMEOUT, workflow_runner
from workflows.order_fulfillment import OrderFulfillment

PRICE = 1000  # minor units


class FakeShop:
    """Places orders and tells how they stand."""

    def __init__(self, client: Client, settings: Settings, steps: FakeSteps) -> None:
        self.client, self.settings, self._orders = client, settings, steps.orders
        self._stock: dict[str, int] = {}

    async def product(self, on_hand: int = 10) -> str:
        product_id = f"p-{secrets.token_hex(4)}"
        self._stock[product_id] = on_hand
        return product_id

    async def put(
        self,
        product_id: str,
        quantity: int = 2,
        *,
        payment_method: str = "pm_card_visa",
        address: dict[str, Any] | None = None,
    ) -> FulfillOrder:
        """Stores a PLACED order without starting its workflow."""
        order_id, on_hand = secrets.token_hex(16), self._stock[product_id]
        minor = quantity * PRICE
        self._orders[order_id] = FakeOrder(order_id, on_hand, quantity, minor, payment_method, address)
        total = Money(minor=minor, currency="USD")
        return FulfillOrder(order_id=order_id, customer_id="c-1", total=total, process=NEWEST)

    async def start(self, order: FulfillOrder, *, ship_in: timedelta | None = None, by_signal: Any = None) -> Handle:
        return await start_order(self.client, self.settings.task_queue, order, ship_in, by_signal)

    async def order(self, order_id: str) -> FakeOrder:
        return self._orders[order_id]

    async def status(self, order_id: str) -> OrderStatus:
        return self._orders[order_id].status

    async def timeline(self, order_id: str) -> list[Row]:
        return list(self._orders[order_id].rows)

    async def books(self, order_id: str) -> Books:
        order = self._orders[order_id]
        return Books(
            status=order.status,
            payment_status=order.payment_status,
            on_hand=order.on_hand,
            reserved=order.reserved,
            held=order.held,
            kept=order.kept,
            labels=order.labels,
        )

    async def authorizations(self, order_id: str) -> int:
        """How often money was ever held for the order."""
        return self._orders[order_id].authorizations

    # what happens elsewhere

    async def parcel(self, order_id: str, status: str) -> None:
        self._orders[order_id].parcel = ParcelStatus(status)

    async def customer_authenticates(self, order_id: str) -> None:
        self._orders[order_id].authenticated = True

    async def bank_lets_go(self, order_id: str) -> None:
        self._orders[order_id].held = 0

    async def review_is_approved(self, order_id: str) -> None:
        self._orders[order_id].hold = None


@asynccontextmanager
async def running_fake_shop(client: Client, settings: Settings, faults: StepFaults) -> AsyncIterator[FakeShop]:
    """With a worker on the settings' task queue, whose steps can be held and made to fail."""
    steps = FakeSteps()
    worker = Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[OrderFulfillment],
        activities=steps.methods(),
        interceptors=[FailureTranslation(), faults],
        workflow_runner=workflow_runner(),
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
    )
    async with worker:
        yield FakeShop(client, settings, steps)
