"""How a round of an order's payment ended: authorized, waiting for the customer, or declined.

Each function writes payment, timeline, fence and events together, under the order's lock. The fence's result is the
answer that a repeat of the round gets.
"""

from __future__ import annotations

from adapters.stripe.payments import PaymentSnapshot
from domain.commands import Authorization, AuthorizationState, Hold, PaymentTry
from domain.errors import PaymentDeclined
from domain.events import EventName
from domain.order_states import OrderStatus, PaymentStatus
from domain.payments import PaymentState
from domain.steps import AUTHORIZE, FenceState
from services.orders.book import LockedOrder
from services.payments.book import note_state, payment_of
from services.payments.holds import write_hold


def answered(order: LockedOrder, ref: PaymentTry) -> Authorization | None:
    """What this round, or a later one, has answered; None while it is open.

    Raises PaymentDeclined for a final decline, StepUndone where the undo was first.
    """
    order.require_not_undone(AUTHORIZE)
    if order.state_of(AUTHORIZE) is None:
        return None
    result = order.result_of(AUTHORIZE) or {}
    if result.get("round", 1) < ref.round:
        return None
    if order.state_of(AUTHORIZE) is FenceState.REFUSED and "state" not in result:
        raise PaymentDeclined(
            result["code"], result["detail"], operator=result.get("operator", ""), final=result.get("final", False)
        )
    return Authorization.model_validate(result)


def waits_for_customer(order: LockedOrder, ref: PaymentTry) -> bool:
    """Whether this round's last answer was that the customer has to act."""
    answer = answered(order, ref)
    return answer is not None and answer.round == ref.round and answer.state is AuthorizationState.REQUIRES_ACTION


def present_authorization(order: LockedOrder) -> Authorization:
    """The last answer of any round; of an order that has none, that it is authorized: there was nothing to pay."""
    return Authorization.model_validate(order.result_of(AUTHORIZE) or {"state": AuthorizationState.AUTHORIZED})


async def record_authorized(
    order: LockedOrder, ref: PaymentTry, intent: PaymentSnapshot, hold: Hold | None
) -> Authorization:
    """The bank holds the money: the order is CONFIRMED. `hold` keeps its goods here."""
    payment = payment_of(order)
    assert payment is not None
    payment.capture_before = intent.capture_before
    note_state(order, payment, PaymentState.AUTHORIZED)
    if hold is not None:  # only a look that is for that releases one: a webhook may have been faster than this
        await write_hold(order, hold)
    state = AuthorizationState.AUTHORIZED
    answer = Authorization(state=state, round=ref.round, capture_before=intent.capture_before, hold=hold)
    return await record_confirmed(order, answer, "payment authorized")


async def record_confirmed(order: LockedOrder, answer: Authorization, what: str) -> Authorization:
    """The order is CONFIRMED; one that is so already has got another authorization."""
    renewed = order.status is OrderStatus.CONFIRMED
    order.row.refusal = None
    order.paid(PaymentStatus.AUTHORIZED)
    order.move(OrderStatus.CONFIRMED, "authorization renewed" if renewed else what)
    order.mark(AUTHORIZE, FenceState.DONE, answer.model_dump(mode="json"))
    order.emit(EventName.PAYMENT_AUTHORIZED, *([] if renewed else [EventName.ORDER_CONFIRMED]))
    return answer


async def record_action_needed(order: LockedOrder, ref: PaymentTry) -> Authorization:
    """The customer has to act, e.g. 3-D Secure: the order is AWAITING_CUSTOMER."""
    answer = Authorization(state=AuthorizationState.REQUIRES_ACTION, round=ref.round)
    payment = payment_of(order)
    assert payment is not None
    note_state(order, payment, PaymentState.REQUIRES_ACTION)
    order.row.refusal = None
    order.paid(PaymentStatus.REQUIRES_ACTION)
    order.move(OrderStatus.AWAITING_CUSTOMER, "the customer has to complete the payment")
    order.mark(AUTHORIZE, FenceState.DONE, answer.model_dump(mode="json"))
    order.emit(EventName.PAYMENT_ACTION_REQUIRED)
    return answer


async def record_declined(order: LockedOrder, ref: PaymentTry, declined: PaymentDeclined) -> Authorization | None:
    """The answer where another payment method may follow; None for the final decline."""
    payment = payment_of(order)
    if payment is not None:
        note_state(order, payment, PaymentState.DECLINED)
    order.paid(PaymentStatus.FAILED)
    order.note(f"payment declined: {declined.detail}")
    refusal = {"code": declined.code, "detail": declined.detail}
    answer = None
    if ref.retry_until is None or declined.final:
        for_operators = {"operator": declined.operator, "final": declined.final}
        order.mark(AUTHORIZE, FenceState.REFUSED, refusal | for_operators | {"round": ref.round})
    else:
        answer = Authorization(state=AuthorizationState.DECLINED, round=ref.round, **refusal)
        order.mark(AUTHORIZE, FenceState.REFUSED, answer.model_dump(mode="json"))
        order.row.refusal = refusal | {"retryUntil": ref.retry_until.isoformat(timespec="seconds")}
        order.move(OrderStatus.AWAITING_CUSTOMER, "the customer may offer another payment method")
    order.emit(EventName.PAYMENT_DECLINED, reason=declined.code)
    return answer
