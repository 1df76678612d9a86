"""How much of an order's money an operator may give back, and that asking twice gives it once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.commands import Hold
from domain.errors import Conflict, InvalidInput
from domain.order_states import OrderStatus
from services.orders.named import named_order
from services.orders.placement import place
from services.orders.pricing import Pieces
from services.refunds.book import fail, refund_of
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


async def by_pieces(counter: Counter, order_id: str, key: str, *items: Pieces) -> int:
    return (await ask(counter, order_id, RefundRequest(key, None, "came back", "alice", items))).amount_minor


async def test_pieces_give_back_what_was_paid_for_them(counter: Counter) -> None:
    """63.50 for three: 21.16, 21.17 and 21.17, and no fourth; a refund that failed can be asked for anew."""
    product_id = await counter.product(price="24.50")
    new = await counter.wanted(items=[Pieces(product_id, 3)])
    order_id = (await place(counter.sessions, new)).order_id
    async with named_order(counter.book, order_id) as order:
        order.lines()[0].discount_minor = 1000
        order.row.discount_minor, order.row.total_minor = 1000, 6350
    await counter.captured(order_id, 6350)
    one = Pieces(product_id, 1)

    assert [await by_pieces(counter, order_id, f"k{n}", one) for n in range(3)] == [2116, 2117, 2117]
    assert await by_pieces(counter, order_id, "k0", one) == 2116
    with pytest.raises(Conflict) as refused:
        await by_pieces(counter, order_id, "k3", one)
    assert (refused.value.code, refused.value.members["pieces_left"]) == ("units_given_back", 0)
    async with named_order(counter.book, order_id) as order:
        row = await refund_of(order, "k1")
        assert row is not None
        await fail(order, row, "the card is gone", ticket=False)
    assert await by_pieces(counter, order_id, "k4", one) == 2117
    async with counter.sessions() as session:
        assert sum(read.row.amount_minor for read in await read_refunds(session, order_id)) - 2117 == 6350


async def test_the_last_pieces_bring_the_fee_back(counter: Counter) -> None:
    """A line that was dropped was never paid, and is not waited for."""
    lamp, vase = await counter.product(price="10.00"), await counter.product(price="7.50")
    new = await counter.wanted(items=[Pieces(lamp, 2), Pieces(vase, 1)])
    order_id = (await place(counter.sessions, new)).order_id
    async with named_order(counter.book, order_id) as order:
        order.row.shipping_fee_minor, order.row.total_minor = 595, 2750 + 595
        order.lines()[1].dropped = True
    await counter.captured(order_id, 2595)

    assert await by_pieces(counter, order_id, "a", Pieces(lamp, 1)) == 1000
    assert await by_pieces(counter, order_id, "b", Pieces(lamp, 1)) == 1595
    with pytest.raises(Conflict) as refused:
        await by_pieces(counter, order_id, "c", Pieces(vase, 1))
    assert refused.value.code == "line_dropped"


async def test_a_refund_is_of_an_amount_or_of_pieces(counter: Counter, order_id: str) -> None:
    """Not both, not none; and the same key is not both in turn."""
    product_id = (await pieces_of(counter, order_id))[0]
    for asked in (replace(FIVE, amount=None), replace(FIVE, items=[Pieces(product_id, 1)])):
        with pytest.raises(InvalidInput) as refused:
            await ask(counter, order_id, asked)
        assert refused.value.fields[0].name == "amount"
    assert await by_pieces(counter, order_id, "k1", Pieces(product_id, 1)) == 1000
    with pytest.raises(InvalidInput) as reused:
        await ask(counter, order_id, RefundRequest("k1", Decimal("10.00"), "came back", "alice"))
    assert reused.value.code == "idempotency_key_reused"


async def pieces_of(counter: Counter, order_id: str) -> list[str]:
    async with named_order(counter.book, order_id) as order:
        return [line.product_id for line in order.lines()]
