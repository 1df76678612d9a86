"""Which lines can be dropped, and what a drop writes."""

from __future__ import annotations

import pytest

from domain.errors import Conflict, NotFound
from services.orders.line_drops import drop_line
from services.orders.named import named_order
from tests.support.counter import Counter


async def drop(counter: Counter, order_id: str, product_id: str, *, has_parcel: bool = False) -> bool:
    async with named_order(counter.book, order_id) as order:
        return await drop_line(order, product_id, has_parcel=has_parcel, by="anna")


async def test_drops_a_line_once(counter: Counter) -> None:
    """Again writes nothing: no timeline row, no event."""
    lamp, vase = await counter.product(), await counter.product()
    order_id = await counter.confirmed(lamp, vase)
    before = await counter.events(order_id)

    assert await drop(counter, order_id, vase)
    assert not await drop(counter, order_id, vase)

    assert (await counter.told(order_id))[-2:] == ["payment authorized", f"line dropped, 1 x {vase}"]
    assert await counter.events(order_id) == before + 1


async def test_refuses_the_last_line_that_costs_something(counter: Counter) -> None:
    """A gift alone would be an order that nobody pays."""
    lamp, gift = await counter.product(), await counter.product(price="0")
    order_id = await counter.confirmed(lamp, gift)

    with pytest.raises(Conflict) as refused:
        await drop(counter, order_id, lamp)

    assert refused.value.code == "last_line"
    assert refused.value.members == {"order_id": order_id, "order_status": "CONFIRMED"}
    assert await drop(counter, order_id, gift)


@pytest.mark.parametrize(("has_parcel", "code"), [(True, "already_shipping"), (False, "line_not_droppable")])
async def test_refuses_when_it_is_too_late_or_too_early(counter: Counter, has_parcel: bool, code: str) -> None:
    """Once the parcel is bought, and before the order is confirmed."""
    lamp, vase = await counter.product(), await counter.product()
    order_id = await (counter.confirmed if has_parcel else counter.placed)(lamp, vase)

    with pytest.raises(Conflict) as refused:
        await drop(counter, order_id, vase, has_parcel=has_parcel)
    assert refused.value.code == code


async def test_knows_neither_order_nor_line_that_there_is_not(counter: Counter) -> None:
    """Each by a code of its own."""
    order_id = await counter.confirmed(await counter.product())

    with pytest.raises(NotFound) as no_line:
        await drop(counter, order_id, "p-nowhere")
    with pytest.raises(NotFound) as no_order:
        await drop(counter, "0" * 32, "p-nowhere")

    assert (no_line.value.code, no_order.value.code) == ("no_such_line", "no_such_order")
