"""The customer's payment: authorized at checkout, renewed while the order waits, captured when the label is bought.

Exactly one charge, whatever fails: one live PaymentIntent per order, created unconfirmed, its id saved before it is
confirmed (`calls.py` settles unknown outcomes). The rounds of a payment are explained in `rounds.py`.
"""

from __future__ import annotations

from temporalio import activity

from activities.payments.calls import StripeCalls, save_call_after_look
from activities.payments.renewals import Renewals
from activities.payments.returns import PaymentReturns
from activities.payments.rounds import PaymentRounds
from adapters.stripe.payments import PaymentSnapshot, StripeGateway
from adapters.stripe.refunds import RefundGateway
from domain.commands import Authorization, AuthorizationState, OrderRef, PaymentTry
from domain.errors import OurMistake
from domain.payments import IntentStatus
from domain.steps import AUTHORIZE, CAPTURE, SHIP
from services.identities.actors import Actors
from services.orders.book import OrderBook
from services.orders.unproven import note_unproven
from services.payments.authorization import answered, record_confirmed
from services.payments.book import amount_due, payment_of
from services.payments.captures import record_captured, tell_foreign_capture
from services.payments.parameters import confirm_params, create_params
from services.payments.saved_calls import save_call
from services.payments.stripe_customers import customer_of, keep_stripe_customer
from services.refunds.foreign import book_refunds


class Payments:
    """The steps of a payment, and `return_payment`, the undo of all of them."""

    def __init__(self, book: OrderBook, stripe: StripeGateway, refunds: RefundGateway, actors: Actors) -> None:
        self._book, self._stripe, self._refunds, self._actors = book, stripe, refunds, actors
        self._calls = StripeCalls(book, stripe)
        self._rounds = PaymentRounds(book, stripe, self._calls)
        self._renewals = Renewals(book, stripe, refunds, self._calls, self._rounds)
        self._returns = PaymentReturns(book, stripe, refunds, self._calls)

    @activity.defn
    async def authorize_payment(self, ref: PaymentTry) -> Authorization:
        """Holds the order's total on the customer's card. Raises PaymentDeclined when that is final."""
        if (unproven := await self._unproven(ref)) is not None:
            return unproven
        stripe_customer = await self._customer_that_keeps_a_card(ref) if ref.keep_card else None
        async with self._book.locked(ref.order_id) as order:
            if (answer := answered(order, ref)) is not None:
                return answer
            if order.total.minor == 0:
                answer = Authorization(state=AuthorizationState.AUTHORIZED)
                return await record_confirmed(order, answer, "nothing to pay")
            payment = payment_of(order)
            create = save_call(order, "create", create_params(order, ref, stripe_customer))
        created = None if payment else await self._rounds.create_or_decline(ref, create)
        return await self._rounds.save_and_confirm(ref, created, confirm_params(ref))

    async def _unproven(self, ref: PaymentTry) -> Authorization | None:
        """For a payment method that the API has not passed on: nothing is charged, another one is waited for."""
        offered = ref.payment_method
        if offered is None or self._actors.has_offered(ref.order_id, offered, ref.proof):
            return None
        async with self._book.locked(ref.order_id) as order:
            if (answer := answered(order, ref)) is not None and answer.round == ref.round:
                return answer  # of a worker of before, which asked for no proof
            note_unproven(order, "pay", "refused: a payment method that did not come by the API")
        return Authorization(state=AuthorizationState.DECLINED, round=ref.round, code="unproven")

    @activity.defn
    async def check_payment(self, ref: PaymentTry) -> Authorization:
        """Looks whether the customer has done what the card's bank asked for. Raises PaymentDeclined."""
        async with self._book.locked(ref.order_id) as order:
            order.require_not_undone(AUTHORIZE)
            payment = payment_of(order)
        if payment is None:
            raise OurMistake("there is no payment to look at")
        intent = await self._stripe.retrieve(payment.payment_intent_id)
        if intent.status == IntentStatus.REQUIRES_PAYMENT_METHOD and intent.decline_code is None:
            return Authorization(state=AuthorizationState.REQUIRES_ACTION, round=ref.round)
        return await self._rounds.conclude(ref, _known(intent))

    @activity.defn
    async def keep_authorization(self, ref: PaymentTry) -> Authorization:
        """Looks at the money that is held, and renews the authorization if `ref` asks for it or it is gone.

        Raises PaymentDeclined when the money is gone and cannot be held again.
        """
        return await self._renewals.keep(ref)

    @activity.defn
    async def capture_payment(self, ref: OrderRef) -> None:
        """Takes the money that is held: the order is ready to ship. Raises CaptureRefused when the hold is gone."""
        async with self._book.locked(ref.order_id) as order:
            order.require_not_undone(SHIP)
            order.require_not_undone(CAPTURE)
            if order.fence(CAPTURE):
                return
            payment = payment_of(order)
            if payment is None and order.total.minor == 0:
                await record_captured(order, 0)
                return
            if payment is None:
                raise OurMistake("there is no payment to capture")
            due = {"amount_to_capture": amount_due(order)}
            capture = save_call(order, "capture", due, payment.attempt)
        intent = await self._calls.capture(payment.payment_intent_id, capture)
        given = await self._refunds.all_of(intent.id) if intent.amount_refunded else []
        async with self._book.locked(ref.order_id) as order:
            order.require_not_undone(CAPTURE)
            if not order.fence(CAPTURE):
                await record_captured(order, intent.amount_received)
                await tell_foreign_capture(order, intent, capture.params["amount_to_capture"])
                if given:
                    await book_refunds(order, intent.of_order(ref.order_id), given)

    @activity.defn
    async def return_payment(self, ref: OrderRef) -> None:
        """The undo: voids what is held, refunds what was captured; done when Stripe says that it is.

        Raises ReturnRefused for a disputed charge: it is never refunded by itself.
        """
        await self._returns.give_back(ref)

    async def _customer_that_keeps_a_card(self, ref: PaymentTry) -> str:
        """Stripe's Customer of our customer. A second one moves no money."""
        async with self._book.locked(ref.order_id) as order:
            customer = await customer_of(order)
            if customer.stripe_customer_id is not None:
                return customer.stripe_customer_id
            params = {"metadata": {"customer_id": customer.customer_id}}
            call = await save_call_after_look(order, "customer", params, 1)
        created = await self._calls.unless_refused(
            call, self._stripe.create_customer(call.params, call.key), _nothing
        )
        async with self._book.locked(ref.order_id) as order:
            return await keep_stripe_customer(order, created)


async def _nothing() -> None:
    """Of a call whose repeat moves no money: there is no need to look."""


async def _known(intent: PaymentSnapshot) -> PaymentSnapshot:
    return intent
