"""How often an order's steps go to the database: one statement locks and reads, one writes, and stock has its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.database import Sessions, engine_of
from domain.commands import CloseOrder
from domain.order_states import OrderStatus
from services.orders.placement import NewOrder, place
from services.orders.pricing import Pieces
from tests.support.orders import Shop
from tests.support.steps import Steps
from worker import Activities


@dataclass
class Trips:
    """Statements, begin and commit not counted; and transactions of more than one statement that were committed."""

    statements: int = 0
    commits: int = 0


@contextmanager
def counted(engine: AsyncEngine) -> Iterator[Trips]:
    trips = Trips()

    def execute(*_: Any) -> None:
        trips.statements += 1

    def commit(connection: Any) -> None:
        trips.commits += connection.get_isolation_level() != "AUTOCOMMIT"

    event.listen(engine.sync_engine, "before_cursor_execute", execute)
    event.listen(engine.sync_engine, "commit", commit)
    try:
        yield trips
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", execute)
        event.remove(engine.sync_engine, "commit", commit)


async def test_the_steps_of_an_order(steps: Steps, shop: Shop, activities: Activities) -> None:
    order = await shop.put(await shop.product())
    await steps.run("reserve_inventory", (await shop.put(await shop.product())).order_id)  # its connection is open
    seen = {}
    for step in ("reserve_inventory", "authorize_payment", "ship_order", "capture_payment"):
        with counted(activities.engine) as trips:
            await steps.run(step, order.order_id)
        seen[step] = (trips.statements, trips.commits)
    assert seen == {
        "reserve_inventory": (3, 1),
        "authorize_payment": (6, 3),  # the call that creates; its answer and the call that confirms; the outcome
        "ship_order": (5, 2),  # a look, the shipment before it is bought, the label
        "capture_payment": (4, 2),  # the call before it is sent, and its outcome
    }


async def test_the_end_of_an_order_without_a_cart(shop: Shop, activities: Activities) -> None:
    """It reads and writes the order, and asks for no cart."""
    for _ in range(2):  # the first time its connection is opened
        order = await shop.put(await shop.product())
        wanted = CloseOrder(order_id=order.order_id, status=OrderStatus.REJECTED, code="error", by="saga")
        with counted(activities.engine) as trips:
            assert (await activities.orders.close_order(wanted)).status is OrderStatus.REJECTED
    assert (trips.statements, trips.commits) == (2, 1)


async def test_a_checkout(sessions: Sessions, shop: Shop) -> None:
    """A look-up, and one statement that stores everything. The same request again only looks."""
    customer_id, product_id = await shop.customer(), await shop.product()
    new = NewOrder(
        order_id=secrets.token_hex(16),
        key="key",
        fingerprint="f",
        customer_id=customer_id,
        items=[Pieces(product_id, 1)],
        payment_method="pm_card_visa",
    )
    with counted(engine_of(sessions)) as first:
        await place(sessions, new)
    with counted(engine_of(sessions)) as again:
        await place(sessions, new)
    assert (first.statements, again.statements) == (2, 1)
