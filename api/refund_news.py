"""What follows a webhook about a payment with refunds: a pending one may have arrived, a given one failed."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters import refund_book
from adapters.order_book import OrderBook
from adapters.refund_gateway import RefundGateway
from adapters.saga_tables import Payment, Refund
from api.inbox import Poke
from domain.refunds import operation_of

payments = Payment.__table__  # type: ignore[attr-defined]
refunds = Refund.__table__  # type: ignore[attr-defined]


class RefundPoke:
    """Books what Stripe says of the refunds, then lets the payment itself be looked at.

    A refund that succeeded may fail weeks later (https://docs.stripe.com/refunds#failed-refunds), when its workflow
    has ended; one that is pending is looked at by its workflow, but slowly.
    """

    def __init__(self, reads: AsyncEngine, stripe: RefundGateway, book: OrderBook, then: Poke) -> None:
        self._reads, self._stripe, self._book, self._then = reads, stripe, book, then

    async def is_urgent(self, payment_intent_id: str) -> bool:
        return await self._then.is_urgent(payment_intent_id)

    async def look(self, payment_intent_id: str) -> None:
        order_id = await self._refunded_order(payment_intent_id)
        if order_id is not None:
            await self._record(order_id, payment_intent_id)
        await self._then.look(payment_intent_id)

    async def _record(self, order_id: str, payment_intent_id: str) -> None:
        given = {one.operation: one for one in await self._stripe.all_of(payment_intent_id)}
        async with self._book.locked(order_id) as order:
            for row in await refund_book.refunds_of(order):
                if (ours := given.get(operation_of(row.key))) is not None:
                    await refund_book.record(order, row, ours)

    async def _refunded_order(self, payment_intent_id: str) -> str | None:
        query = (
            select(refunds.c.order_id)
            .join(payments, payments.c.order_id == refunds.c.order_id)
            .where(payments.c.payment_intent_id == payment_intent_id)
            .limit(1)
        )
        async with self._reads.connect() as connection:
            order_id: str | None = (await connection.execute(query)).scalar()
        return order_id
