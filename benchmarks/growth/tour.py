"""One order of each course through the whole service, and a visit to everything that reads or writes the tables.

The orders serve twice: the copies that make a shop large are taken from the first ones (`copies.py`), and the
statements that are judged at each size are those of a tour (`plans.py`).
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx

from adapters.temporal.client import workflow_id
from benchmarks.errors import BenchmarkFailed
from benchmarks.growth.shop import GrowingShop
from commandline.doctor.relay import check_inbox
from domain.order_states import OrderStatus
from domain.recovery import CatchUpEvents, ReconcileOrders

WITHIN = 60.0  # seconds until an order is where it is awaited
ADDRESS = {
    "name": "Growth Bench",
    "street1": "417 Montgomery Street",
    "street2": "Floor 5",
    "city": "San Francisco",
    "state": "CA",
    "zip": "94104",
    "country": "US",
}
CARDS = {"declined": "pm_card_chargeDeclined", "authenticated": "pm_card_authenticationRequired"}
COURSES = ("delivered", "refunded", "canceled", "declined", "shipped", "ready")
"""The courses of the orders that are copied."""


class Tour:
    """The orders of a tour, and how long each kind of request took, in seconds."""

    def __init__(self, shop: GrowingShop, product: str, customer: str) -> None:
        self._shop, self._product, self._customer = shop, product, customer
        self.took: dict[str, float] = {}

    async def orders(self, courses: tuple[str, ...] = COURSES) -> dict[str, str]:
        """Each course's order, when it has come to its end and the webhooks about it are followed up."""
        ids = await asyncio.gather(*(self._run(course) for course in courses))
        await self._until("SELECT NOT EXISTS (SELECT FROM webhook_inbox WHERE processed_at IS NULL)", True)
        return dict(zip(courses, ids, strict=True))

    async def _run(self, course: str) -> str:
        body = {
            "customerId": self._customer,
            "items": [{"productId": self._product, "quantity": 1}],
            "paymentMethod": CARDS.get(course, "pm_card_visa"),
            "shippingAddress": ADDRESS,
        }
        key = f"growth-{secrets.token_hex(12)}"
        answer = await self._post("/api/orders", body, key)
        order_id = str(answer.json()["orderId"])
        if course == "declined":
            await self.reaches(order_id, OrderStatus.REJECTED)
            return order_id
        if course == "authenticated":
            secret = str(answer.json()["clientSecret"])
            payment = secret.partition("_secret")[0]
            await self._shop.stripe.post(f"/_control/payment_intents/{payment}/authenticate", json={"succeed": True})
        await self.reaches(order_id, OrderStatus.READY_TO_SHIP)
        if course == "canceled":
            await self._post(f"/api/orders/{order_id}/cancel", {"reason": "changed my mind"})
            await self.reaches(order_id, OrderStatus.CANCELED)
        if course in ("shipped", "delivered", "refunded"):
            await self._track(order_id, "in_transit", OrderStatus.SHIPPED)
        if course in ("delivered", "refunded"):
            await self._track(order_id, "delivered", OrderStatus.DELIVERED)
        if course == "refunded":
            refund = {"amount": "1.00", "reason": "the box was dented"}
            await self._post(f"/api/orders/{order_id}/refunds", refund, f"growth-{secrets.token_hex(8)}")
            await self._until("SELECT state FROM refunds WHERE order_id = $1", "succeeded", order_id)
        return order_id

    async def _track(self, order_id: str, parcel: str, then: OrderStatus) -> None:
        shipment = await self._shop.database.fetchval(
            "SELECT shipment_id FROM shipments WHERE order_id = $1", order_id
        )
        await self._shop.carrier.post(f"/_control/shipments/{shipment}/track", json={"status": parcel})
        await self.reaches(order_id, then)

    async def reaches(self, order_id: str, status: OrderStatus) -> None:
        await self._until("SELECT status FROM orders WHERE order_id = $1", status, order_id)

    async def visit(self) -> None:
        """Everything else: pages, the repair desk, a dispute, a lost workflow, the scheduled jobs, the metrics."""
        orders = await self.orders(("ready", "delivered", "authenticated"))
        ticket = await self._shop.database.fetchval("SELECT max(id) FROM tickets WHERE resolved_at IS NULL")
        for path in self._pages(orders["delivered"], ticket):
            await self._get(path)
        if ticket is not None:
            done = {"decision": "mark_done", "evidence": "looked at it", "note": "a tour"}
            await self._post(f"/api/repairs/{ticket}/resolve", done)
        await self._get("/api/orders?limit=100")
        await self._refused_and_disputed(orders)
        await self._jobs(orders["ready"])
        if [check.state for check in await check_inbox(self._shop.settings)] == []:
            raise BenchmarkFailed("the doctor cannot ask the database")

    def _pages(self, order_id: str, ticket: int | None) -> list[str]:
        one_day = "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z"
        return [
            "/api/orders",
            *(f"/api/orders?status={status}" for status in OrderStatus),
            f"/api/orders?customerId={self._customer}",
            f"/api/orders?productId={self._product}",
            f"/api/orders?productId={self._product}&status=DELIVERED",
            "/api/orders?productId=001",
            f"/api/orders?{one_day}",
            f"/api/orders?status=CANCELED&{one_day}",
            f"/api/orders/{order_id}",
            f"/api/orders/{order_id}/events",
            f"/api/orders/{order_id}/refunds",
            "/api/customers",
            f"/api/customers/{self._customer}",
            "/api/products",
            f"/api/products/{self._product}",
            f"/api/inventory/{self._product}",
            "/api/repairs",
            "/api/repairs?status=all",
            "/api/repairs?status=resolved",
            "/api/repairs?kind=step_keeps_failing",
            "/api/repairs?status=all&kind=refund_failed",
            f"/api/repairs?orderId={order_id}",
            *([f"/api/repairs/{ticket}"] if ticket is not None else []),
            "/api/brake",
            "/metrics",
        ]

    async def _refused_and_disputed(self, orders: dict[str, str]) -> None:
        await self._post(f"/api/orders/{orders['delivered']}/cancel", {"reason": "too late"})
        await self._post(f"/api/orders/{orders['delivered']}/payment", {"paymentMethod": "pm_card_visa"})
        await self._post(f"/api/inventory/{self._product}/update", {"quantityChange": 1})
        payment = await self._shop.database.fetchval(
            "SELECT payment_intent_id FROM payments WHERE order_id = $1", orders["authenticated"]
        )
        await self._shop.stripe.post("/_control/disputes", json={"payment_intent": payment})
        await self._until("SELECT hold IS NOT NULL FROM orders WHERE order_id = $1", True, orders["authenticated"])

    async def _jobs(self, order_id: str) -> None:
        """The scheduled jobs over all orders, and once about an order whose workflow somebody has terminated."""
        shop, queue = self._shop, self._shop.settings.task_queue
        await shop.temporal.get_workflow_handle(workflow_id(order_id)).terminate("a tour")
        lost = ReconcileOrders.model_validate({"unchanged_for": 0, "order_ids": [order_id]})
        for name, asked in (
            ("Reconciliation", lost),
            ("Reconciliation", ReconcileOrders()),
            ("StripeEvents", CatchUpEvents()),
        ):
            began = time.perf_counter()
            await shop.temporal.execute_workflow(name, asked, id=f"tour-{secrets.token_hex(4)}", task_queue=queue)
            self.took[name] = time.perf_counter() - began
        await self.reaches(order_id, OrderStatus.CANCELED)

    async def _get(self, path: str) -> None:
        began = time.perf_counter()
        answer = await self._shop.http.get(path)
        named = path.replace(self._product, "PRODUCT").replace(self._customer, "CUSTOMER")
        self.took[re.sub(r"[0-9a-f]{32}", "ORDER", named)] = time.perf_counter() - began
        if answer.status_code != 200:
            raise BenchmarkFailed(f"GET {path}: {answer.status_code} {answer.text}")

    async def _post(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        answer = await self._shop.http.post(path, json=body, headers=headers)
        if answer.status_code in (404, 422) or answer.status_code >= 500:
            raise BenchmarkFailed(f"POST {path}: {answer.status_code} {answer.text}")
        return answer

    async def _until(self, query: str, wanted: object, *values: object) -> None:
        await until(lambda found: found == wanted, self._shop.database, query, *values)


async def until(
    is_so: Callable[[Any], bool], database: asyncpg.Pool, query: str, *values: object, within: float = WITHIN
) -> None:
    """Comes back when the query's one value is so. Raises BenchmarkFailed when that takes too long."""
    deadline = time.monotonic() + within
    while not is_so(found := await database.fetchval(query, *values)):
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"still {found!r} after {within:.0f} s: {query} {values}")
        await asyncio.sleep(0.05)
