"""A database and a Temporal namespace belong together: in another one every order would look abandoned."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlmodel import update
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError

from adapters.postgres.database import Sessions
from domain.order_states import OrderStatus
from services.recovery.tables import Cursor
from tests.support.orders import Shop
from tests.support.reconciling import reconcile
from tests.support.waiting import until


@pytest.fixture
async def another_engine(shop: Shop, sessions: Sessions, worker: None) -> AsyncIterator[None]:
    """The database says that its orders are another namespace's."""
    await reconcile(shop, "no-order")  # the first one writes down whose they are
    await _say(sessions, secrets.token_hex(16))
    yield
    async with sessions() as session, session.begin():
        await session.delete(await session.get_one(Cursor, "engine"))


async def _say(sessions: Sessions, engine: str) -> None:
    async with sessions() as session, session.begin():
        await session.exec(update(Cursor).where(Cursor.name == "engine").values(value=engine))  # type: ignore[arg-type]


async def test_orders_of_another_engine_are_never_recovered(shop: Shop, another_engine: None) -> None:
    """The order's workflow was terminated, and yet nobody undoes it: it may be running in its own namespace."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=timedelta(hours=1))
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    await handle.terminate()
    with pytest.raises(WorkflowFailureError) as failed:
        await reconcile(shop, order.order_id)
    assert isinstance(failed.value.cause, ActivityError)
    assert "belong to the Temporal namespace" in str(failed.value.cause.cause)
    assert await shop.status(order.order_id) is OrderStatus.CONFIRMED
