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
from adapters.foreign_refunds import RefundBooking
from adapters.order_book import OrderBook
from adapters.payment_comparison import Compared, beside, changed
from adapters.repair_desk import close_ticket_about, open_subjects, open_ticket, open_ticket_about
from adapters.rested_orders import Rested
from adapters.stripe_lists import StripeLists
from adapters.tables import Order
from domain.commands import Attention
from domain.errors import PaymentNotFound
from domain.order_states import OrderStatus
from domain.recovery import UNDONE, DriftFound, PaymentAtStripe, ReconcileOrders, Verdict, judge_payment
from domain.repairs import LATE_MONEY, SETTLED_TWICE
from domain.steps import AT_STRIPE, PAYMENTS, RETURN

DRIFT_STOCK, DRIFT_PAYMENT = "drift_stock", "drift_payment"
STOCK = "compare_stock"
"""The step under which the repair desk knows these tickets."""

TICKETS = {
    Verdict.REPORT: (DRIFT_PAYMENT, PAYMENTS),
    Verdict.LATE: (LATE_MONEY, RETURN),
    Verdict.TWICE: (SETTLED_TWICE, AT_STRIPE),
}

CURSOR, CURSOR_AGAIN = "payments_compared", "payments_compared_again"
LOOK_BACK = timedelta(days=3)  # of the first comparison, and for what orders that are over still hold
WINDOW = timedelta(hours=1)  # compared at once
OVERLAP = timedelta(minutes=10)  # clocks differ, and a payment is created before its row is
A_DAY, DAYS_AGAIN = timedelta(days=1), 35  # for how long a payment is compared again, each day
WINDOW_AGAIN = timedelta(minutes=15)  # of each of these days, compared at once

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Window:
    since: datetime
    until: datetime
    more: bool = False


class BookComparison:
    def __init__(
        self,
        sessions: Sessions,
        book: OrderBook,
        stripe: StripeLists,
        refunds: RefundBooking,
        reconciliations: Reconciliations,
    ) -> None:
        self._sessions, self._book, self._stripe = sessions, book, stripe
        self._refunds, self._reconciliations = refunds, reconciliations

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
        """Pieces reserved against pieces that orders hold: a ticket per product, which closes by itself."""
        async with self._sessions() as session, session.begin():
            drifts = await rested_orders.stock_drifts(await session.connection(), asked.order_ids)
            for drift in drifts:
                await open_ticket_about(session, DRIFT_STOCK, STOCK, str(drift), subject=drift.product_id)
            if not asked.order_ids:
                told = await open_subjects(session, DRIFT_STOCK, STOCK)
                for subject in set(told) - {drift.product_id for drift in drifts}:
                    await close_ticket_about(session, DRIFT_STOCK, STOCK, subject=subject)
        for drift in drifts:
            log.error("stock_drifts", product_id=drift.product_id, reserved=drift.reserved, held=drift.held)
        metrics.drifts_found("stock", len(drifts))
        return DriftFound(drifts=len(drifts))

    @activity.defn
    async def compare_payments(self, asked: ReconcileOrders) -> DriftFound:
        """One window of payments: those that Stripe lists, and those of orders that came to rest in it.

        When that has caught up, those of the last weeks once more, each of them once a day: what somebody does at
        Stripe changes nothing of our order.
        """
        window, cursor = await self._window(asked), CURSOR
        found = await self._compare_all(self._payments(window, asked), asked)
        if not asked.order_ids and not window.more and (again := await self._window_again(asked)) is not None:
            await self._move(CURSOR, window.until)
            found += await self._compare_all(self._payments_again(again), asked)
            window, cursor = again, CURSOR_AGAIN
        if not asked.order_ids:
            await self._move(cursor, window.until)
        drifts = [verdict for verdict in found if verdict is not Verdict.AGREES]
        metrics.drifts_found("payments", len(drifts))
        return DriftFound(drifts=len(drifts), recovered=drifts.count(Verdict.GIVE_BACK), more=window.more)

    async def _move(self, cursor: str, to: datetime) -> None:
        async with self._sessions() as session, session.begin():
            await move_cursor(session, cursor, to)

    async def _compare_all(
        self, pages: AsyncIterator[list[PaymentAtStripe] | str], asked: ReconcileOrders
    ) -> list[Verdict]:
        before, found = now() - asked.unchanged_for, list[Verdict]()
        async for page in pages:
            if isinstance(page, str):
                found.append(await self._report_unknown(page))
                continue
            async with self._sessions() as session:
                compared = await beside(await session.connection(), page)
            # Of an order that is at work they are compared when it rests.
            rested = [one for one in compared if one.updated_at is None or one.updated_at <= before]
            found += [await self._settle(one) for one in rested]
        return found

    async def _window(self, asked: ReconcileOrders) -> Window:
        end = now() - asked.unchanged_for
        async with self._sessions() as session:
            if asked.order_ids:
                oldest = select(func.min(Order.created_at)).where(col(Order.order_id).in_(asked.order_ids))
                return Window((await session.exec(oldest)).one() or end, end)
            since = min(await cursor_of(session, CURSOR) or end - LOOK_BACK, end)
        until = min(since + WINDOW, end)
        return Window(since, until, more=until < end)

    async def _window_again(self, asked: ReconcileOrders) -> Window | None:
        """None when it was looked at already; what was missed for longer than a day has its turn today."""
        end = now() - asked.unchanged_for
        async with self._sessions() as session:
            known = await cursor_of(session, CURSOR_AGAIN) or end - WINDOW_AGAIN
        since = max(known, end - A_DAY)
        until = min(since + WINDOW_AGAIN, end)
        return Window(since, until, more=until < end) if since < until else None

    async def _payments_again(self, window: Window) -> AsyncIterator[list[PaymentAtStripe]]:
        """Those that were created at this time of the day, on each day of the last weeks."""
        for days in range(1, DAYS_AGAIN + 1):
            ago = days * A_DAY
            async for page in self._stripe.payments(window.since - ago, window.until - ago):
                yield page

    async def _payments(self, window: Window, asked: ReconcileOrders) -> AsyncIterator[list[PaymentAtStripe] | str]:
        """Pages of payments; of one that Stripe does not know, its id."""
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
                yield payment_id
            else:
                yield [payment]

    async def _report_unknown(self, payment_id: str) -> Verdict:
        """A payment of our books that Stripe does not know: another account's, or made up."""
        why = f"Stripe does not know payment {payment_id} of our books"
        log.error("payment_drifts", payment_intent_id=payment_id, order_id=None, detail=why)
        async with self._sessions() as session, session.begin():
            await open_ticket_about(session, DRIFT_PAYMENT, PAYMENTS, why, subject=payment_id)
        return Verdict.REPORT

    async def _settle(self, one: Compared) -> Verdict:
        payment = one.payment
        verdict, why = judge_payment(payment, one.row, one.status, one.settled)
        if verdict is Verdict.AGREES:
            return verdict
        log.error("payment_drifts", payment_intent_id=payment.id, order_id=one.order_id, detail=why)
        if one.order_id is None or one.status is None or one.updated_at is None:
            async with self._sessions() as session, session.begin():
                await open_ticket_about(session, DRIFT_PAYMENT, PAYMENTS, why, subject=payment.id, seen=payment.known)
            return Verdict.REPORT
        order = Rested(one.order_id, one.status, one.updated_at, "money")
        if verdict is Verdict.BOOK:
            return await self._book_refunds(order, payment)
        if verdict is Verdict.GIVE_BACK:
            return verdict if await self._give_back(order, why, payment) else Verdict.REPORT
        kind, step = TICKETS[verdict]
        await self._report(order, kind, step, why, payment)
        return verdict

    async def _book_refunds(self, order: Rested, payment: PaymentAtStripe) -> Verdict:
        """What somebody gave back at Stripe is booked; what differs then, nobody can explain."""
        await self._refunds.book(order.order_id, payment)
        async with self._sessions() as session:
            for one in await beside(await session.connection(), [payment]):
                verdict, why = judge_payment(payment, one.row, one.status, one.settled)
                if verdict is Verdict.BOOK:
                    await self._report(order, DRIFT_PAYMENT, PAYMENTS, why, payment)
        return Verdict.BOOK

    async def _give_back(self, order: Rested, why: str, payment: PaymentAtStripe | None = None) -> bool:
        """By recovery, unless one has tried before, or the order was delivered: that is for a person."""
        owner = (await owners_of([order.order_id]))[order.order_id]
        if owner.closed is None:
            return False  # somebody is at it
        if order.status in UNDONE and not was_recovered(order, owner):
            return await self._reconciliations.recover(order, why)
        kind, step = (DRIFT_STOCK, STOCK) if order.what == "stock" else (DRIFT_PAYMENT, PAYMENTS)
        await self._report(order, kind, step, why, payment)
        return False

    async def _report(
        self, order: Rested, kind: str, step: str, detail: str, payment: PaymentAtStripe | None = None
    ) -> None:
        about = Attention(order_id=order.order_id, step=step, kind=kind, detail=detail)
        subject, seen = (payment.id, payment.known) if payment else (None, None)
        async with self._book.locked(order.order_id) as locked:
            await open_ticket(locked, about, subject=subject, seen=seen)


def _merged(rows: list[Rested]) -> Rested:
    first = rows[0]
    return Rested(first.order_id, OrderStatus(first.status), first.updated_at, _listed(row.what for row in rows))


def _listed(things: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(things))
