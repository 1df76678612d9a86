"""What a payment's steps write: books, timeline and events, once, under the order's lock."""

from __future__ import annotations

from adapters.stripe.payments import PaymentSnapshot
from domain.commands import Attention, Authorization, AuthorizationState, Hold, PaymentTry
from domain.errors import PaymentDeclined
from domain.events import EventName
from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus
from domain.repairs import FOREIGN_CAPTURE
from domain.steps import AT_STRIPE, AUTHORIZE, CAPTURE
from services.orders.book import LockedOrder
from services.payments.book import payment_of
from services.refunds.book import restate
from services.refunds.holds import note_hold
from services.tickets.book import open_ticket


def answered(order: LockedOrder, ref: PaymentTry) -> Authorization | None:
    """What this round, or a later one, has answered; None while it is open.

    Raises PaymentDeclined for a final decline, StepUndone where the undo was first.
    """
    if order.step(AUTHORIZE) is None:
        return None
    result = order.result_of(AUTHORIZE) or {}
    if result.get("round", 1) < ref.round:
        return None
    if order.state_of(AUTHORIZE) == "refused" and "state" not in result:
        raise PaymentDeclined(
            result["code"], result["detail"], operator=result.get("operator", ""), final=result.get("final", False)
        )
    return Authorization.model_validate(result)


def waits_for_customer(order: LockedOrder, ref: PaymentTry) -> bool:
    """Whether this round's last answer was that the customer has to act."""
    answer = answered(order, ref)
    return answer is not None and answer.round == ref.round and answer.state is AuthorizationState.REQUIRES_ACTION


async def record_authorized(
    order: LockedOrder, ref: PaymentTry, intent: PaymentSnapshot, hold: Hold | None
) -> Authorization:
    payment = await payment_of(order)
    assert payment is not None
    payment.state, payment.capture_before = "authorized", intent.capture_before
    order.session.add(payment)
    if hold is not None:  # only a look that is for that releases one: a webhook may have been faster than this
        await note_hold(order, hold)
    state = AuthorizationState.AUTHORIZED
    answer = Authorization(state=state, round=ref.round, capture_before=intent.capture_before, hold=hold)
    return await record_confirmed(order, answer, "payment authorized")


async def record_confirmed(order: LockedOrder, answer: Authorization, what: str) -> Authorization:
    """The order is CONFIRMED; one that is so already has got another authorization."""
    renewed = order.status is OrderStatus.CONFIRMED
    order.row.refusal = None
    order.paid(PaymentStatus.AUTHORIZED)
    order.move(OrderStatus.CONFIRMED, "authorization renewed" if renewed else what)
    order.mark(AUTHORIZE, "done", answer.model_dump(mode="json"))
    await order.emit(EventName.PAYMENT_AUTHORIZED, *([] if renewed else [EventName.ORDER_CONFIRMED]))
    return answer


async def record_action_needed(order: LockedOrder, ref: PaymentTry) -> Authorization:
    answer = Authorization(state=AuthorizationState.REQUIRES_ACTION, round=ref.round)
    payment = await payment_of(order)
    assert payment is not None
    payment.state = "requires_action"
    order.session.add(payment)
    order.row.refusal = None
    order.paid(PaymentStatus.REQUIRES_ACTION)
    order.move(OrderStatus.AWAITING_CUSTOMER, "the customer has to complete the payment")
    order.mark(AUTHORIZE, "done", answer.model_dump(mode="json"))
    await order.emit(EventName.PAYMENT_ACTION_REQUIRED)
    return answer


async def record_declined(order: LockedOrder, ref: PaymentTry, declined: PaymentDeclined) -> Authorization | None:
    """The answer where another payment method may follow; None for the final decline."""
    payment = await payment_of(order)
    if payment is not None:
        payment.state = "declined"
        order.session.add(payment)
    order.paid(PaymentStatus.FAILED)
    order.note(f"payment declined: {declined.detail}")
    refusal = {"code": declined.code, "detail": declined.detail}
    answer = None
    if ref.retry_until is None or declined.final:
        for_operators = {"operator": declined.operator, "final": declined.final}
        order.mark(AUTHORIZE, "refused", refusal | for_operators | {"round": ref.round})
    else:
        answer = Authorization(state=AuthorizationState.DECLINED, round=ref.round, **refusal)
        order.mark(AUTHORIZE, "refused", answer.model_dump(mode="json"))
        order.row.refusal = refusal | {"retryUntil": ref.retry_until.isoformat(timespec="seconds")}
        order.move(OrderStatus.AWAITING_CUSTOMER, "the customer may offer another payment method")
    await order.emit(EventName.PAYMENT_DECLINED, reason=declined.code)
    return answer


async def record_captured(order: LockedOrder, amount: int) -> None:
    payment = await payment_of(order)
    if payment is not None:
        payment.captured_minor = amount
        restate(order, payment)  # somebody may have captured it at Stripe, and given a part back
    else:
        order.paid(PaymentStatus.CAPTURED)
    order.move(OrderStatus.READY_TO_SHIP, "payment captured")
    order.mark(CAPTURE, "done")
    part = Money(minor=amount, currency=order.row.currency) if amount != order.row.total_minor else None
    await order.emit(EventName.PAYMENT_CAPTURED, amount=part)


async def tell_foreign_capture(order: LockedOrder, intent: PaymentSnapshot, due: int) -> None:
    """Somebody captured at Stripe, and another amount than is due: what is missing, or too much, is for a person."""
    if intent.amount_received == due:
        return
    taken, asked = (Money(minor=minor, currency=order.row.currency) for minor in (intent.amount_received, due))
    about = f"{taken} of payment {intent.id} were captured at Stripe, {asked} are due"
    ticket = Attention(order_id=order.row.order_id, step=AT_STRIPE, kind=FOREIGN_CAPTURE, detail=about)
    await open_ticket(order, ticket, subject=intent.id, seen=intent.of_order(order.row.order_id).known)
