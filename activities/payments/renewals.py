"""The authorization of an order that waits for its shipping date: looked at, and renewed before it ends."""

from __future__ import annotations

from activities.payments.calls import StripeCalls, save_call_after_look
from activities.payments.rounds import PaymentRounds
from adapters.stripe.payments import PaymentSnapshot, StripeGateway
from adapters.stripe.refunds import RefundGateway
from domain.commands import Authorization, Hold, PaymentTry
from domain.errors import PaymentDeclined
from domain.payments import IntentStatus, PaymentState
from domain.steps import AUTHORIZE
from services.orders.book import OrderBook
from services.payments.authorization import answered, present_authorization
from services.payments.book import note_state, payment_of
from services.payments.parameters import RENEWAL_CONFIRM_PARAMS, VOID_PARAMS, renewal_params
from services.payments.saved_calls import SavedCall, save_call, saved_call
from services.refunds.foreign import book_refunds
from services.refunds.holds import note_hold


class Renewals:
    """What `Payments.keep_authorization` does; `calls` settles outcomes that are not known."""

    def __init__(
        self,
        book: OrderBook,
        stripe: StripeGateway,
        refunds: RefundGateway,
        calls: StripeCalls,
        rounds: PaymentRounds,
    ) -> None:
        self._book, self._stripe, self._refunds = book, stripe, refunds
        self._calls, self._rounds = calls, rounds

    async def keep(self, ref: PaymentTry) -> Authorization:
        """Looks at the money that is held, and renews it in round `ref.round` if asked to or if it is gone.

        A card that was not kept cannot be charged again: its authorization lasts as long as it lasts. Raises
        PaymentDeclined when the money is gone and cannot be held again.
        """
        async with self._book.locked(ref.order_id) as order:
            if (answer := answered(order, ref)) is not None:
                return answer
            payment, present = payment_of(order), present_authorization(order)
        if payment is None:
            return present  # nothing to pay
        if payment.attempt == ref.round:  # a former attempt has come this far
            return await self._rounds.save_and_confirm(ref, None, RENEWAL_CONFIRM_PARAMS)
        intent = await self._stripe.retrieve(payment.payment_intent_id)
        hold = await self._stripe.hold_on(intent)
        authorized = intent.status == IntentStatus.REQUIRES_CAPTURE
        if authorized or intent.status == IntentStatus.SUCCEEDED:
            if not (ref.renew and intent.renewable and hold is None and authorized):
                return await self._note_hold(ref, present, intent, hold)
        elif not await self._ended_by_itself(ref, intent):
            raise PaymentDeclined("payment_canceled", "the payment was canceled at Stripe", final=True)
        elif not intent.renewable:
            raise PaymentDeclined("authorization_gone", "the hold has ended and the card was not kept")
        return await self._renew(ref, intent)

    async def _ended_by_itself(self, ref: PaymentTry, intent: PaymentSnapshot) -> bool:
        """Whether the hold has expired, or this renewal has canceled it before; not what a review ended."""
        async with self._book.locked(ref.order_id) as order:
            order.require_not_undone(AUTHORIZE)
            under_review = order.row.hold is not None
            canceled_by_us = saved_call(order, "void", intent.round) is not None
        return canceled_by_us or (intent.expired and not under_review)

    async def _note_hold(
        self, ref: PaymentTry, present: Authorization, intent: PaymentSnapshot, hold: Hold | None
    ) -> Authorization:
        given = await self._refunds.all_of(intent.id) if intent.amount_refunded else []
        async with self._book.locked(ref.order_id) as order:
            order.require_not_undone(AUTHORIZE)
            await book_refunds(order, intent.of_order(ref.order_id), given)
            await note_hold(order, hold)
            hold = Hold(order.row.hold) if order.row.hold else None
        return present.model_copy(update={"hold": hold, "capture_before": intent.capture_before})

    async def _renew(self, ref: PaymentTry, former: PaymentSnapshot) -> Authorization:
        """The former authorization is canceled first, so that there are never two."""
        if former.status != IntentStatus.CANCELED:
            async with self._book.locked(ref.order_id) as order:
                order.require_not_undone(AUTHORIZE)
                void = await save_call_after_look(order, "void", VOID_PARAMS, former.round)
            await self._calls.cancel(former.id, void)
        create = await self._save_renewal(ref, former)
        created = await self._rounds.create_or_decline(ref, create)
        return await self._rounds.save_and_confirm(ref, created, RENEWAL_CONFIRM_PARAMS)

    async def _save_renewal(self, ref: PaymentTry, former: PaymentSnapshot) -> SavedCall:
        async with self._book.locked(ref.order_id) as order:
            order.require_not_undone(AUTHORIZE)
            payment = payment_of(order)
            assert payment is not None
            if payment.payment_intent_id == former.id:
                note_state(order, payment, PaymentState.VOIDED)
            return save_call(order, "create", renewal_params(order, ref, former), ref.round)
