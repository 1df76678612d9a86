"""What named pieces of an order give back: what was paid for them, to the penny, each piece once.

The shipping fee, which is what the order costs beside its lines, goes back with its last pieces. Refunds that have
failed gave nothing back: their pieces, and the fee, count as not given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sqlmodel import select

from domain.errors import BadField, Conflict, NotFound
from domain.pricing.returns import Given, worth_back
from domain.refunds import RefundState
from services.orders.book import LockedOrder
from services.orders.pricing import Pieces
from services.orders.tables import OrderLine
from services.refunds.tables import Refund, RefundLine


class UnitsBack(NamedTuple):
    """Pieces of a line that go back, and their worth in minor units."""

    product_id: str
    quantity: int
    amount: int


async def worth_of(order: LockedOrder, items: Sequence[Pieces]) -> tuple[list[UnitsBack], int]:
    """The pieces with their worth, and what the refund comes to with the fee, if it gives the fee back.

    Raises NotFound for a product that the order has not, Conflict for a line that was dropped and for more pieces
    than are left.
    """
    wanted, given = Counter[str](), await _given(order)
    for item in items:
        wanted[item.product_id] += item.quantity
    lines = {line.product_id: line for line in order.lines()}
    for product_id, count in wanted.items():
        _require_left(order, lines.get(product_id), product_id, count, given)
    kept = {line.product_id: line.paid for line in lines.values() if not line.dropped}
    fee = order.row.total_minor - sum(line.paid.total for line in lines.values())
    back = worth_back(kept, fee, given, wanted)
    return [UnitsBack(name, wanted[name], amount) for name, amount in back.amounts.items()], back.total


async def lines_of(order: LockedOrder, key: str) -> list[RefundLine]:
    """What one refund gives back, by product."""
    query = select(RefundLine).where(RefundLine.order_id == order.row.order_id, RefundLine.key == key)
    return list(await order.session.exec(query))


async def _given(order: LockedOrder) -> Given:
    query = (
        select(Refund, RefundLine)
        .join(RefundLine, (RefundLine.order_id == Refund.order_id) & (RefundLine.key == Refund.key))  # type: ignore[arg-type]
        .where(Refund.order_id == order.row.order_id, Refund.state != RefundState.FAILED)
    )
    pieces, amounts, whole = Counter[str](), Counter[str](), {}
    for refund, line in await order.session.exec(query):
        pieces[line.product_id] += line.quantity
        amounts[line.product_id] += line.amount_minor
        whole[refund.key] = refund.amount_minor
    return Given(pieces, amounts, sum(whole.values()) - amounts.total())


def _require_left(order: LockedOrder, line: OrderLine | None, product_id: str, count: int, given: Given) -> None:
    if line is None:
        raise NotFound("no_such_line", f"the order has no line of product {product_id}")
    if line.dropped:
        raise Conflict("line_dropped", f"the line of product {product_id} was dropped, and never paid for")
    if count > (left := line.quantity - given.pieces[product_id]):
        detail = f"{left} pieces of product {product_id} can still come back, not {count}"
        about = BadField("items", f"{left} of {product_id} at most")
        raise Conflict("units_given_back", detail, fields=[about], order_id=order.row.order_id, pieces_left=left)
