"""Stripe refuses our key (401 or 403): orders wait, lose nothing, and go on when the key is right again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlmodel import select
from temporalio.testing import WorkflowEnvironment

from adapters.database import Sessions
from adapters.repair_tables import Ticket
from adapters.settings import Settings
from devstack.stack import Stack
from domain.order_states import OrderStatus
from tests.orders import Shop, undos_run
from tests.waiting import until
from tests.workflows.timeless import Timeless, skipping_server, timeless_shop


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    async with skipping_server() as env:
        yield env


@pytest.fixture(scope="module")
async def own_stripe(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A simulator of this file's own, because its key is refused for everybody."""
    async with Stack(tmp_path_factory.mktemp("stripe"), ephemeral=True, parts={"stripe"}, migrate=False) as stack:
        yield stack


@pytest.fixture
async def timeless(
    env: WorkflowEnvironment, stack: Stack, own_stripe: Stack, settings: Settings, sessions: Sessions
) -> AsyncIterator[Timeless]:
    async with timeless_shop(env, stack, settings, sessions, own_stripe) as timeless:
        yield timeless


async def key(shop: Shop, *, accept: bool, status: int = 401) -> None:
    url = f"{shop.stack.urls.stripe}/_control/api_key"
    (await shop.http.post(url, json={"accept": accept, "status": status})).raise_for_status()


async def tickets(sessions: Sessions, order_id: str) -> list[tuple[str, str, bool]]:
    async with sessions() as session:
        found = await session.exec(select(Ticket).where(Ticket.order_id == order_id))
        return [(ticket.step, ticket.kind, ticket.resolved_at is None) for ticket in found]


async def test_a_checkout_outlasts_a_key_that_is_refused_for_longer_than_its_limit(
    timeless: Timeless, sessions: Sessions
) -> None:
    """After fifteen minutes a person is called; the stock stays reserved, nothing is undone, and then it sells."""
    shop = timeless.shop
    await key(shop, accept=False)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    ticket = ("authorize_payment", "step_keeps_failing")
    await until(lambda: tickets(sessions, order.order_id), [(*ticket, True)], seconds=100)
    books = await shop.books(order.order_id)
    assert (books.status, books.on_hand, books.reserved, books.held) == ("RESERVED", 10, 2, 0)

    await key(shop, accept=True)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await until(lambda: tickets(sessions, order.order_id), [(*ticket, False)])
    assert (await undos_run(handle), await shop.authorizations(order.order_id)) == ([], 1)
    await handle.terminate()


async def test_a_checkout_waits_while_a_key_may_not(timeless: Timeless, sessions: Sessions) -> None:
    """403 for some minutes: no undo, no ticket yet, and it goes on by itself."""
    shop = timeless.shop
    await key(shop, accept=False, status=403)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: _attempts(timeless, 3), True)
    assert await shop.status(order.order_id) == OrderStatus.RESERVED
    await key(shop, accept=True)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert (await undos_run(handle), await tickets(sessions, order.order_id)) == ([], [])
    await handle.terminate()


async def test_a_capture_outlasts_a_refused_key(timeless: Timeless, sessions: Sessions) -> None:
    """The label is bought and the money held: neither is given up, and a person is called after two minutes."""
    shop = timeless.shop
    timeless.faults.hold("capture_payment")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await timeless.faults.arrived("capture_payment")
    await key(shop, accept=False)
    timeless.faults.release("capture_payment")
    await until(lambda: tickets(sessions, order.order_id), [("capture_payment", "step_keeps_failing", True)])
    await key(shop, accept=True)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await until(lambda: tickets(sessions, order.order_id), [("capture_payment", "step_keeps_failing", False)])
    assert await undos_run(handle) == []
    await handle.terminate()


async def test_a_cancel_is_heard_while_the_key_is_refused(timeless: Timeless) -> None:
    """It is accepted at once; the undo waits for the key too, since it has to look, and then ends the order."""
    shop = timeless.shop
    await key(shop, accept=False)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: _attempts(timeless, 2), True)
    await handle.signal("cancel_order", "changed my mind")
    await until(lambda: shop.status(order.order_id), OrderStatus.CANCELING)
    await key(shop, accept=True)
    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.authorizations(order.order_id) == 0


async def _attempts(timeless: Timeless, wanted: int) -> bool:
    return timeless.faults.calls.count("authorize_payment") >= wanted
