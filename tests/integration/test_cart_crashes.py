"""The API is killed in the middle of what carts do; whoever repeats the same request by its key gets it done once."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

from sqlmodel import col, func, select
from temporalio.client import Client

from adapters.settings import Settings
from devstack.stack.stack import Stack
from services.carts.tables import Cart
from services.inventory.tables import Stock
from services.orders.tables import Order
from services.payments.tables import Payment
from tests.support.api_process import api_process, tried
from tests.support.orders import Shop
from tests.support.waiting import until
from worker import Activities, build_worker


async def test_adds_that_a_crash_cut_off_are_counted_once(stack: Stack, shop: Shop, tmp_path: Path) -> None:
    """Twenty at once; the process dies when the first is stored; all twenty again by their keys: 20 pieces."""
    customer, lamp = await shop.customer(), await shop.product(on_hand=100, price="24.50")
    path, keys = f"/cart/{customer}/add", [secrets.token_hex(8) for _ in range(20)]
    body: dict[str, object] = {"productId": lamp, "quantity": 1}

    async def is_begun() -> bool:
        async with shop.sessions() as session:
            query = select(Cart).where(Cart.customer_id == customer, Cart.version > 1)
            return (await session.exec(query)).first() is not None

    async with api_process(stack, tmp_path) as api:
        adds = [asyncio.create_task(tried(api.client, path, body, key)) for key in keys]
        await until(is_begun, True)
        await api.kill()
        await asyncio.gather(*adds)
    async with api_process(stack, tmp_path) as api:
        answers = await asyncio.gather(*(tried(api.client, path, body, key) for key in keys))
        cart = (await api.client.get(f"/cart/{customer}")).json()

    assert [answer.status_code for answer in answers if answer] == [200] * 20
    assert [(item["quantity"], item["amount"]) for item in cart["items"]] == [(20, "490.00")]


async def test_a_checkout_that_a_crash_cut_off_is_one_order(
    stack: Stack, shop: Shop, settings: Settings, temporal_client: Client, activities: Activities, tmp_path: Path
) -> None:
    """The process dies when the order is stored and no worker has it; the same key gets it, another one its link.

    The lamp has become dearer meanwhile: only the new total is ordered.
    """
    customer, lamp = await shop.customer(), await shop.product(on_hand=100, price="24.50")
    queue = {"ORDERSAGA_TASK_QUEUE": settings.task_queue, "ORDERSAGA_CHECKOUT_BUDGET": "60"}
    body: dict[str, object] = {"paymentMethod": "credit_card", "expectedTotal": "54.00"}

    async def orders() -> int:
        async with shop.sessions() as session:
            return (await session.exec(select(func.count()).where(col(Order.customer_id) == customer))).one()

    async with api_process(stack, tmp_path, **queue) as api:
        added = await tried(api.client, f"/cart/{customer}/add", {"productId": lamp, "quantity": 2}, "add")
        assert added is not None
        path = f"/api/carts/{added.json()['cartId']}/checkout"
        assert (await api.client.patch(f"/api/products/{lamp}", json={"price": "27.00"})).status_code == 200
        changed = await tried(api.client, path, body | {"expectedTotal": "49.00"}, "old")
        assert changed is not None and (changed.status_code, changed.json()["totalAmount"]) == (409, "54.00")
        cut_off = [asyncio.create_task(tried(api.client, path, body, key)) for key in ("one", "one")]
        await until(orders, 1)
        await api.kill()
        assert await asyncio.gather(*cut_off) == [None, None]
    async with build_worker(temporal_client, settings, activities), api_process(stack, tmp_path, **queue) as api:
        answers = await asyncio.gather(*(tried(api.client, path, body, key) for key in ["one"] * 3 + ["two"] * 2))

    *placed, first, second = [answer for answer in answers if answer is not None]
    assert [answer.status_code for answer in placed] == [201] * 3
    [order_id] = {answer.json()["orderId"] for answer in placed}
    for refused in (first, second):
        assert (refused.status_code, refused.json()["orderId"]) == (409, order_id)
    async with shop.sessions() as session:
        reserved = (await session.get_one(Stock, lamp)).reserved
        payments = (await session.exec(select(func.count()).where(col(Payment.order_id) == order_id))).one()
    assert (await orders(), reserved, payments) == (1, 2, 1)
