"""A goodwill refund at Stripe: asked for once, whatever fails, and done when Stripe says that it succeeded.

Nothing at Stripe tells two refunds of a part from one that was sent twice, as the whole amount does for an undo. So a
new key is taken only when nothing that is sent with the old one can take effect any more (Stripe replays a 5xx under
it) or Stripe may have forgotten it, and its list of refunds does not show ours.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity

from activities.payments.calls import LOOK_AFTER_ATTEMPTS
from adapters.clock import now
from adapters.stripe.errors import KeyUsedUp, RefundRefused
from adapters.stripe.refunds import GivenRefund, RefundGateway
from domain.errors import OurMistake, TryAgain
from domain.refunds import GiveRefund, RefundProgress, RefundState, operation_of
from services.orders.book import LockedOrder, OrderBook
from services.payments.saved_calls import SavedCall, next_attempt, saved_call
from services.refunds import book as refund_book
from services.refunds.tables import Refund

FIRST_LOOK, LAST_LOOK = timedelta(seconds=30), timedelta(hours=6)
"""Between two looks at a refund that is on its way, which may take days."""


class Refunds:
    """The two steps of `OrderRefund`: sent, then followed until the customer's bank has the money."""

    def __init__(self, book: OrderBook, stripe: RefundGateway) -> None:
        self._book = book
        self._stripe = stripe

    @activity.defn
    async def send_refund(self, refund: GiveRefund) -> RefundProgress:
        """Has Stripe give the money back; answers what Stripe first says of it."""
        async with self._book.locked(refund.order_id) as order:
            row = await _row(order, refund)
            if row.state != RefundState.ASKED:
                return _progress(row)
            call = await refund_book.save_refund_call(order, row)
            if call is None:
                return _progress(row)
        try:
            given = await self._settle(call)
        except RefundRefused as refused:
            return await self._record_refusal(refund, refused)
        return await self._record(refund, given)

    @activity.defn
    async def follow_refund(self, refund: GiveRefund) -> RefundProgress:
        """Looks whether a refund that was pending has arrived. Raises TryAgain while it is on its way."""
        async with self._book.locked(refund.order_id) as order:
            row = await _row(order, refund)
            if row.state != RefundState.PENDING:
                return _progress(row)
            call = saved_call(order, operation_of(row.key))
            age = now() - row.created_at
        if call is None and row.stripe_refund_id is not None:  # one that somebody gave at Stripe
            given: GivenRefund | None = await self._stripe.retrieve(row.stripe_refund_id)
        else:
            given = await self._seen(call) if call else None
        if given is None:
            raise OurMistake(f"Stripe does not show refund {row.stripe_refund_id} any more")
        progress = await self._record(refund, given)
        if progress.state is RefundState.PENDING:
            pause = min(max(age, FIRST_LOOK), LAST_LOOK)
            raise TryAgain("the refund is on its way; it counts when it has succeeded", delay=pause)
        return progress

    # the far end: the same call again, or look

    async def _settle(self, call: SavedCall) -> GivenRefund:
        late = activity.info().attempt > LOOK_AFTER_ATTEMPTS
        if late or call.key_may_be_pruned:
            if (seen := await self._seen(call)) is not None:
                return seen
            if call.key_may_be_pruned:
                call = await self._new_key(call)
        try:
            return await self._stripe.give(call.params, call.key)
        except KeyUsedUp:
            if not late:
                raise
            if (seen := await self._seen(call)) is None:
                await self._new_key(call)
                raise
            return seen
        except RefundRefused:
            if (seen := await self._seen(call)) is None:
                raise
            return seen

    async def _seen(self, call: SavedCall) -> GivenRefund | None:
        return await self._stripe.find(call.params["payment_intent"], call.operation)

    async def _new_key(self, call: SavedCall) -> SavedCall:
        async with self._book.locked(call.order_id) as order:
            return next_attempt(order, call)

    # our books

    async def _record(self, refund: GiveRefund, given: GivenRefund) -> RefundProgress:
        async with self._book.locked(refund.order_id) as order:
            row = await _row(order, refund)
            await refund_book.record(order, row, given)
            return _progress(row)

    async def _record_refusal(self, refund: GiveRefund, refused: RefundRefused) -> RefundProgress:
        async with self._book.locked(refund.order_id) as order:
            row = await _row(order, refund)
            await refund_book.record_refusal(order, row, refused)
            return _progress(row)


async def _row(order: LockedOrder, refund: GiveRefund) -> Refund:
    row = await refund_book.refund_of(order, refund.key)
    if row is None:
        raise OurMistake(f"order {refund.order_id} has no refund {refund.key}")
    return row


def _progress(row: Refund) -> RefundProgress:
    return RefundProgress(state=RefundState(row.state))
