"""The customer's payment: authorized at checkout, captured when the label is bought, returned when undone.

Exactly one charge, whatever fails: one live PaymentIntent per order, created unconfirmed, its id saved before it is
confirmed; what is sent is frozen in `payment_attempts` before the first send; an unknown outcome is settled by
sending the same call again while its key lasts, and by looking when that keeps failing or the key may be gone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from temporalio import activity

from activities.payment_returns import LOOK_AFTER_ATTEMPTS, PaymentReturns
from adapters.order_book import LockedOrder
from adapters.payment_book import FrozenCall, create_params, freeze, freeze_again, payment_of, save_intent
from adapters.stripe_errors import PaymentStateDiffers
from adapters.stripe_gateway import PaymentSnapshot
from domain.commands import Authorization, AuthorizationState, OrderRef
from domain.errors import CaptureRefused, OurMistake, PaymentDeclined, TryAgain
from domain.events import EventName
from domain.order_states import OrderStatus, PaymentStatus
from domain.steps import AUTHORIZE, CAPTURE, SHIP

Send = Callable[[FrozenCall], Awaitable[PaymentSnapshot]]
Look = Callable[[], Awaitable[PaymentSnapshot | None]]

CONFIRM_PARAMS = {"expand": ["latest_charge"]}


class Payments(PaymentReturns):
    """`return_payment`, the undo of all of these, stands in `payment_returns.py`."""

    @activity.defn
    async def authorize_payment(self, ref: OrderRef) -> Authorization:
        """Holds the order's total on the customer's card. Raises PaymentDeclined."""
        async with self._book.locked(ref.order_id) as order:
            if order.step(AUTHORIZE):
                return _saved_answer(order)
            if order.total.minor == 0:
                return await _record_confirmed(order, "nothing to pay")
            payment = await payment_of(order)
            create = await freeze(order, "create", create_params(order))
        created = None if payment else await self._create(create)
        async with self._book.locked(ref.order_id) as order:
            if order.step(AUTHORIZE):  # undone meanwhile: it raises before anything can be charged
                return _saved_answer(order)
            # An attempt beside this one may have saved its own first: only that one is ever confirmed.
            payment = await payment_of(order)
            if payment is None:
                assert created is not None
                payment = await save_intent(order, created)
            if not order.row.payment_method.startswith("pm_"):
                return await _wait_for_customer(order)  # the shop's page confirms with a method of its own
            confirm = await freeze(order, "confirm", CONFIRM_PARAMS)
        try:
            intent = await self._confirm(payment.payment_intent_id, confirm)
            _check_authorized(intent)
        except PaymentDeclined as declined:
            await self._record_decline(ref, declined)
            raise
        return await self._record_authorization(ref, intent)

    @activity.defn
    async def check_payment(self, ref: OrderRef) -> Authorization:
        """Looks whether the customer has done what the card's bank asked for. Raises PaymentDeclined."""
        async with self._book.locked(ref.order_id) as order:
            order.step(AUTHORIZE)
            payment = await payment_of(order)
        if payment is None:
            raise OurMistake("there is no payment to look at")
        intent = await self._stripe.retrieve(payment.payment_intent_id)
        if intent.status == "requires_payment_method" and intent.decline_code is None:
            return Authorization(state=AuthorizationState.REQUIRES_ACTION)
        try:
            _check_authorized(intent)
        except PaymentDeclined as declined:
            await self._record_decline(ref, declined)
            raise
        return await self._record_authorization(ref, intent)

    @activity.defn
    async def capture_payment(self, ref: OrderRef) -> None:
        """Takes the money that is held: the order is ready to ship. Raises CaptureRefused when the hold is gone."""
        async with self._book.locked(ref.order_id) as order:
            order.step(SHIP)
            if order.step(CAPTURE):
                return
            payment = await payment_of(order)
            if payment is None and order.total.minor == 0:
                await _record_capture(order, 0)
                return
            if payment is None:
                raise OurMistake("there is no payment to capture")
            capture = await freeze(order, "capture", {"amount_to_capture": payment.amount_minor})
        intent = await self._capture(payment.payment_intent_id, capture)
        async with self._book.locked(ref.order_id) as order:
            if not order.step(CAPTURE):
                await _record_capture(order, intent.amount_received)

    # the far end: the same call again, or look

    async def _create(self, call: FrozenCall) -> PaymentSnapshot:
        async def look() -> PaymentSnapshot | None:
            return await self._stripe.find(call.order_id, call.first_sent_at)

        return await self._settle(call, lambda sent: self._stripe.create(sent.params, sent.key), look)

    async def _confirm(self, intent_id: str, call: FrozenCall) -> PaymentSnapshot:
        async def look() -> PaymentSnapshot | None:
            intent = await self._stripe.retrieve(intent_id)
            return None if intent.status == "requires_confirmation" else intent

        return await self._settle(call, lambda sent: self._stripe.confirm(intent_id, sent.params, sent.key), look)

    async def _capture(self, intent_id: str, call: FrozenCall) -> PaymentSnapshot:
        async def look() -> PaymentSnapshot | None:
            intent = await self._stripe.retrieve(intent_id)
            return None if intent.status == "requires_capture" else intent

        intent = await self._settle(call, lambda sent: self._stripe.capture(intent_id, sent.params, sent.key), look)
        if intent.status == "succeeded":
            return intent
        if intent.status == "canceled":
            raise CaptureRefused("authorization_gone", "the authorization was canceled or has expired")
        raise TryAgain(f"the payment is {intent.status}, not captured")

    async def _settle(self, call: FrozenCall, send: Send, look: Look) -> PaymentSnapshot:
        """The unknown-outcome protocol: the same call again, or a look; never a new key before looking.

        `look` answers None when the call has certainly not taken effect.
        """
        if call.key_may_be_pruned or activity.info().attempt > LOOK_AFTER_ATTEMPTS:
            if (seen := await look()) is not None:
                return seen
            async with self._book.locked(call.order_id) as order:
                call = await freeze_again(order, call)
        try:
            return await send(call)
        except PaymentStateDiffers:
            if (seen := await look()) is None:
                raise
            return seen

    # our books

    async def _record_authorization(self, ref: OrderRef, intent: PaymentSnapshot) -> Authorization:
        async with self._book.locked(ref.order_id) as order:
            fence = order.step(AUTHORIZE)
            waiting = fence is not None and _saved_answer(order).state is AuthorizationState.REQUIRES_ACTION
            if fence and not waiting:
                return _saved_answer(order)
            if intent.status == "requires_action":
                return (
                    Authorization(state=AuthorizationState.REQUIRES_ACTION)
                    if waiting
                    else (await _wait_for_customer(order))
                )
            payment = await payment_of(order)
            assert payment is not None
            payment.state, payment.capture_before = "authorized", intent.capture_before
            order.session.add(payment)
            return await _record_confirmed(order, "payment authorized")

    async def _record_decline(self, ref: OrderRef, declined: PaymentDeclined) -> None:
        async with self._book.locked(ref.order_id) as order:
            fence = order.step(AUTHORIZE)
            if fence and (fence.state == "refused" or _is_authorized(order)):
                return  # a late attempt: what was written since counts
            payment = await payment_of(order)
            if payment is not None:
                payment.state = "declined"
                order.session.add(payment)
            order.paid(PaymentStatus.FAILED)
            order.note(f"payment declined: {declined.detail}")
            order.mark(AUTHORIZE, "refused", {"code": declined.code, "detail": declined.detail})
            await order.emit(EventName.PAYMENT_DECLINED, reason=declined.code)


def _check_authorized(intent: PaymentSnapshot) -> None:
    """Raises unless the money is held or the customer has to act."""
    if intent.status in ("requires_capture", "requires_action", "succeeded"):
        return
    if intent.status == "requires_payment_method":
        raise PaymentDeclined(intent.decline_code or "card_declined", intent.decline_message)
    if intent.status == "canceled":
        raise PaymentDeclined("payment_canceled", "the payment was canceled before it was authorized")
    raise TryAgain(f"the payment is {intent.status}")


def _saved_answer(order: LockedOrder) -> Authorization:
    """What the step answered before; a decline is an answer too."""
    result = order.result_of(AUTHORIZE) or {}
    if order.state_of(AUTHORIZE) == "refused":
        raise PaymentDeclined(result["code"], result["detail"])
    return Authorization.model_validate(result)


def _is_authorized(order: LockedOrder) -> bool:
    return _saved_answer(order).state is AuthorizationState.AUTHORIZED


async def _record_confirmed(order: LockedOrder, what: str) -> Authorization:
    answer = Authorization(state=AuthorizationState.AUTHORIZED)
    order.paid(PaymentStatus.AUTHORIZED)
    order.move(OrderStatus.CONFIRMED, what)
    order.mark(AUTHORIZE, "done", answer.model_dump(mode="json"))
    await order.emit(EventName.PAYMENT_AUTHORIZED, EventName.ORDER_CONFIRMED)
    return answer


async def _wait_for_customer(order: LockedOrder) -> Authorization:
    answer = Authorization(state=AuthorizationState.REQUIRES_ACTION)
    payment = await payment_of(order)
    assert payment is not None
    payment.state = "requires_action"
    order.session.add(payment)
    order.paid(PaymentStatus.REQUIRES_ACTION)
    order.move(OrderStatus.AWAITING_CUSTOMER, "the customer has to complete the payment")
    order.mark(AUTHORIZE, "done", answer.model_dump(mode="json"))
    await order.emit(EventName.PAYMENT_ACTION_REQUIRED)
    return answer


async def _record_capture(order: LockedOrder, amount: int) -> None:
    payment = await payment_of(order)
    if payment is not None:
        payment.state, payment.captured_minor = "captured", amount
        order.session.add(payment)
    order.paid(PaymentStatus.CAPTURED)
    order.move(OrderStatus.READY_TO_SHIP, "payment captured")
    order.mark(CAPTURE, "done")
    await order.emit(EventName.PAYMENT_CAPTURED)
