"""How much of an order's money an operator may give back, and that asking twice gives it once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.commands import Hold
from domain.errors import Conflict, InvalidInput
from domain.order_states import OrderStatus
from services.orders.named import named_order
from services.refunds.requests import RefundRequest, ask_refund, read_refunds
from services.refunds.tables import Refund
from tests.support.counter import Counter

FIVE = RefundRequest("k1", Decimal("5.00"), "the box was dented", "alice")


async def ask(counter: Counter, order_id: str, asked: RefundRequest) -> Refund:
    async with named_order(counter.book, order_id) as order:
        return await ask_refund(order, asked)


@pytest.fixture
async def order_id(counter: Counter) -> str:
    """An order of 10.00 that is paid."""
    order_id = await counter.confirmed(await counter.product(price="10.00"))
    await counter.captured(order_id, 1000)
    return order_id


async def test_stores_a_refund_once_and_reads_it_with_its_words(counter: Counter, order_id: str) -> None:
    """The row itself names the text only."""
    row = await ask(counter, order_id, FIVE)
    assert (await ask(counter, order_id, FIVE)).created_at == row.created_at

    async with counter.sessions() as session:
        [read] = await read_refunds(session, order_id)
    assert (read.amount.minor, read.reason, read.row.reason, read.row.state) == (500, FIVE.reason, "", "asked")


@pytest.mark.parametrize("change", [{"amount": Decimal("4.00")}, {"by": "bob"}, {"reason": "another"}])
async def test_refuses_a_key_that_comes_with_another_refund(
    counter: Counter, order_id: str, change: dict[str, object]
) -> None:
    """Whichever part differs."""
    await ask(counter, order_id, FIVE)
    with pytest.raises(InvalidInput) as refused:
        await ask(counter, order_id, replace(FIVE, **change))  # type: ignore[arg-type]
    assert refused.value.code == "idempotency_key_reused"


async def test_promises_no_more_than_was_captured(counter: Counter, order_id: str) -> None:
    """What is asked for but not given yet counts as given."""
    await ask(counter, order_id, FIVE)
    with pytest.raises(Conflict) as refused:
        await ask(counter, order_id, RefundRequest("k2", Decimal("5.01"), "more", "alice"))

    assert refused.value.code == "refund_exceeds_captured"
    assert (refused.value.members["refundable_amount"], refused.value.fields[0].name) == ("5.00", "amount")
    assert (await ask(counter, order_id, RefundRequest("k2", Decimal("5.00"), "more", "alice"))).amount_minor == 500


@pytest.mark.parametrize("amount", [Decimal(0), Decimal("0.001")])
async def test_refuses_an_amount_that_is_none(counter: Counter, order_id: str, amount: Decimal) -> None:
    """Nothing, and less than a cent."""
    with pytest.raises(InvalidInput) as refused:
        await ask(counter, order_id, replace(FIVE, amount=amount))
    assert [field.name for field in refused.value.fields] == ["amount"]


async def test_refuses_while_the_money_is_not_the_shops_to_give(counter: Counter, order_id: str) -> None:
    """Not taken yet, disputed, or given back as a whole by the undo."""
    with pytest.raises(Conflict) as not_captured:
        await ask(counter, await counter.confirmed(await counter.product()), FIVE)
    async with named_order(counter.book, order_id) as order:
        order.row.hold = Hold.DISPUTE.value
    with pytest.raises(Conflict) as disputed:
        await ask(counter, order_id, FIVE)
    async with named_order(counter.book, order_id) as order:
        order.move(OrderStatus.CANCELING, "canceled")
    with pytest.raises(Conflict) as canceled:
        await ask(counter, order_id, FIVE)

    codes = [one.value.code for one in (not_captured, disputed, canceled)]
    assert codes == ["not_captured", "payment_disputed", "order_canceled"]
