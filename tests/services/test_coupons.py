"""How often a code is used is never more than it may be, and what an undone order has used comes back."""

from __future__ import annotations

import asyncio
import secrets
from decimal import Decimal
from typing import Any

import pytest
from sqlmodel import select

from domain.commands import CloseOrder
from domain.errors import Conflict, CouponRefused, InvalidInput
from domain.order_states import OrderStatus
from domain.pricing.promotions import PromotionKind
from domain.steps import RESERVE
from services.inventory import reservations
from services.orders import ending
from services.orders.named import named_order
from services.orders.placement import place
from services.outbox.tables import OutboxEvent
from services.promotions.desk import (
    CouponData,
    PromotionData,
    add_coupon,
    add_promotion,
    change_coupon,
    change_promotion,
    history,
    read_coupon,
)
from tests.support.counter import Counter


async def coupon(counter: Counter, **limits: Any) -> str:
    """A code for 10 % off."""
    code, promotion_id = f"C-{secrets.token_hex(4)}".upper(), f"p-{secrets.token_hex(4)}"
    promotion = PromotionData(promotion_id, "Save 10 %", PromotionKind.PERCENT, "USD", value=Decimal(10))
    async with counter.sessions() as session, session.begin():
        await add_promotion(session, promotion, "anna")
        await add_coupon(session, CouponData(code, promotion_id, **limits), "anna")
    return code


async def placed(counter: Counter, product_id: str, code: str, customer_id: str | None = None) -> str:
    more = {"customer_id": customer_id} if customer_id else {}
    return (await place(counter.sessions, await counter.wanted(product_id, coupon_codes=[code], **more))).order_id


async def reserve(counter: Counter, order_id: str) -> str:
    """How it ended: "reserved", or why not."""
    try:
        async with named_order(counter.book, order_id) as order:
            await reservations.reserve(order)
    except CouponRefused as refused:
        return refused.code
    return "reserved"


async def undo(counter: Counter, order_id: str) -> None:
    async with named_order(counter.book, order_id) as order:
        await reservations.release(order)
    async with named_order(counter.book, order_id) as order:
        await ending.close(order, CloseOrder(order_id=order_id, status=OrderStatus.REJECTED, code="declined"))


async def used(counter: Counter, code: str) -> int:
    async with counter.sessions() as session:
        return (await read_coupon(session, code)).used


async def test_a_limit_of_three_is_kept_by_twelve_at_once(counter: Counter) -> None:
    """The others take no stock either, and are told why."""
    product_id, code = await counter.product(on_hand=20), await coupon(counter, usage_limit=3)
    orders = [await placed(counter, product_id, code) for _ in range(12)]
    ends = await asyncio.gather(*(reserve(counter, order_id) for order_id in orders))
    assert sorted(ends) == ["coupon_exhausted"] * 9 + ["reserved"] * 3
    assert (await used(counter, code), await counter.reserved(product_id)) == (3, 3)


async def test_the_last_use_is_told_once(counter: Counter) -> None:
    """As an event of the promotion, in the transaction of the use."""
    code = await coupon(counter, usage_limit=2)
    for _ in range(2):
        assert await reserve(counter, await placed(counter, await counter.product(), code)) == "reserved"
    query = select(OutboxEvent).where(OutboxEvent.source == "/promotions")
    async with counter.sessions() as session:
        mine = [event for event in await session.exec(query) if event.data["code"] == code]
    assert [(event.type, event.sequence, event.data["usageLimit"]) for event in mine] == [
        ("ordersaga.promotion.exhausted.v1", 1, 2)
    ]


async def test_one_customer_uses_a_code_once_by_six_orders_at_once(counter: Counter) -> None:
    """Counted under the lock of the code: another customer is not in the way."""
    product_id, code = await counter.product(on_hand=20), await coupon(counter, per_customer=1)
    customer_id = await counter.customer()
    orders = [await placed(counter, product_id, code, customer_id) for _ in range(6)]
    ends = await asyncio.gather(*(reserve(counter, order_id) for order_id in orders))
    assert sorted(ends) == ["coupon_used_up"] * 5 + ["reserved"]
    assert await reserve(counter, await placed(counter, product_id, code)) == "reserved"


async def test_an_order_that_ends_undone_gives_its_code_back_once(counter: Counter) -> None:
    """A repeat of the end gives nothing more, and a repeat of the step uses nothing twice."""
    product_id, code = await counter.product(), await coupon(counter, usage_limit=1)
    order_id, other = await placed(counter, product_id, code), await placed(counter, product_id, code)
    assert [await reserve(counter, order_id) for _ in range(2)] == ["reserved", "reserved"]
    assert await used(counter, code) == 1
    assert await reserve(counter, other) == "coupon_exhausted"
    for _ in range(2):
        await undo(counter, order_id)
    assert await used(counter, code) == 0
    assert await reserve(counter, other) == "reserved"
    async with named_order(counter.book, other) as order:
        assert order.fence(RESERVE)


async def test_an_order_that_never_reserved_gives_nothing_back(counter: Counter) -> None:
    """Its workflow never began, e.g. the API was killed between the two: the uses of others stay counted."""
    product_id, code = await counter.product(), await coupon(counter, usage_limit=2)
    await reserve(counter, await placed(counter, product_id, code))
    await undo(counter, await placed(counter, product_id, code))
    assert await used(counter, code) == 1


async def test_a_used_up_code_is_refused_before_anything_is_stored(counter: Counter) -> None:
    """Where it is known already, the customer does not wait for the saga."""
    product_id, code = await counter.product(), await coupon(counter, usage_limit=1)
    await reserve(counter, await placed(counter, product_id, code))
    with pytest.raises(Conflict) as refused:
        await placed(counter, product_id, code)
    assert (refused.value.code, refused.value.members) == ("coupon_exhausted", {"coupon": code})


async def test_every_change_has_its_author(counter: Counter) -> None:
    """Newest first, a coupon's under its promotion."""
    code = await coupon(counter)
    async with counter.sessions() as session, session.begin():
        promotion_id = (await change_coupon(session, code, {"usage_limit": 5}, "bob")).promotion_id
        await change_promotion(session, promotion_id, {"active": False}, "carol")
    async with counter.sessions() as session:
        found = [(row.by, row.code, row.change) for row in await history(session, promotion_id)]
    assert found[:2] == [("carol", None, {"active": False}), ("bob", code, {"usage_limit": 5})]
    assert [by for by, _, _ in found[2:]] == ["anna", "anna"]


async def test_a_limit_below_what_is_used_is_refused(counter: Counter) -> None:
    """Two orders have it: one cannot be the limit."""
    code = await coupon(counter)
    for _ in range(2):
        await reserve(counter, await placed(counter, await counter.product(), code))
    with pytest.raises(Conflict) as refused:
        async with counter.sessions() as session, session.begin():
            await change_coupon(session, code, {"usage_limit": 1}, "bob")
    assert (refused.value.code, refused.value.members) == ("below_used", {"used": 2})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"value": None}, "value"),
        ({"value": Decimal(101)}, "value"),
        ({"kind": PromotionKind.FREE_SHIPPING}, "value"),
        ({"kind": PromotionKind.BUY_X_GET_Y, "value": None, "buy": 2}, "get"),
        ({"buy": 1}, "buy"),
        ({"product_ids": ["456"]}, "product_ids"),
        ({"min_subtotal": Decimal("0.001")}, "min_subtotal"),
    ],
)
async def test_names_what_does_not_fit_the_kind_of_a_promotion(
    counter: Counter, change: dict[str, object], field: str
) -> None:
    """Nothing is stored."""
    data = {"promotion_id": "p", "name": "n", "kind": PromotionKind.PERCENT, "currency": "USD", "value": Decimal(1)}
    with pytest.raises(InvalidInput) as refused:
        async with counter.sessions() as session, session.begin():
            await add_promotion(session, PromotionData(**(data | change)), "anna")  # type: ignore[arg-type]
    assert [one.name for one in refused.value.fields] == [field]
