"""Stock under pressure: never oversold, never deadlocked, every change told once and in order."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence

import pytest

from domain.errors import OutOfStock
from domain.order_states import OrderStatus, PaymentStatus
from services.inventory.tables import Stock
from services.orders.book import place_order
from services.orders.tables import Order, OrderLine
from tests.support.orders import Shop
from tests.support.steps import Steps

ROUNDS = 12


async def _order_over(shop: Shop, products: Sequence[str], quantity: int = 1) -> str:
    """A PLACED order of `quantity` of each product, its lines in the given order."""
    order_id, customer_id = secrets.token_hex(16), await shop.customer()
    async with shop.sessions() as session, session.begin():
        row = Order(
            order_id=order_id,
            customer_id=customer_id,
            fingerprint="test",
            status=OrderStatus.PLACED,
            payment_status=PaymentStatus.PENDING,
            currency="USD",
            total_minor=1000 * quantity * len(products),
            payment_method="pm_card_visa",
        )
        lines = [
            OrderLine(
                order_id=order_id,
                product_id=product_id,
                line_number=number,
                name="Lamp",
                quantity=quantity,
                unit_price_minor=1000,
            )
            for number, product_id in enumerate(products, start=1)
        ]
        await place_order(await session.connection(), row, lines)
    return order_id


async def _stock(shop: Shop, product_id: str) -> tuple[int, int]:
    """(on_hand, reserved)"""
    async with shop.sessions() as session:
        row = await session.get_one(Stock, product_id)
    return row.on_hand, row.reserved


async def _reserved(steps: Steps, order_id: str) -> bool:
    try:
        await steps.run("reserve_inventory", order_id)
    except OutOfStock:
        return False
    return True


async def test_50_orders_at_once_for_the_last_10_pieces_sell_exactly_10(shop: Shop, steps: Steps) -> None:
    """Ten are RESERVED, forty are out of stock and hold nothing."""
    product_id = await shop.product(on_hand=10)
    orders = [await _order_over(shop, [product_id]) for _ in range(50)]
    got = await asyncio.gather(*(_reserved(steps, order_id) for order_id in orders))
    assert Counter(got) == {True: 10, False: 40}
    assert await _stock(shop, product_id) == (10, 10)
    statuses = Counter([await shop.status(order_id) for order_id in orders])
    assert statuses == {OrderStatus.RESERVED: 10, OrderStatus.PLACED: 40}


async def test_a_line_that_falls_short_leaves_the_others_unreserved(shop: Shop, steps: Steps) -> None:
    """All lines or none: the error names every product that falls short, and only those."""
    plenty, little, none = (
        await shop.product(on_hand=10),
        await shop.product(on_hand=1),
        await shop.product(on_hand=0),
    )
    order_id = await _order_over(shop, [plenty, little, none], quantity=2)
    before = await steps.written(order_id)
    with pytest.raises(OutOfStock) as refused:
        await steps.run("reserve_inventory", order_id)
    assert refused.value.product_ids == sorted([little, none])
    assert await steps.written(order_id) == before


async def test_what_is_given_back_can_be_sold_again(shop: Shop, steps: Steps) -> None:
    """Ten orders hold everything and are undone while ten others try: in the end the stock is sold once."""
    product_id = await shop.product(on_hand=10)
    first = [await _order_over(shop, [product_id]) for _ in range(10)]
    second = [await _order_over(shop, [product_id]) for _ in range(10)]
    await asyncio.gather(*(steps.run("reserve_inventory", order_id) for order_id in first))
    releases = [steps.run("release_inventory", order_id) for order_id in first]
    got = (await asyncio.gather(*(_reserved(steps, order_id) for order_id in second), *releases))[: len(second)]
    late = [await _reserved(steps, order_id) for order_id, held in zip(second, got, strict=True) if not held]
    assert all(late)
    assert await _stock(shop, product_id) == (10, 10)


async def test_opposite_line_orders_do_not_deadlock(shop: Shop, steps: Steps) -> None:
    """Rows are locked in product order, whatever the order of the lines; a deadlock would be an error here."""
    products = [await shop.product(on_hand=2 * ROUNDS) for _ in range(4)]
    forward = [await _order_over(shop, products) for _ in range(ROUNDS)]
    backward = [await _order_over(shop, products[::-1]) for _ in range(ROUNDS)]
    orders = [order_id for pair in zip(forward, backward, strict=True) for order_id in pair]
    await asyncio.gather(*(steps.run("reserve_inventory", order_id) for order_id in orders))
    assert [await _stock(shop, product_id) for product_id in products] == [(2 * ROUNDS, 2 * ROUNDS)] * 4
    await asyncio.gather(*(steps.run("release_inventory", order_id) for order_id in orders))
    assert [await _stock(shop, product_id) for product_id in products] == [(2 * ROUNDS, 0)] * 4


async def test_reserving_releasing_and_shipping_at_once_do_not_deadlock(shop: Shop, steps: Steps) -> None:
    """Three kinds of change over the same products in opposite line orders; the books add up."""
    products = [await shop.product(on_hand=3 * ROUNDS) for _ in range(3)]
    orders = [await _order_over(shop, products[::way]) for way in (1, -1) * 9]
    shipped, undone, new = orders[:6], orders[6:12], orders[12:]
    for order_id in shipped:
        await steps.reach("capture_payment", order_id)
    for order_id in undone:
        await steps.run("reserve_inventory", order_id)
    work = [
        *(steps.run("record_shipped", order_id) for order_id in shipped),
        *(steps.run("release_inventory", order_id) for order_id in undone),
        *(steps.run("reserve_inventory", order_id) for order_id in new),
    ]
    await asyncio.gather(*work[::2], *work[1::2])
    left = 3 * ROUNDS - len(shipped)
    assert [await _stock(shop, product_id) for product_id in products] == [(left, len(new))] * 3


async def test_every_change_of_the_stock_is_told_once_and_in_order(shop: Shop, steps: Steps) -> None:
    """InventoryUpdated is numbered per product without gaps, and each new quantity follows from the one before."""
    product_id = await shop.product(on_hand=20)
    orders = [await _order_over(shop, [product_id], quantity=2) for _ in range(6)]
    for order_id in orders:
        await steps.reach("capture_payment", order_id)
    assert await shop.events(product_id) == []
    await asyncio.gather(*(steps.run("record_shipped", order_id) for order_id in orders))
    events = await shop.events(product_id)
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.data["newQuantity"] for event in events] == [18, 16, 14, 12, 10, 8]
    assert {event.data["quantityChange"] for event in events} == {-2}
    assert {event.type for event in events} == {"ordersaga.inventory.updated.v1"}
    assert await _stock(shop, product_id) == (8, 0)
