"""One round of an order's payment: create, save, confirm, and write down how it ended.

A payment has rounds: the card of the checkout, another card after a decline (the same PaymentIntent), a renewed
authorization (a new one, once the former is canceled).
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from activities.payments.calls import StripeCalls
from adapters.stripe.declines import declined
from adapters.stripe.payments import PaymentSnapshot, StripeGateway
from domain.commands import Authorization, AuthorizationState, PaymentTry
from domain.errors import PaymentDeclined, TryAgain
from domain.order_states import OrderStatus
from domain.payments import IntentStatus
from services.orders.book import OrderBook
from services.payments.authorization import (
    answered,
    record_action_needed,
    record_authorized,
    record_declined,
    waits_for_customer,
)
from services.payments.book import offer_again, payment_of, save_intent
from services.payments.saved_calls import SavedCall, save_call

AUTHORIZED_OR_TO_ACT = (IntentStatus.REQUIRES_CAPTURE, IntentStatus.REQUIRES_ACTION, IntentStatus.SUCCEEDED)


class PaymentRounds:
    """What the checkout and the renewals have in common; `calls` settles outcomes that are not known."""

    def __init__(self, book: OrderBook, stripe: StripeGateway, calls: StripeCalls) -> None:
        self._book, self._stripe, self._calls = book, stripe, calls

    async def create_or_decline(self, ref: PaymentTry, create: SavedCall) -> PaymentSnapshot:
        """Creates the round's PaymentIntent. Raises PaymentDeclined, which is final.

        Without a PaymentIntent there is nothing that another card could be tried on.
        """
        try:
            return await self._calls.create(create)
        except PaymentDeclined as refusal:
            await self._record_decline(ref.model_copy(update={"retry_until": None}), refusal)
            raise

    async def save_and_confirm(
        self, ref: PaymentTry, created: PaymentSnapshot | None, params: dict[str, Any]
    ) -> Authorization:
        """Saves the PaymentIntent that was created, if one was, and confirms the order's latest one with `params`."""
        async with self._book.locked(ref.order_id) as order:
            # Undone meanwhile: it raises before anything can be charged.
            if (answer := answered(order, ref)) is not None:
                return answer
            # Another attempt of this step may have saved its own first: only that one is ever confirmed.
            payment = payment_of(order)
            if payment is None or (created is not None and payment.attempt < created.round):
                assert created is not None
                payment = save_intent(order, created, created.round)
            method = ref.payment_method or order.row.payment_method
            if not method.startswith("pm_") and "off_session" not in params:
                return await record_action_needed(order, ref)  # the shop's page confirms with a method of its own
            offer_again(order, payment)
            confirm = save_call(order, "confirm", params, ref.round)
        return await self.conclude(ref, self._calls.confirm(payment.payment_intent_id, confirm))

    async def conclude(self, ref: PaymentTry, outcome: Awaitable[PaymentSnapshot]) -> Authorization:
        """Writes down how the round ended. Raises PaymentDeclined when that is final."""
        try:
            intent = await outcome
            _check_authorized(intent)
            return await self._record_authorization(ref, intent)
        except PaymentDeclined as refusal:
            answer = await self._record_decline(ref, refusal)
            if answer is None:
                raise
            return answer

    async def _record_authorization(self, ref: PaymentTry, intent: PaymentSnapshot) -> Authorization:
        hold = await self._stripe.hold_on(intent)
        async with self._book.locked(ref.order_id) as order:
            answer = answered(order, ref)
            if answer is not None and (answer.round > ref.round or answer.state is AuthorizationState.AUTHORIZED):
                return answer
            if intent.status != IntentStatus.REQUIRES_ACTION:
                return await record_authorized(order, ref, intent, hold)
            if order.status is OrderStatus.CONFIRMED:  # a renewal: there is no customer at hand
                raise declined("authentication_required")
            if answer is not None and answer.state is AuthorizationState.REQUIRES_ACTION:
                return answer
            return await record_action_needed(order, ref)

    async def _record_decline(self, ref: PaymentTry, declined: PaymentDeclined) -> Authorization | None:
        async with self._book.locked(ref.order_id) as order:
            answer = answered(order, ref)
            if answer is not None and not waits_for_customer(order, ref):
                return answer  # a late attempt: what was written since counts
            return await record_declined(order, ref, declined)


def _check_authorized(intent: PaymentSnapshot) -> None:
    """Raises unless the money is held or the customer has to act."""
    if intent.status in AUTHORIZED_OR_TO_ACT:
        return
    if intent.status == IntentStatus.REQUIRES_PAYMENT_METHOD:
        raise declined(intent.decline_code or "card_declined")
    if intent.status == IntentStatus.CANCELED:
        raise PaymentDeclined("payment_canceled", "the payment was canceled before it was authorized", final=True)
    raise TryAgain(f"the payment is {intent.status}")
