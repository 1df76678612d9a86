"""The undo of a payment: the customer gets back what is held or was taken, whichever Stripe says it is *now*."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from temporalio import activity

from activities.payments.calls import LOOK_AFTER_ATTEMPTS, StripeCalls, save_call_after_look
from adapters.stripe.payments import PaymentSnapshot, StripeGateway
from adapters.stripe.refunds import GivenRefund, RefundGateway
from domain.commands import Hold, OrderRef
from domain.errors import (
    CallRefused,
    OnItsWay,
    OurMistake,
    ParametersDrifted,
    PaymentDeclined,
    ReturnRefused,
    TryAgain,
)
from domain.payments import IntentStatus
from domain.refunds import UNDO_REFERENCE
from domain.steps import RETURN, FenceState
from services.orders.book import LockedOrder, OrderBook
from services.payments.book import payment_known, payment_of, save_intent
from services.payments.parameters import VOID_PARAMS
from services.payments.returns import fence_off, record_nothing, record_refund, record_void
from services.payments.saved_calls import SavedCall, next_attempt, saved_call
from services.payments.undo_waits import note_wait
from services.refunds.book import sent_unseen
from services.repairs.settled_payments import settled_payments
from services.tickets.book import asked_again

PART_POLL = timedelta(seconds=1)


class PaymentReturns:
    """What `Payments.return_payment` does; `calls` settles outcomes that are not known."""

    def __init__(self, book: OrderBook, stripe: StripeGateway, refunds: RefundGateway, calls: StripeCalls) -> None:
        self._book, self._stripe, self._refunds, self._calls = book, stripe, refunds, calls

    async def give_back(self, ref: OrderRef) -> None:
        """Voids what is held, refunds what was captured; done when Stripe says that it is.

        Raises ReturnRefused for a disputed charge: it is never refunded by itself.
        """
        async with self._book.locked(ref.order_id) as order:
            if order.state_of(RETURN) is FenceState.DONE and not ref.look_again:
                return
            fence_off(order)
            payment, create = payment_of(order), saved_call(order, "create")
        if create is not None and (payment is None or payment.attempt < create.round):
            await self._save_unsaved(create)
        if ref.look_again:
            others = await self._stripe.find_all(ref.order_id)
            for intent in others:
                if payment is None or intent.id != payment.payment_intent_id:
                    await self._give_one_back(ref, intent)
        async with self._book.locked(ref.order_id) as order:
            payment = payment_of(order)
            if payment is None:
                record_nothing(order)
                return
        await self._give_one_back(ref, await self._stripe.retrieve(payment.payment_intent_id))

    async def _is_settled(self, ref: OrderRef, intent: PaymentSnapshot) -> bool:
        """Whether a person has ended the return of this payment: paid back by other means, or written off."""
        async with self._book.locked(ref.order_id) as order:
            settled = await settled_payments(order.connection, [ref.order_id])
        return intent.id in settled

    async def _save_unsaved(self, create: SavedCall) -> None:
        """A PaymentIntent whose creation was sent, and whose id never arrived here."""
        found = await self._created(create)
        if found is not None:
            async with self._book.locked(create.order_id) as order:
                payment = payment_of(order)
                if payment is None or payment.attempt < create.round:
                    save_intent(order, found, create.round)

    async def _created(self, create: SavedCall) -> PaymentSnapshot | None:
        """What a creation that was sent has made: by the same call again, or by looking.

        It looks when the key may be gone, and when the call keeps failing: Stripe keeps a 500 under its key, too.
        """
        sendable = not create.key_may_be_pruned and not create.refused
        if sendable and activity.info().attempt <= LOOK_AFTER_ATTEMPTS:
            try:
                return await self._stripe.create(create.params, create.key)
            except ParametersDrifted:
                raise
            except (CallRefused, OurMistake, PaymentDeclined):
                pass  # Stripe refuses the call as such, so it has made nothing: look, to be sure
        return await self._calls.find(create)

    async def _give_one_back(self, ref: OrderRef, intent: PaymentSnapshot) -> None:
        if ref.look_again and await self._is_settled(ref, intent):
            return
        if intent.status == IntentStatus.SUCCEEDED:
            await self._refund(ref, intent)
        else:
            await self._void(ref, intent)

    async def _void(self, ref: OrderRef, intent: PaymentSnapshot) -> None:
        if intent.status != IntentStatus.CANCELED:
            async with self._book.locked(ref.order_id) as order:
                operation = _operation(order, "void", intent)
                void = await save_call_after_look(order, operation, VOID_PARAMS, intent.round)
            await self._calls.cancel(intent.id, void)
        async with self._book.locked(ref.order_id) as order:
            await record_void(order, intent)

    async def _refund(self, ref: OrderRef, intent: PaymentSnapshot) -> None:
        async with self._book.locked(ref.order_id) as order:
            if await sent_unseen(order):  # Stripe's list may not show it yet, and then the rest would be too much
                raise TryAgain("a refund of a part is on its way: it is counted first", delay=PART_POLL)
        refunds = await self._refunds.all_of(intent.id)
        left = intent.amount_received - _given(refunds)
        if left > 0:
            if await self._stripe.hold_on(intent) is Hold.DISPUTE:
                raise ReturnRefused("payment_dispute", "the charge is disputed: the bank decides who has the money")
            refunds = [*refunds, await self._send_refund(ref, intent, left, refunds)]
            if _given(refunds) < intent.amount_received:
                raise TryAgain("only a part has gone back", delay=PART_POLL)
        under_way = any(not (refund.succeeded or refund.failed) for refund in refunds)
        async with self._book.locked(ref.order_id) as order:
            if not under_way:
                await record_refund(order, intent)
                return
            pause = await note_wait(order)
        raise OnItsWay("the refund is on its way; it counts when it has succeeded", delay=pause)

    async def _send_refund(
        self, ref: OrderRef, intent: PaymentSnapshot, amount: int, refunds: list[GivenRefund]
    ) -> GivenRefund:
        """The same call again, unless it has failed for good: then a person's `retry` sends the next one.

        A failed refund's money is back with the shop (https://docs.stripe.com/refunds#failed-refunds), and mostly
        the customer's card is gone: only a person knows whether another try makes sense. Raises ReturnRefused.
        """

        async def look() -> None:
            if intent.amount_received - _given(await self._refunds.all_of(intent.id)) < amount:
                raise TryAgain("money has gone back meanwhile: it is counted first", delay=PART_POLL)

        async with self._book.locked(ref.order_id) as order:
            operation = _operation(order, "refund", intent)
            call = saved_call(order, operation, intent.round)
            failed = next((one for one in refunds if one.failed and call and _is_of(one, call)), None)
            if call is not None and failed is not None and not await asked_again(order, RETURN, call.first_sent_at):
                raise ReturnRefused(
                    "refund_failed", f"refund {failed.id} failed: pay the customer back another way, or retry"
                )
            reference = _reference(call) if call and failed is None else f"{UNDO_REFERENCE}{_number(call) + 1}"
            named = {"order_id": ref.order_id, "operation": reference}
            params = {"payment_intent": intent.id, "amount": amount, "metadata": named}
            if call is not None and call.params != params:
                # The former one failed, or somebody gave back a part since: Stripe would refuse it for ever.
                call = next_attempt(order, replace(call, params=params))
            else:
                call = await save_call_after_look(order, operation, params, intent.round)
        return await self._calls.unless_refused(call, self._refunds.give_rest(call.params, call.key), look)


def _operation(order: LockedOrder, name: str, intent: PaymentSnapshot) -> str:
    """A PaymentIntent that our books do not know must not share the keys of the one that they do."""
    return name if payment_known(order, intent.id) else f"{name}-{intent.id}"


def _is_of(refund: GivenRefund, call: SavedCall) -> bool:
    return refund.operation == _reference(call)


def _reference(call: SavedCall) -> str:
    """Ours in Stripe's list. One that was saved without it was refused; its next attempt has that of its number."""
    return str(call.params["metadata"].get("operation", f"{UNDO_REFERENCE}{call.attempt}"))


def _number(call: SavedCall | None) -> int:
    return int(_reference(call).removeprefix(UNDO_REFERENCE)) if call else 0


def _given(refunds: list[GivenRefund]) -> int:
    return sum(refund.amount for refund in refunds if not refund.failed)
