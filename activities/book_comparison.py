"""Compares the books: our rows with each other, and our payments with Stripe's list.

What is left of an order that is over goes back through `OrderRecovery`; what nobody can know by the books alone is
counted and reaches a person. An order is compared once it has rested, and again when it has changed since.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import structlog
from sqlmodel import col, func, select
from temporalio import activity

from activities import metrics
from activities.reconciliation import Reconciliations, owners_of, was_recovered
from adapters import rested_orders
from adapters.columns import now
from adapters.cursors import cursor_of, move_cursor
from adapters.database import Sessions
from adapters.order_book import OrderBook
from adapters.payment_comparison import Compared, beside, changed
from adapters.repair_desk import close_ticket_about, open_ticket, open_ticket_about
from adapters.rested_orders import Rested
from adapters.stripe_lists import StripeLists
from adapters.tables import Order
from domain.commands import Attention
from domain.errors import PaymentNotFound
from domain.order_states import OrderStatus
from domain.recovery import UNDONE, DriftFound, PaymentAtStripe, ReconcileOrders, Verdict, judge_payment

DRIFT_STOCK, DRIFT_PAYMENT = "drift_stock", "drift_payment"
STOCK, PAYMENTS = "compare_stock", "compare_payments"
"""The steps under which the repair desk knows these tickets."""

CURSOR = "payments_compared"
LOOK_BACK = timedelta(days=3)  # of the first comparison, and for what orders that are over still hold
WINDOW = timedelta(hours=1)  # compared at once
OVERLAP = timedelta(minutes=10)  # clocks differ, and a payment is created before its row is
NAMED = 20  # products that a ticket names

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Window:
    since: datetime
    until: datetime
    more: bool = False


class BookComparison:
    def __init__(
        self, sessions: Sessions, book: OrderBook, stripe: StripeLists, reconciliations: Reconciliations
    ) -> None:
        self._sessions, self._book, self._stripe, self._reconciliations = sessions, book, stripe, reconciliations

    @activity.defn
    async def look_at_ended_orders(self, asked: ReconcileOrders) -> DriftFound:
        """Orders that are over and by our own books still hold stock, money or a label."""
        at = now()
        async with self._sessions() as session:
            connection = await session.connection()
            before = at - asked.unchanged_for
            found = await rested_orders.still_holding(connection, at - LOOK_BACK, before, asked.order_ids)
        orders = [_merged(list(rows)) for _, rows in groupby(found, lambda row: row.order_id)]
        outcomes = [await self._give_back(order, f"it is {order.status} and holds {order.what}") for order in orders]
        metrics.drifts_found("orders", len(orders))
        return DriftFound(drifts=len(orders), recovered=sum(outcomes))

    @activity.defn
    async def compare_stock(self, asked: ReconcileOrders) -> DriftFound:
        """Pieces reserved against pieces that orders hold, per product; one ticket, which closes by itself."""
        async with self._sessions() as session, session.begin():
            drifts = await rested_orders.stock_drifts(await session.connection(), asked.order_ids)
            if drifts:
                await open_ticket_about(session, DRIFT_STOCK, STOCK, "; ".join(map(str, drifts[:NAMED])))
            elif not asked.order_ids:
                await close_ticket_about(session, DRIFT_STOCK, STOCK)
        for drift in drifts:
            log.error("stock_drifts", product_id=drift.product_id, reserved=drift.reserved, held=drift.held)
        metrics.drifts_found("stock", len(drifts))
        return DriftFound(drifts=len(drifts))

    @activity.defn
    async def compare_payments(self, asked: ReconcileOrders) -> DriftFound:
        """One window of payments: those that Stripe lists, and those of orders that came to rest in it."""
        window = await self._window(asked)
        before, drifts, recovered = now() - asked.unchanged_for, 0, 0
        async for payments in self._payments(window, asked):
            async with self._sessions() as session:
                compared = await beside(await session.connection(), payments)
            for one in compared:
                if one.updated_at is not None and one.updated_at > before:
                    continue  # it is at work: it is compared when it rests
                verdict = await self._settle(one)
                drifts += verdict is not Verdict.AGREES
                recovered += verdict is Verdict.GIVE_BACK
        if not asked.order_ids:
            async with self._sessions() as session, session.begin():
                await move_cursor(session, CURSOR, window.until)
        metrics.drifts_found("payments", drifts)
        return DriftFound(drifts=drifts, recovered=recovered, more=window.more)

    async def _window(self, asked: ReconcileOrders) -> Window:
        end = now() - asked.unchanged_for
        async with self._sessions() as session:
            if asked.order_ids:
                oldest = select(func.min(Order.created_at)).where(col(Order.order_id).in_(asked.order_ids))
                return Window((await session.exec(oldest)).one() or end, end)
            since = min(await cursor_of(session, CURSOR) or end - LOOK_BACK, end)
        until = min(since + WINDOW, end)
        return Window(since, until, more=until < end)

    async def _payments(self, window: Window, asked: ReconcileOrders) -> AsyncIterator[list[PaymentAtStripe]]:
        seen: set[str] = set()
        async for page in self._stripe.payments(window.since - OVERLAP, window.until):
            ours = [one for one in page if not asked.order_ids or one.order_id in asked.order_ids]
            seen.update(one.id for one in ours)
            yield ours
        async with self._sessions() as session:
            connection = await session.connection()
            rest = await changed(connection, window.since, window.until, asked.order_ids, seen)
        for payment_id in rest:
            try:
                payment = await self._stripe.payment(payment_id)
            except PaymentNotFound:
                await self._report_unknown(payment_id)
            else:
                yield [payment]

    async def _report_unknown(self, payment_id: str) -> None:
        """A payment of our books that Stripe does not know: another account's, or made up."""
        why = f"Stripe does not know payment {payment_id} of our books"
        log.error("payment_drifts", payment_intent_id=payment_id, order_id=None, detail=why)
        async with self._sessions() as session, session.begin():
            await open_ticket_about(session, DRIFT_PAYMENT, PAYMENTS, why)

    async def _settle(self, one: Compared) -> Verdict:
        verdict, why = judge_payment(one.payment, one.row, one.status)
        if verdict is Verdict.AGREES or one.settled:
            return Verdict.AGREES
        log.error("payment_drifts", payment_intent_id=one.payment.id, order_id=one.order_id, detail=why)
        if one.order_id is None or one.status is None or one.updated_at is None:
            async with self._sessions() as session, session.begin():
                await open_ticket_about(session, DRIFT_PAYMENT, PAYMENTS, why)
            return Verdict.REPORT
        order = Rested(one.order_id, one.status, one.updated_at, "money")
        if verdict is Verdict.GIVE_BACK and await self._give_back(order, why):
            return verdict
        if verdict is Verdict.REPORT:
            await self._report(order, DRIFT_PAYMENT, PAYMENTS, why)
        return Verdict.REPORT

    async def _give_back(self, order: Rested, why: str) -> bool:
        """By recovery, unless one has tried before, or the order was delivered: that is for a person."""
        owner = (await owners_of([order.order_id]))[order.order_id]
        if owner.closed is None:
            return False  # somebody is at it
        if order.status in UNDONE and not was_recovered(order, owner):
            return await self._reconciliations.recover(order, why)
        kind, step = (DRIFT_STOCK, STOCK) if order.what == "stock" else (DRIFT_PAYMENT, PAYMENTS)
        await self._report(order, kind, step, why)
        return False

    async def _report(self, order: Rested, kind: str, step: str, detail: str) -> None:
        async with self._book.locked(order.order_id) as locked:
            about = Attention(order_id=order.order_id, step=step, kind=kind, detail=detail)
            await open_ticket(locked, about)


def _merged(rows: list[Rested]) -> Rested:
    first = rows[0]
    return Rested(first.order_id, OrderStatus(first.status), first.updated_at, _listed(row.what for row in rows))


def _listed(things: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(things))
