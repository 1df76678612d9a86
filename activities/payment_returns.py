"""The undo of a payment: the customer gets back what is held or was taken, whichever Stripe says it is *now*."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import activity

from adapters.order_book import LockedOrder, OrderBook
from adapters.payment_book import FrozenCall, freeze, freeze_again, frozen, payment_of, save_intent
from adapters.stripe_gateway import PaymentSnapshot, StripeGateway
from domain.commands import OrderRef
from domain.errors import OurMistake, ParametersDrifted, TryAgain
from domain.events import EventName
from domain.order_states import PaymentStatus
from domain.steps import AUTHORIZE, CAPTURE, RETURN

REFUND_POLL = timedelta(seconds=30)
LOOK_AFTER_ATTEMPTS = 3


class PaymentReturns:
    def __init__(self, book: OrderBook, stripe: StripeGateway) -> None:
        self._book = book
        self._stripe = stripe

    @activity.defn
    async def return_payment(self, ref: OrderRef) -> None:
        """Voids what is held, refunds what was captured; done when Stripe says that it is."""
        async with self._book.locked(ref.order_id) as order:
            if order.state_of(RETURN) == "done":
                return
            # First the fences: from here on no late attempt saves an id, confirms or captures.
            order.mark(AUTHORIZE, "undone", order.result_of(AUTHORIZE))
            order.mark(CAPTURE, "undone")
            payment = await payment_of(order)
            create = await frozen(order, "create")
        intent = await self._intent(payment.payment_intent_id if payment else None, create)
        if intent is None:
            await self._record_nothing(ref)
        elif intent.status == "succeeded":
            await self._refund(ref, intent)
        else:
            await self._void(ref, intent)

    async def _intent(self, intent_id: str | None, create: FrozenCall | None) -> PaymentSnapshot | None:
        """The order's PaymentIntent, also one whose creation was sent and whose id never arrived here."""
        if intent_id is None and create is not None:
            found = await self._created(create)
            if found is None:
                return None
            async with self._book.locked(create.order_id) as order:
                payment = await payment_of(order) or await save_intent(order, found)
            intent_id = payment.payment_intent_id
        return await self._stripe.retrieve(intent_id) if intent_id else None

    async def _created(self, create: FrozenCall) -> PaymentSnapshot | None:
        """What a creation that was sent has made: by the same call again, or by looking.

        It looks when the key may be gone, and when the call keeps failing: Stripe keeps a 500 under its key, too.
        """
        if not create.key_may_be_pruned and activity.info().attempt <= LOOK_AFTER_ATTEMPTS:
            try:
                return await self._stripe.create(create.params, create.key)
            except ParametersDrifted:
                raise
            except OurMistake:
                pass  # Stripe refuses the call as such, so it has made nothing: look, to be sure
        return await self._stripe.find(create.order_id, create.first_sent_at)

    async def _void(self, ref: OrderRef, intent: PaymentSnapshot) -> None:
        if intent.status != "canceled":
            await self._cancel(ref, intent)
        await self._record_void(ref)

    async def _cancel(self, ref: OrderRef, intent: PaymentSnapshot) -> None:
        async with self._book.locked(ref.order_id) as order:
            void = await _freeze_anew(order, "void", {"cancellation_reason": "requested_by_customer"})
        voided = await self._stripe.cancel(intent.id, void.params, void.key)
        if voided.status != "canceled":
            raise TryAgain(f"the payment is {voided.status}, not voided")

    async def _refund(self, ref: OrderRef, intent: PaymentSnapshot) -> None:
        refunds = await self._stripe.refunds(intent.id)
        failed = [refund for refund in refunds if refund.status in ("failed", "canceled")]
        given = sum(refund.amount for refund in refunds) - sum(refund.amount for refund in failed)
        if failed and given < intent.amount_received:
            raise OurMistake(f"refund {failed[0].id} failed: the customer has to be paid back another way")
        if given < intent.amount_received:
            params = {
                "payment_intent": intent.id,
                "amount": intent.amount_received - given,
                "metadata": {"order_id": ref.order_id, "operation": "refund:1"},
            }
            async with self._book.locked(ref.order_id) as order:
                call = await _freeze_anew(order, "refund", params)
            refunds = [*refunds, await self._stripe.refund(call.params, call.key)]
        if any(refund.status not in ("succeeded", "failed", "canceled") for refund in refunds):
            raise TryAgain("the refund is on its way; it counts when it has succeeded", delay=REFUND_POLL)
        async with self._book.locked(ref.order_id) as order:
            await _record_refund(order, intent.amount_received)

    async def _record_void(self, ref: OrderRef) -> None:
        async with self._book.locked(ref.order_id) as order:
            if order.state_of(RETURN) == "done":
                return
            payment = await payment_of(order)
            if payment is not None:
                payment.state = "voided"
                order.session.add(payment)
            order.mark(RETURN, "done")
            if order.row.payment_status == PaymentStatus.FAILED:
                return  # declined: nothing was held, so there is nothing to tell
            order.paid(PaymentStatus.VOIDED)
            order.note("payment voided")
            await order.emit(EventName.PAYMENT_VOIDED)

    async def _record_nothing(self, ref: OrderRef) -> None:
        async with self._book.locked(ref.order_id) as order:
            if order.row.payment_status in (PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED):
                order.paid(PaymentStatus.VOIDED)  # an order over 0: no money was ever asked for
            order.mark(RETURN, "done")


async def _freeze_anew(order: LockedOrder, operation: str, params: dict[str, Any]) -> FrozenCall:
    """Every attempt has looked before it comes here; one whose key keeps failing gets a new one."""
    call = await freeze(order, operation, params)
    return await freeze_again(order, call) if activity.info().attempt > LOOK_AFTER_ATTEMPTS else call


async def _record_refund(order: LockedOrder, amount: int) -> None:
    if order.state_of(RETURN) == "done":
        return
    payment = await payment_of(order)
    assert payment is not None
    payment.state, payment.captured_minor, payment.refunded_minor = "refunded", amount, amount
    order.session.add(payment)
    order.mark(RETURN, "done")
    order.paid(PaymentStatus.REFUNDED)
    order.note("payment refunded")
    await order.emit(EventName.PAYMENT_REFUNDED)
