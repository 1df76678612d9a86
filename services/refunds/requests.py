"""A refund that an operator asks for: stored once under its key and the order's lock, and read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.commands import Hold
from domain.errors import BadField, Conflict, NotFound, bad_fields
from domain.identities import EVERYTHING, Visible
from domain.money import Money
from domain.order_states import OrderStatus
from domain.refunds import RefundState
from domain.texts import ERASED, TextKind
from services.orders.book import LockedOrder
from services.orders.named import no_such_order
from services.orders.placement import key_reused
from services.orders.pricing import Pieces
from services.orders.tables import Order
from services.payments.book import payment_of
from services.refunds.book import refund_of, refundable
from services.refunds.tables import Refund, RefundLine
from services.refunds.units import UnitsBack, lines_of, worth_of
from services.texts import texts

GONE_BACK = frozenset([OrderStatus.CANCELING, OrderStatus.CANCELED])
"""States in which the undo gives all of the money back."""


@dataclass(frozen=True)
class RefundRequest:
    """A part of an order's money that is to go back; `key` is the Idempotency-Key, which names the refund.

    Either an `amount`, in major units of the order's currency, or `items`: then what was paid for these pieces.
    """

    key: str
    amount: Decimal | None
    reason: str
    by: str
    items: Sequence[Pieces] = ()


@dataclass(frozen=True)
class RefundRead:
    """A refund with the words of who asked for it."""

    row: Refund
    amount: Money
    reason: str
    lines: Sequence[RefundLine] = ()  # of one that was asked for by pieces


async def ask_refund(order: LockedOrder, asked: RefundRequest) -> Refund:
    """The refund, stored now or by an earlier try with the same key.

    Raises InvalidInput for an amount that the order's currency has not and for a key that was used for another
    refund, Conflict where so much of this order's money, or so many of its pieces, must not or cannot go back.
    """
    if (asked.amount is None) == (not asked.items):
        raise bad_fields({"amount": "exactly one of amount and items is needed"})
    row = await refund_of(order, asked.key)
    if row is not None:
        if not await _is_the_same(order, row, asked):
            raise key_reused()
        return row
    amount, back = await _worth(order, asked)
    await _require_refundable(order, amount)
    order_id = order.row.order_id
    reason_id = await texts.keep(order.session, TextKind.REFUND_REASON, asked.reason, order_id=order_id)
    row = Refund(
        order_id=order_id,
        key=asked.key,
        amount_minor=amount.minor,
        reason_id=reason_id,
        by=asked.by,
        state=RefundState.ASKED.value,
    )
    order.session.add(row)
    if back:
        await order.session.flush()  # the lines refer to it
    order.session.add_all(
        RefundLine(order_id=order_id, key=asked.key, product_id=id_, quantity=count, amount_minor=minor)
        for id_, count, minor in back
    )
    return row


async def _worth(order: LockedOrder, asked: RefundRequest) -> tuple[Money, list[UnitsBack]]:
    if asked.amount is not None:
        return _amount(asked.amount, order.row.currency), []
    back, minor = await worth_of(order, asked.items)
    if minor == 0:
        raise Conflict("nothing_to_refund", "nothing was paid for these pieces", order_id=order.row.order_id)
    return Money(minor=minor, currency=order.row.currency), back


async def read_refunds(session: AsyncSession, order_id: str, visible: Visible = EVERYTHING) -> Sequence[RefundRead]:
    """The order's refunds, oldest first. Raises NotFound for an order that does not exist."""
    order = await session.get(Order, order_id)
    if order is None or not visible.shows(order.customer_id):
        raise no_such_order()
    query = select(Refund).where(Refund.order_id == order_id)
    rows = (await session.exec(query.order_by(col(Refund.created_at), col(Refund.key)))).all()
    words = await _words(await session.connection(), rows)
    pieces = (await session.exec(select(RefundLine).where(RefundLine.order_id == order_id))).all()
    return [
        RefundRead(
            row,
            Money(minor=row.amount_minor, currency=order.currency),
            _reason(row, words),
            [line for line in pieces if line.key == row.key],
        )
        for row in rows
    ]


async def read_refund(session: AsyncSession, order_id: str, key: str, visible: Visible = EVERYTHING) -> RefundRead:
    """One refund. Raises NotFound for an order or a refund that does not exist."""
    for refund in await read_refunds(session, order_id, visible):
        if refund.row.key == key:
            return refund
    raise NotFound("no_such_refund", "the order has no refund of this key")


async def _is_the_same(order: LockedOrder, row: Refund, asked: RefundRequest) -> bool:
    """Whether what is asked for again is what was asked for; of an erased reason, any may be the one."""
    words = await _words(order.connection, [row])
    if row.by != asked.by or _reason(row, words) not in (asked.reason, ERASED):
        return False
    if asked.amount is not None:
        by_pieces = await lines_of(order, row.key)
        return not by_pieces and row.amount_minor == _amount(asked.amount, order.row.currency).minor
    wanted = Counter[str]()
    for item in asked.items:
        wanted[item.product_id] += item.quantity
    return wanted == {line.product_id: line.quantity for line in await lines_of(order, row.key)}


async def _words(connection: AsyncConnection, rows: Sequence[Refund]) -> texts.Words:
    return await texts.read(connection, [row.reason_id for row in rows if row.reason_id])


def _reason(row: Refund, words: texts.Words) -> str:
    return words[row.reason_id] if row.reason_id else row.reason


def _amount(wanted: Decimal, currency: str) -> Money:
    try:
        amount = Money.parse(wanted, currency)
    except ValueError as error:
        raise bad_fields({"amount": str(error)}) from None
    if amount.minor == 0:
        raise bad_fields({"amount": "more than 0 is needed"})
    return amount


async def _require_refundable(order: LockedOrder, amount: Money) -> None:
    state: dict[str, Any] = {"order_id": order.row.order_id, "order_status": order.status.value}
    if order.status in GONE_BACK:
        raise Conflict("order_canceled", "a canceled order is given back as a whole", **state)
    payment = payment_of(order)
    if payment is None or payment.captured_minor == 0:
        raise Conflict("not_captured", "no money of this order was captured", **state)
    if order.row.hold == Hold.DISPUTE:
        message = "the payment is disputed: the bank decides who has the money"
        raise Conflict("payment_disputed", message, **state)
    left = Money(minor=await refundable(order, payment), currency=amount.currency)
    if amount.minor > left.minor:
        raise Conflict(
            "refund_exceeds_captured",
            f"{left} can still be refunded, not {amount}",
            fields=[BadField("amount", f"{left.decimal} at most")],
            refundable_amount=left.decimal,
            currency=left.currency,
            **state,
        )
