"""The undo of a payment: the customer gets back what is held or was taken, whichever Stripe says it is *now*."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from temporalio import activity

from activities.payments.calls import LOOK_AFTER_ATTEMPTS, PaymentCalls, freeze_anew
from adapters.stripe.payments import PaymentSnapshot
from adapters.stripe.refunds import GivenRefund
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
from domain.events import EventName
from domain.money import Money
from domain.order_states import PaymentStatus
from domain.refunds import UNDO_REFERENCE
from domain.steps import AUTHORIZE, CAPTURE, RETURN
from services.orders.book import LockedOrder
from services.payments.book import VOID_PARAMS, FrozenCall, freeze_again, frozen, payment_of, save_intent
from services.payments.tables import Payment
from services.payments.undo_waits import note_wait
from services.refunds.book import sent_unseen
from services.repairs.settled_payments import settled_payments
from services.tickets.book import asked_again

PART_POLL = timedelta(seconds=1)


class PaymentReturns(PaymentCalls):
    @activity.defn
    async def return_payment(self, ref: OrderRef) -> None:
        """Voids what is held, refunds what was captured; done when Stripe says that it is.

        Raises ReturnRefused for a disputed charge: it is never refunded by itself.
        """
        async with self._book.locked(ref.order_id) as order:
            if order.state_of(RETURN) == "done" and not ref.look_again:
                return
            # First the fences: from here on no late attempt saves an id, confirms or captures.
            order.mark(AUTHORIZE, "undone", order.result_of(AUTHORIZE))
            order.mark(CAPTURE, "undone")
            payment, create = await payment_of(order), await frozen(order, "create")
        if create is not None and (payment is None or payment.attempt < create.round):
            await self._save_unsaved(create)
        if ref.look_again:
            others = await self._stripe.find_all(ref.order_id)
            for intent in others:
                if payment is None or intent.id != payment.payment_intent_id:
                    await self._give_back(ref, intent)
        async with self._book.locked(ref.order_id) as order:
            payment = await payment_of(order)
        if payment is None:
            await self._record_nothing(ref)
        else:
            await self._give_back(ref, await self._stripe.retrieve(payment.payment_intent_id))

    async def _is_settled(self, ref: OrderRef, intent: PaymentSnapshot) -> bool:
        """Whether a person has ended the return of this payment: paid back by other means, or written off."""
        async with self._book.locked(ref.order_id) as order:
            settled = await settled_payments(await order.session.connection(), [ref.order_id])
        return intent.id in settled

    async def _save_unsaved(self, create: FrozenCall) -> None:
        """A PaymentIntent whose creation was sent, and whose id never arrived here."""
        found = await self._created(create)
        if found is not None:
            async with self._book.locked(create.order_id) as order:
                payment = await payment_of(order)
                if payment is None or payment.attempt < create.round:
                    await save_intent(order, found, create.round)

    async def _created(self, create: FrozenCall) -> PaymentSnapshot | None:
        """What a creation that was sent has made: by the same call again, or by looking.

        It looks when the key may be gone, and when the call keeps failing: Stripe keeps a 500 under its key, too.
        """
        sendable = not create.key_may_be_pruned and not create.given_up
        if sendable and activity.info().attempt <= LOOK_AFTER_ATTEMPTS:
            try:
                return await self._stripe.create(create.params, create.key)
            except ParametersDrifted:
                raise
            except (CallRefused, OurMistake, PaymentDeclined):
                pass  # Stripe refuses the call as such, so it has made nothing: look, to be sure
        return await self._find(create)

    async def _give_back(self, ref: OrderRef, intent: PaymentSnapshot) -> None:
        if ref.look_again and await self._is_settled(ref, intent):
            return
        if intent.status == "succeeded":
            await self._refund(ref, intent)
        else:
            await self._void(ref, intent)

    async def _void(self, ref: OrderRef, intent: PaymentSnapshot) -> None:
        if intent.status != "canceled":
            async with self._book.locked(ref.order_id) as order:
                void = await freeze_anew(order, await _operation(order, "void", intent), VOID_PARAMS, intent.round)
            await self._cancel(intent.id, void)
        await self._record_void(ref, intent)

    async def _refund(self, ref: OrderRef, intent: PaymentSnapshot) -> None:
        async with self._book.locked(ref.order_id) as order:
            if await sent_unseen(order):  # Stripe's list may not show it yet, and then the rest would be too much
                raise TryAgain("a refund of a part is on its way: it is counted first", delay=PART_POLL)
        refunds = await self._stripe.refunds(intent.id)
        left = intent.amount_received - _given(refunds)
        if left > 0:
            if await self._stripe.hold_on(intent) is Hold.DISPUTE:
                raise ReturnRefused("payment_dispute", "the charge is disputed: the bank decides who has the money")
            refunds = [*refunds, await self._send_refund(ref, intent, left, refunds)]
            if _given(refunds) < intent.amount_received:
                raise TryAgain("only a part has gone back", delay=PART_POLL)
        under_way = any(refund.status not in ("succeeded", "failed", "canceled") for refund in refunds)
        async with self._book.locked(ref.order_id) as order:
            if not under_way:
                await _record_refund(order, intent)
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
            if intent.amount_received - _given(await self._stripe.refunds(intent.id)) < amount:
                raise TryAgain("money has gone back meanwhile: it is counted first", delay=PART_POLL)

        async with self._book.locked(ref.order_id) as order:
            operation = await _operation(order, "refund", intent)
            call = await frozen(order, operation, intent.round)
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
                call = await freeze_again(order, replace(call, params=params))
            else:
                call = await freeze_anew(order, operation, params, intent.round)
        return await self._unless_refused(call, self._stripe.refund(call.params, call.key), look)

    # our books

    async def _record_void(self, ref: OrderRef, intent: PaymentSnapshot) -> None:
        async with self._book.locked(ref.order_id) as order:
            payment = await order.session.get(Payment, intent.id)
            if _is_written(order, payment, "voided"):
                return
            declined = order.row.payment_status == PaymentStatus.FAILED
            if payment is not None:
                payment.state = "voided"
                order.session.add(payment)
            order.mark(RETURN, "done")
            if declined:
                return  # nothing was held, so there is nothing to tell
            order.paid(PaymentStatus.VOIDED)
            order.note("payment voided")
            await order.emit(EventName.PAYMENT_VOIDED)

    async def _record_nothing(self, ref: OrderRef) -> None:
        async with self._book.locked(ref.order_id) as order:
            if order.row.payment_status in (PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED):
                order.paid(PaymentStatus.VOIDED)  # an order over 0: no money was ever asked for
            order.mark(RETURN, "done")


async def _operation(order: LockedOrder, name: str, intent: PaymentSnapshot) -> str:
    """A PaymentIntent that our books do not know must not share the keys of the one that they do."""
    return name if await order.session.get(Payment, intent.id) else f"{name}-{intent.id}"


def _is_of(refund: GivenRefund, call: FrozenCall) -> bool:
    return refund.operation == _reference(call)


def _reference(call: FrozenCall) -> str:
    """Ours in Stripe's list. What was frozen without one was refused, and is made anew with that of its attempt."""
    return str(call.params["metadata"].get("operation", f"{UNDO_REFERENCE}{call.attempt}"))


def _number(call: FrozenCall | None) -> int:
    return int(_reference(call).removeprefix(UNDO_REFERENCE)) if call else 0


def _given(refunds: list[GivenRefund]) -> int:
    return sum(refund.amount for refund in refunds if not refund.failed)


def _is_written(order: LockedOrder, payment: Payment | None, state: str) -> bool:
    return order.state_of(RETURN) == "done" and (payment is None or payment.state == state)


async def _record_refund(order: LockedOrder, intent: PaymentSnapshot) -> None:
    payment = await order.session.get(Payment, intent.id)
    if _is_written(order, payment, "refunded"):
        return
    before = payment.refunded_minor if payment is not None and payment.state != "refunded" else 0
    if payment is not None:
        payment.state = "refunded"
        payment.captured_minor = payment.refunded_minor = intent.amount_received
        order.session.add(payment)
    order.mark(RETURN, "done")
    order.paid(PaymentStatus.REFUNDED)
    order.note("payment refunded")
    rest = intent.amount_received - before  # what went back before was told before
    part = None if rest == order.row.total_minor else Money(minor=rest, currency=order.row.currency)
    if rest > 0:
        await order.emit(EventName.PAYMENT_REFUNDED, amount=part)
