"""The saga's steps one by one, without a workflow, and everything that they have written anywhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from sqlmodel import SQLModel, col, select
from temporalio.testing import ActivityEnvironment

from domain.commands import Message, ParcelStatus, PaymentTry
from domain.errors import TryAgain
from services.inventory.tables import Reservation, Stock
from services.orders.tables import CancelWish, Order, OrderLine, OrderStep, TimelineEntry
from services.outbox.tables import OutboxEvent
from services.payments.tables import Payment, PaymentAttempt
from services.shipping.tables import ShipmentRow
from tests.support.orders import Shop
from tests.support.our_client import note_parcel_of
from worker import Activities

WAY = (
    "reserve_inventory",
    "authorize_payment",
    "ship_order",
    "capture_payment",
    "record_shipped",
    "record_delivered",
)
"""Every forward step, in the order in which a good order takes them."""

ON_ITS_WAY = {"record_shipped": ParcelStatus.IN_TRANSIT, "record_delivered": ParcelStatus.DELIVERED}
"""What the relay notes before a step is written down."""

_TABLES: tuple[type[SQLModel], ...] = (
    Order,
    TimelineEntry,
    OrderStep,
    Reservation,
    PaymentAttempt,
    Payment,
    ShipmentRow,
    CancelWish,
)

Rows = dict[str, list[dict[str, Any]]]


class Steps:
    """Runs single attempts of steps. Errors arrive as the domain's own."""

    def __init__(self, activities: Activities, shop: Shop) -> None:
        self._methods = {method.__name__: method for method in activities.methods()}  # type: ignore[attr-defined]
        self._shop = shop

    async def run(self, step: str, order_id: str, *, attempt: int = 1) -> Any:
        if step in ON_ITS_WAY:
            await note_parcel_of(self._shop.sessions, order_id, ON_ITS_WAY[step])
        return await self.run_with(step, PaymentTry(order_id=order_id), attempt=attempt)

    async def run_with(self, step: str, argument: Message, *, attempt: int = 1) -> Any:
        return await run_attempt(self._methods[step], argument, attempt=attempt)

    async def reach(self, step: str, order_id: str) -> None:
        """Runs the way of a good order up to and with `step`."""
        for name in WAY[: WAY.index(step) + 1]:
            await self.run(name, order_id)

    async def insist(self, step: str, order_id: str, *, most: int = 6) -> int:
        """Runs attempts as the engine would until one succeeds; how many it took."""
        for attempt in range(1, most + 1):
            try:
                await self.run(step, order_id, attempt=attempt)
            except TryAgain:
                continue
            return attempt
        raise AssertionError(f"{step} did not succeed in {most} attempts")

    async def written(self, order_id: str) -> Rows:
        """Every row that our books and the far ends' ledgers hold of the order, but when a fence was last touched."""
        rows: Rows = {}
        async with self._shop.sessions() as session:
            for table in _TABLES:
                found = await session.exec(select(table).where(table.order_id == order_id))  # type: ignore[attr-defined]
                rows[table.__name__] = _sorted(row.model_dump(exclude={"updated_at"}) for row in found)
            lines = select(OrderLine.product_id).where(OrderLine.order_id == order_id)
            products = list(await session.exec(lines))
            stock = await session.exec(select(Stock).where(col(Stock.product_id).in_(products)))
            rows["stock"] = _sorted(row.model_dump() for row in stock)
            subjects = select(OutboxEvent).where(col(OutboxEvent.subject).in_([order_id, *products]))
            rows["outbox"] = _sorted(row.model_dump() for row in await session.exec(subjects))
        rows["stripe"] = await self.ledger("stripe", order_id)
        rows["carrier"] = await self.ledger("carrier", order_id)
        return rows

    async def ledger(self, far_end: str, order_id: str) -> list[dict[str, Any]]:
        """What a far end really did for the order, oldest first."""
        base, key = getattr(self._shop.stack.urls, far_end), {"stripe": "order_id", "carrier": "reference"}[far_end]
        answer = await self._shop.http.get(f"{base}/_control/ledger", params={key: order_id})
        entries: list[dict[str, Any]] = answer.raise_for_status().json()
        return entries

    async def effects(self, far_end: str, order_id: str) -> list[str]:
        """The kinds of what a far end did: authorize, void, capture, refund; label_bought, label_voided, ..."""
        return [entry["kind"] for entry in await self.ledger(far_end, order_id)]

    async def faults_shown(self, far_end: str, kind: str) -> int:
        base = getattr(self._shop.stack.urls, far_end)
        answer = (await self._shop.http.get(f"{base}/_control/faults")).raise_for_status()
        return int(answer.json()["shown"].get(kind, 0))


def _sorted(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=repr)


async def run_attempt(step: Any, argument: Message | str, *, attempt: int = 1) -> Any:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, attempt=attempt)
    ref = PaymentTry(order_id=argument) if isinstance(argument, str) else argument
    return await environment.run(step, ref)
