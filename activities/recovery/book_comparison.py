"""Compares the books: our rows with each other, and our payments with Stripe's list.

What an order that has ended still holds goes back through `OrderRecovery`; what nobody can know by the books alone is
counted and reaches a person. An order is compared once it has stayed unchanged, and again after its next change.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import structlog
from temporalio import activity

from activities.interceptors import metrics
from activities.recovery.payment_windows import NewPayments, Page, PaymentsAgain, PaymentWindow
from activities.recovery.reconciliation import Reconciliations, owners_of, was_recovered
from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.stripe.lists import StripeLists
from domain.commands import Attention
from domain.recovery import UNDONE, DriftFound, OrderCursor, PaymentAtStripe, ReconcileOrders, Verdict, judge_payment
from domain.repairs import LATE_MONEY, SETTLED_TWICE
from domain.steps import AT_STRIPE, PAYMENTS, RETURN
from services.inventory.comparison import stock_drifts
from services.orders.book import OrderBook
from services.recovery.ended_orders import Piece, others_with_stock, undone_and_holding
from services.recovery.payment_comparison import Compared, compare
from services.recovery.unchanged_orders import UnchangedOrder
from services.refunds.foreign import RefundBooking
from services.tickets.book import close_ticket_about, open_subjects, open_ticket, open_ticket_about

DRIFT_STOCK, DRIFT_PAYMENT = "drift_stock", "drift_payment"
STOCK = "compare_stock"
"""The step under which the repair desk knows these tickets."""

TICKETS = {
    Verdict.REPORT: (DRIFT_PAYMENT, PAYMENTS),
    Verdict.LATE: (LATE_MONEY, RETURN),
    Verdict.TWICE: (SETTLED_TWICE, AT_STRIPE),
}

LOOK_BACK = timedelta(days=3)  # for what canceled and rejected orders still hold

log = structlog.get_logger(__name__)


class BookComparison:
    """The three comparisons of one reconciliation: ended orders, stock, payments."""

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
        """Recovers orders that have ended and, by our own books, still hold stock, money or a label."""
        drifts = recovered = 0
        async for found in self._holding(asked):
            drifts += len(found)
            for order in found:
                recovered += await self._give_back(order, f"it is {order.status} and holds {order.what}")
        metrics.drifts_found("orders", drifts)
        return DriftFound(drifts=drifts, recovered=recovered)

    async def _holding(self, asked: ReconcileOrders) -> AsyncIterator[list[UnchangedOrder]]:
        """Page by page: no transaction is open while one is seen to."""
        at = now()
        since, before = at - LOOK_BACK, at - asked.unchanged_for
        order: OrderCursor | None = OrderCursor(updated_at=since, order_id="")
        while order is not None:
            async with self._sessions() as session:
                connection = await session.connection()
                found, order = await undone_and_holding(connection, order, before, asked.order_ids, asked.batch)
            yield found
        piece: Piece | None = ("", "")
        while piece is not None:
            async with self._sessions() as session:
                connection = await session.connection()
                found, piece = await others_with_stock(connection, piece, since, before, asked.order_ids, asked.batch)
            yield found

    @activity.defn
    async def compare_stock(self, asked: ReconcileOrders) -> DriftFound:
        """Pieces reserved against pieces that orders hold: a ticket per product, which closes by itself."""
        async with self._sessions() as session, session.begin():
            drifts = await stock_drifts(await session.connection(), asked.order_ids)
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
        """One window of payments: those that Stripe lists, and those of orders whose last change was in it.

        When that has caught up, those of the last weeks once more, each of them once a day: what somebody does at
        Stripe changes nothing of our order. It is what comes last in a run.
        """
        window: PaymentWindow = NewPayments(self._sessions, self._stripe, asked)
        found = await self._compare_all(window.pages(), asked)
        if not (window.more or asked.order_ids):
            window = PaymentsAgain(self._sessions, self._stripe, asked)
            found += await self._compare_all(window.pages(), asked)
        drifts = [verdict for verdict in found if verdict is not Verdict.AGREES]
        metrics.drifts_found("payments", len(drifts))
        if not window.more:
            metrics.reconciled()
        return DriftFound(drifts=len(drifts), recovered=drifts.count(Verdict.GIVE_BACK), more=window.more)

    async def _compare_all(self, pages: AsyncIterator[Page], asked: ReconcileOrders) -> list[Verdict]:
        before, found = now() - asked.unchanged_for, list[Verdict]()
        async for page in pages:
            found += [await self._report_unknown(payment_id) for payment_id in page.unknown]
            async with self._sessions() as session:
                compared = await compare(await session.connection(), page.payments)
            # Those of an order that still changes are compared later.
            unchanged = [one for one in compared if one.updated_at is None or one.updated_at <= before]
            found += [await self._settle(one) for one in unchanged]
        return found

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
        order = UnchangedOrder(one.order_id, one.status, one.updated_at, "money")
        if verdict is Verdict.BOOK:
            return await self._book_refunds(order, payment)
        if verdict is Verdict.GIVE_BACK:
            return verdict if await self._give_back(order, why, payment) else Verdict.REPORT
        kind, step = TICKETS[verdict]
        await self._report(order, kind, step, why, payment)
        return verdict

    async def _book_refunds(self, order: UnchangedOrder, payment: PaymentAtStripe) -> Verdict:
        """What somebody gave back at Stripe is booked; what differs then, nobody can explain."""
        await self._refunds.book(order.order_id, payment)
        async with self._sessions() as session:
            for one in await compare(await session.connection(), [payment]):
                verdict, why = judge_payment(payment, one.row, one.status, one.settled)
                if verdict is Verdict.BOOK:
                    await self._report(order, DRIFT_PAYMENT, PAYMENTS, why, payment)
        return Verdict.BOOK

    async def _give_back(self, order: UnchangedOrder, why: str, payment: PaymentAtStripe | None = None) -> bool:
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
        self, order: UnchangedOrder, kind: str, step: str, detail: str, payment: PaymentAtStripe | None = None
    ) -> None:
        about = Attention(order_id=order.order_id, step=step, kind=kind, detail=detail)
        subject, seen = (payment.id, payment.known) if payment else (None, None)
        async with self._book.locked(order.order_id) as locked:
            await open_ticket(locked, about, subject=subject, seen=seen)
