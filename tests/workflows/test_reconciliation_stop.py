"""A reconciliation that finds too many orders without a workflow undoes none of them before a person has looked."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from domain.order_states import OrderStatus
from domain.recovery import OrdersLookedAt, Reconciled, ReconcileOrders, stops
from tests.support.orders import Shop
from tests.support.reconciling import open_tickets, reconcile, recovery_of
from tests.support.repairs import Desk
from tests.support.waiting import until

KIND = "reconciliation_stopped"


async def lost(shop: Shop, number: int) -> list[str]:
    """Paid orders of which the engine says that nobody looks after them, as a cluster that was restored would."""
    handles = {}
    for _ in range(number):
        order = await shop.put(await shop.product())
        handles[order.order_id] = await shop.start(order, ship_in=timedelta(hours=1))
    for order_id, handle in handles.items():
        await until(lambda order_id=order_id: shop.status(order_id), OrderStatus.CONFIRMED)  # type: ignore[misc]
        await handle.terminate("another cluster")
    return list(handles)


async def tickets_of(api: httpx.AsyncClient) -> list[dict[str, str]]:
    found: list[dict[str, str]] = (await api.get("/api/repairs", params={"kind": KIND})).json()["tickets"]
    return found


async def test_too_many_lost_orders_are_left_alone_until_a_person_decides(
    shop: Shop, worker: None, api: httpx.AsyncClient
) -> None:
    """Not a row of them changes, one ticket is opened; released, the next run recovers all of them, and once."""
    order_ids = await lost(shop, 3)
    rows = [await shop.order(order_id) for order_id in order_ids]
    for _ in range(2):
        assert await reconcile(shop, *order_ids, stop_orders=2) == Reconciled(looked_at=3, lost=3, stopped=True)
    assert [await shop.order(order_id) for order_id in order_ids] == rows
    (ticket,) = await tickets_of(api)
    assert ticket["detail"].startswith("3 of 3 orders have no running workflow, e.g. ")

    await Desk(api).settle(ticket, "retry", note="they were terminated by mistake")
    found = await reconcile(shop, *order_ids, stop_orders=2, batch=2)

    assert (found.recovered, found.lost, found.stopped) == (3, 3, False)
    for order_id in order_ids:
        assert await recovery_of(shop, order_id).result() is OrderStatus.CANCELED
        assert (await shop.books(order_id)).kept == 0
    assert KIND not in await open_tickets(shop, None)


async def test_a_cause_that_was_mended_lets_the_next_run_count_anew(
    shop: Shop, worker: None, api: httpx.AsyncClient
) -> None:
    """Whoever puts the right cluster back says so: if they are still too many, it stops again."""
    order_ids = await lost(shop, 1)
    for _ in range(2):
        assert (await reconcile(shop, *order_ids, stop_orders=0)).stopped
        (ticket,) = await tickets_of(api)
        await Desk(api).settle(ticket, "mark_done")
    assert (await reconcile(shop, *order_ids)).recovered == 1


async def test_checkouts_that_never_reached_the_engine_do_not_count(shop: Shop, worker: None) -> None:
    """After an outage there may be hundreds: they hold nothing, and to end them undoes nothing."""
    order_ids = [(await shop.put(await shop.product())).order_id for _ in range(3)]
    assert await reconcile(shop, *order_ids, stop_orders=0) == Reconciled(looked_at=3, recovered=3)


@pytest.mark.parametrize(
    ("lost_before", "seen_before", "lost_now", "seen_now", "stopped"),
    [
        (0, 0, 20, 20, False),  # a handful is the ordinary work, also in a small shop
        (0, 0, 21, 500, False),  # and so is a small share
        (0, 0, 26, 500, True),
        (0, 0, 500, 500, True),
        (20, 500, 30, 500, False),  # all batches of a run together
        (20, 500, 31, 500, True),
        (0, 100_000, 500, 500, False),
    ],
)
def test_a_run_stops_at_a_number_and_a_share(
    lost_before: int, seen_before: int, lost_now: int, seen_now: int, stopped: bool
) -> None:
    """More than 20 orders and more than 5 % of those that the run has looked at."""
    asked = ReconcileOrders(so_far=Reconciled(looked_at=seen_before, lost=lost_before))
    assert stops(asked, OrdersLookedAt(looked_at=seen_now, lost=lost_now)) is stopped
