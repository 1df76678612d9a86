"""The customer's payment: authorized at checkout, renewed while the order waits, captured when the label is bought.

Exactly one charge, whatever fails: one live PaymentIntent per order, created unconfirmed, its id saved before it is
confirmed (`payment_calls.py` settles unknown outcomes). A payment has rounds: the card of the checkout, another card
after a decline (the same PaymentIntent), a renewed authorization (a new one, once the former is canceled).
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from temporalio import activity

from activities.payments.calls import freeze_anew
from activities.payments.records import (
    answered,
    record_action_needed,
    record_authorized,
    record_captured,
    record_confirmed,
    record_declined,
    tell_foreign_capture,
    waits_for_customer,
)
from activities.payments.returns import PaymentReturns
from adapters.stripe.declines import declined
from adapters.stripe.payments import PaymentSnapshot
from domain.commands import Authorization, AuthorizationState, Hold, OrderRef, PaymentTry
from domain.errors import OurMistake, PaymentDeclined, TryAgain
from domain.order_states import OrderStatus
from domain.steps import AUTHORIZE, CAPTURE, SHIP
from services.customers.tables import Customer
from services.payments.book import (
    RENEWAL_CONFIRM_PARAMS,
    VOID_PARAMS,
    FrozenCall,
    amount_due,
    confirm_params,
    create_params,
    freeze,
    frozen,
    payment_of,
    renewal_params,
    save_intent,
)
from services.refunds.foreign import book_refunds
from services.refunds.holds import note_hold


class Payments(PaymentReturns):
    """`return_payment`, the undo of all of these, stands in `payment_returns.py`."""

    @activity.defn
    async def authorize_payment(self, ref: PaymentTry) -> Authorization:
        """Holds the order's total on the customer's card. Raises PaymentDeclined when that is final."""
        stripe_customer = await self._customer_that_keeps_a_card(ref) if ref.keep_card else None
        async with self._book.locked(ref.order_id) as order:
            if (answer := answered(order, ref)) is not None:
                return answer
            if order.total.minor == 0:
                answer = Authorization(state=AuthorizationState.AUTHORIZED)
                return await record_confirmed(order, answer, "nothing to pay")
            payment = await payment_of(order)
            create = await freeze(order, "create", create_params(order, ref, stripe_customer))
        created = None if payment else await self._create_or_decline(ref, create)
        return await self._save_and_confirm(ref, created, confirm_params(ref))

    @activity.defn
    async def check_payment(self, ref: PaymentTry) -> Authorization:
        """Looks whether the customer has done what the card's bank asked for. Raises PaymentDeclined."""
        async with self._book.locked(ref.order_id) as order:
            order.step(AUTHORIZE)
            payment = await payment_of(order)
        if payment is None:
            raise OurMistake("there is no payment to look at")
        intent = await self._stripe.retrieve(payment.payment_intent_id)
        if intent.status == "requires_payment_method" and intent.decline_code is None:
            return Authorization(state=AuthorizationState.REQUIRES_ACTION, round=ref.round)
        return await self._conclude(ref, _known(intent))

    @activity.defn
    async def keep_authorization(self, ref: PaymentTry) -> Authorization:
        """Looks at the money that is held, and holds it anew in round `ref.round` if asked to or if it is gone.

        A card that was not kept cannot be charged again: its authorization lasts as long as it lasts. Raises
        PaymentDeclined when the money is gone and cannot be held anew.
        """
        async with self._book.locked(ref.order_id) as order:
            if (answer := answered(order, ref)) is not None:
                return answer
            payment = await payment_of(order)
            present = Authorization.model_validate(order.result_of(AUTHORIZE) or {"state": "authorized"})
        if payment is None:
            return present  # nothing to pay
        if payment.attempt == ref.round:  # a former attempt has come this far
            return await self._save_and_confirm(ref, None, RENEWAL_CONFIRM_PARAMS)
        intent = await self._stripe.retrieve(payment.payment_intent_id)
        hold = await self._stripe.hold_on(intent)
        if intent.status in ("requires_capture", "succeeded"):
            if not (ref.renew and intent.renewable and hold is None and intent.status == "requires_capture"):
                return await self._note_hold(ref, present, intent, hold)
        elif not await self._ended_by_itself(ref, intent):
            raise PaymentDeclined("payment_canceled", "the payment was canceled at Stripe", final=True)
        elif not intent.renewable:
            raise PaymentDeclined("authorization_gone", "the hold has ended and the card was not kept")
        return await self._renew(ref, intent)

    @activity.defn
    async def capture_payment(self, ref: OrderRef) -> None:
        """Takes the money that is held: the order is ready to ship. Raises CaptureRefused when the hold is gone."""
        async with self._book.locked(ref.order_id) as order:
            order.step(SHIP)
            if order.step(CAPTURE):
                return
            payment = await payment_of(order)
            if payment is None and order.total.minor == 0:
                await record_captured(order, 0)
                return
            if payment is None:
                raise OurMistake("there is no payment to capture")
            due = {"amount_to_capture": await amount_due(order)}
            capture = await freeze(order, "capture", due, payment.attempt)
        intent = await self._capture(payment.payment_intent_id, capture)
        given = await self._stripe.refunds(intent.id) if intent.amount_refunded else []
        async with self._book.locked(ref.order_id) as order:
            if not order.step(CAPTURE):
                await record_captured(order, intent.amount_received)
                await tell_foreign_capture(order, intent, capture.params["amount_to_capture"])
                await book_refunds(order, intent.of_order(ref.order_id), given)

    # a round, step by step

    async def _create_or_decline(self, ref: PaymentTry, create: FrozenCall) -> PaymentSnapshot:
        """Without a PaymentIntent there is nothing that another card could be tried on: that decline is final."""
        try:
            return await self._create(create)
        except PaymentDeclined as refusal:
            await self._record_decline(ref.model_copy(update={"retry_until": None}), refusal)
            raise

    async def _save_and_confirm(
        self, ref: PaymentTry, created: PaymentSnapshot | None, params: dict[str, Any]
    ) -> Authorization:
        async with self._book.locked(ref.order_id) as order:
            # Undone meanwhile: it raises before anything can be charged.
            if (answer := answered(order, ref)) is not None:
                return answer
            # An attempt beside this one may have saved its own first: only that one is ever confirmed.
            payment = await payment_of(order)
            if payment is None or (created is not None and payment.attempt < created.round):
                assert created is not None
                payment = await save_intent(order, created, created.round)
            method = ref.payment_method or order.row.payment_method
            if not method.startswith("pm_") and "off_session" not in params:
                return await record_action_needed(order, ref)  # the shop's page confirms with a method of its own
            if payment.state == "declined":
                payment.state = "created"
                order.session.add(payment)
            confirm = await freeze(order, "confirm", params, ref.round)
        return await self._conclude(ref, self._confirm(payment.payment_intent_id, confirm))

    async def _conclude(self, ref: PaymentTry, outcome: Awaitable[PaymentSnapshot]) -> Authorization:
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
            if intent.status != "requires_action":
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

    # renewal

    async def _ended_by_itself(self, ref: PaymentTry, intent: PaymentSnapshot) -> bool:
        """Whether the hold has expired, or this renewal has canceled it before; not what a review ended."""
        async with self._book.locked(ref.order_id) as order:
            order.step(AUTHORIZE)
            under_review = order.row.hold is not None
            canceled_by_us = await frozen(order, "void", intent.round) is not None
        return canceled_by_us or (intent.expired and not under_review)

    async def _note_hold(
        self, ref: PaymentTry, present: Authorization, intent: PaymentSnapshot, hold: Hold | None
    ) -> Authorization:
        given = await self._stripe.refunds(intent.id) if intent.amount_refunded else []
        async with self._book.locked(ref.order_id) as order:
            order.step(AUTHORIZE)
            await book_refunds(order, intent.of_order(ref.order_id), given)
            await note_hold(order, hold)
            hold = Hold(order.row.hold) if order.row.hold else None
        return present.model_copy(update={"hold": hold, "capture_before": intent.capture_before})

    async def _renew(self, ref: PaymentTry, former: PaymentSnapshot) -> Authorization:
        """The former authorization is canceled first, so that there are never two."""
        if former.status != "canceled":
            async with self._book.locked(ref.order_id) as order:
                order.step(AUTHORIZE)
                void = await freeze_anew(order, "void", VOID_PARAMS, former.round)
            await self._cancel(former.id, void)
        create = await self._freeze_renewal(ref, former)
        created = await self._create_or_decline(ref, create)
        return await self._save_and_confirm(ref, created, RENEWAL_CONFIRM_PARAMS)

    async def _freeze_renewal(self, ref: PaymentTry, former: PaymentSnapshot) -> FrozenCall:
        async with self._book.locked(ref.order_id) as order:
            order.step(AUTHORIZE)
            payment = await payment_of(order)
            assert payment is not None
            if payment.payment_intent_id == former.id:
                payment.state = "voided"
                order.session.add(payment)
            return await freeze(order, "create", renewal_params(order, ref, former), ref.round)

    async def _customer_that_keeps_a_card(self, ref: PaymentTry) -> str:
        """Stripe's Customer of our customer. A second one moves no money."""
        async with self._book.locked(ref.order_id) as order:
            customer = await order.session.get_one(Customer, order.row.customer_id)
            if customer.stripe_customer_id is not None:
                return customer.stripe_customer_id
            params = {"metadata": {"customer_id": customer.customer_id}}
            call = await freeze_anew(order, "customer", params, 1)
        created = await self._unless_refused(call, self._stripe.create_customer(call.params, call.key), _nothing)
        async with self._book.locked(ref.order_id) as order:
            customer = await order.session.get_one(Customer, order.row.customer_id, with_for_update=True)
            customer.stripe_customer_id = customer.stripe_customer_id or created
            order.session.add(customer)
            return customer.stripe_customer_id


async def _nothing() -> None:
    """Of a call whose repeat moves no money: there is no need to look."""


async def _known(intent: PaymentSnapshot) -> PaymentSnapshot:
    return intent


def _check_authorized(intent: PaymentSnapshot) -> None:
    """Raises unless the money is held or the customer has to act."""
    if intent.status in ("requires_capture", "requires_action", "succeeded"):
        return
    if intent.status == "requires_payment_method":
        raise declined(intent.decline_code or "card_declined")
    if intent.status == "canceled":
        raise PaymentDeclined("payment_canceled", "the payment was canceled before it was authorized", final=True)
    raise TryAgain(f"the payment is {intent.status}")
