"""Stripe refuses our key (401, 403) or what we send (400): orders wait, and go on by themselves when it is mended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlmodel import col, select
from temporalio.testing import WorkflowEnvironment

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from devstack.stack.stack import Stack
from domain.order_states import OrderStatus
from services.tickets.tables import Ticket
from tests.support.orders import Books, Shop, undos_run
from tests.support.timeless import Timeless, timeless_shop
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
async def own_stripe(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A simulator of this file's own, because its key is refused for everybody."""
    async with Stack(tmp_path_factory.mktemp("stripe"), ephemeral=True, parts={"stripe"}, migrate=False) as stack:
        yield stack


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Each try costs the server a second to skip to: one every three minutes here, one a minute in production."""
    assert Settings.model_fields["fault_retry"].default == timedelta(minutes=1)
    return settings.model_copy(update={"fault_retry": timedelta(minutes=3)})


@pytest.fixture
async def timeless(
    env: WorkflowEnvironment, stack: Stack, own_stripe: Stack, settings: Settings, sessions: Sessions
) -> AsyncIterator[Timeless]:
    async with timeless_shop(env, stack, settings, sessions, own_stripe) as timeless:
        yield timeless


async def key(shop: Shop, *, accept: bool, status: int = 401) -> None:
    url = f"{shop.stack.urls.stripe}/_control/api_key"
    (await shop.http.post(url, json={"accept": accept, "status": status})).raise_for_status()


REFUSED = "Stripe HTTP 401"


async def tickets(sessions: Sessions, order_id: str | None) -> list[bool]:
    """Whether each ticket of the order is open; of no order: the latest one of the refused key."""
    async with sessions() as session:
        query = select(Ticket).where(Ticket.order_id == order_id)
        if order_id is None:
            query = query.where(Ticket.subject == REFUSED).order_by(col(Ticket.id).desc()).limit(1)
        return [ticket.resolved_at is None for ticket in await session.exec(query)]


async def is_called(shop: Shop, order_id: str) -> bool:
    """Whether the order has asked for a person, and was told that the ticket of the cause is open."""
    waits = (await shop.order(order_id)).waits_for
    return waits is not None and waits["cause"] == REFUSED and bool(waits["called"])


async def test_a_checkout_outlasts_a_key_that_is_refused_for_longer_than_its_limit(
    timeless: Timeless, sessions: Sessions
) -> None:
    """After fifteen minutes it wants a person: the key's ticket is open. Nothing is undone, and then it sells."""
    shop = timeless.shop
    await key(shop, accept=False)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: is_called(shop, order.order_id), True, seconds=100)
    assert await tickets(sessions, None) == [True]
    books = await shop.books(order.order_id)
    assert (books.status, books.on_hand, books.reserved, books.held) == ("RESERVED", 10, 2, 0)

    await key(shop, accept=True)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert (await tickets(sessions, None), await tickets(sessions, order.order_id)) == ([False], [])
    assert (await undos_run(handle), await shop.authorizations(order.order_id)) == ([], 1)
    await handle.terminate()


async def test_a_checkout_waits_while_a_key_may_not(timeless: Timeless, sessions: Sessions) -> None:
    """403 for some minutes: no undo, no ticket of the order's own, and it goes on by itself."""
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
    """The label is bought and the money held: neither is given up, and after two minutes it wants a person."""
    shop = timeless.shop
    timeless.faults.hold("capture_payment")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await timeless.faults.arrived("capture_payment")
    await key(shop, accept=False)
    timeless.faults.release("capture_payment")
    await until(lambda: is_called(shop, order.order_id), True)
    assert await tickets(sessions, None) == [True]
    await key(shop, accept=True)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await until(lambda: tickets(sessions, None), [False])
    assert (await undos_run(handle), await tickets(sessions, order.order_id)) == ([], [])
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


async def test_a_fault_of_ours_that_is_not_mended_ends_a_checkout_after_its_fifteen_minutes(
    timeless: Timeless, sessions: Sessions
) -> None:
    """Stripe refuses what we send: the order keeps its stock and tries on, then it ends with a code of its own."""
    shop = timeless.shop
    await shop.fault("stripe", "payment_intents.create", "refuse_400", times=None, code="parameter_unknown")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    assert await handle.result() is OrderStatus.REJECTED
    assert 4 <= timeless.faults.calls.count("authorize_payment") <= 7  # once every three minutes
    assert await undos_run(handle) == ["return_payment", "release_inventory"]
    refusal = (await shop.order(order.order_id)).refusal
    assert refusal == {"code": "our_fault", "detail": "a fault on our side was not mended in time"}
    assert await shop.books(order.order_id) == Books(status="REJECTED", payment_status="Pending", on_hand=10)
    assert (await shop.order(order.order_id)).waits_for is None
    await shop.http.delete(f"{shop.stack.urls.stripe}/_control/faults")


async def test_a_fault_that_is_mended_in_time_costs_a_checkout_nothing_but_time(timeless: Timeless) -> None:
    """Some minutes of refusals, then it goes on by itself: one charge."""
    shop = timeless.shop
    await shop.fault("stripe", "payment_intents.confirm", "refuse_400", times=3)
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert (await undos_run(handle), await shop.authorizations(order.order_id)) == ([], 1)
    await handle.terminate()


async def _attempts(timeless: Timeless, wanted: int) -> bool:
    return timeless.faults.calls.count("authorize_payment") >= wanted
