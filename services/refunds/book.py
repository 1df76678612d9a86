"""Our book of goodwill refunds: a row's state is the fence, so that its end is written once."""

from __future__ import annotations

from typing import Any

from sqlmodel import col, select

from adapters.clock import now
from adapters.stripe.errors import NOTHING_LEFT, RefundRefused
from adapters.stripe.refunds import GivenRefund
from domain.commands import Attention, Hold
from domain.errors import OurMistake
from domain.events import EventName
from domain.money import Money
from domain.payments import PaymentState
from domain.refunds import RefundState, operation_of
from domain.repairs import REFUND_FAILED
from domain.steps import CAPTURE, RETURN, FenceState
from domain.texts import PLACE
from services.orders.book import LockedOrder
from services.payments.book import note_refunded_sum, payment_known, payment_of
from services.payments.returns import is_undone
from services.payments.saved_calls import SavedCall, save_call, saved_call
from services.payments.tables import Payment
from services.refunds.tables import Refund
from services.tickets.book import open_ticket


async def refund_of(order: LockedOrder, key: str) -> Refund | None:
    """The order's refund that was asked for with that Idempotency-Key."""
    return await order.session.get(Refund, (order.row.order_id, key))


async def refunds_of(order: LockedOrder) -> list[Refund]:
    """Oldest first."""
    query = select(Refund).where(Refund.order_id == order.row.order_id)
    return list(await order.session.exec(query.order_by(col(Refund.created_at), col(Refund.key))))


async def refundable(order: LockedOrder, payment: Payment) -> int:
    """What is left of the captured money, in minor units; refunds that are under way count as given."""
    promised = sum(row.amount_minor for row in await refunds_of(order) if row.state != RefundState.FAILED)
    return payment.captured_minor - max(promised, payment.refunded_minor)


async def sent_unseen(order: LockedOrder) -> bool:
    """Whether a refund may be on its way to Stripe without being in Stripe's list yet.

    For an undo that is about to give back the rest: it looks at the list, and would count such a refund twice.
    """
    asked = [row for row in await refunds_of(order) if row.state == RefundState.ASKED]
    calls = [saved_call(order, operation_of(row.key)) for row in asked]
    return any(call is not None for call in calls)


def refund_params(order: LockedOrder, row: Refund, payment: Payment) -> dict[str, Any]:
    """The operator's words stay here: they may name a customer."""
    return {
        "payment_intent": payment.payment_intent_id,
        "amount": row.amount_minor,
        "metadata": {"order_id": row.order_id, "operation": operation_of(row.key)},
    }


async def save_refund_call(order: LockedOrder, row: Refund) -> SavedCall | None:
    """The refund's call as it is saved; None when the refund failed before it was ever sent.

    The order may have changed since the refund was asked for. Raises OurMistake for an order without a payment.
    """
    if (saved := saved_call(order, operation_of(row.key))) is not None:
        return saved
    if order.state_of(CAPTURE) is FenceState.UNDONE:
        why = "the order was canceled meanwhile, which gives back the whole payment"
        await fail(order, row, why, ticket=False)
        return None
    if order.row.hold == Hold.DISPUTE:
        await fail(order, row, "the payment is disputed: the bank decides who has the money")
        return None
    payment = payment_of(order)
    if payment is None:
        raise OurMistake("there is no payment to give back")
    return save_call(order, operation_of(row.key), refund_params(order, row, payment))


async def record_refusal(order: LockedOrder, row: Refund, refused: RefundRefused) -> None:
    """Stripe has refused the refund as such. Nobody is called where everything was given back meanwhile."""
    if row.state != RefundState.ASKED:
        return
    if refused.code == NOTHING_LEFT:
        await fail(order, row, "the whole payment was given back meanwhile", ticket=False)
    else:
        await fail(order, row, refused.detail)


async def fail(order: LockedOrder, row: Refund, detail: str, *, ticket: bool = True) -> None:
    """No money went back. A refund that had succeeded before is taken off the books again."""
    if row.state == RefundState.SUCCEEDED:
        await _take_off(order, row)
    _settle(order, row, RefundState.FAILED)
    row.detail = detail
    order.note(f"refund of {_amount(order, row)} failed: {detail}", by="saga")
    if ticket:
        await _tell_failed(order, row, f"refund {row.key} of {_amount(order, row)} failed: {detail}")


async def _tell_failed(order: LockedOrder, row: Refund, about: str) -> None:
    """The ticket stands under the refund, or under the undo where that has counted the refund as its own."""
    payment = _payment(order, row)
    counted = payment is not None and is_undone(order, payment)
    step, subject = (RETURN, payment.payment_intent_id) if payment and counted else (operation_of(row.key), None)
    ticket = Attention(order_id=row.order_id, step=step, kind=REFUND_FAILED, detail=about)
    await open_ticket(order, ticket, subject=subject)


async def record(order: LockedOrder, row: Refund, given: GivenRefund) -> None:
    """What Stripe says of the refund now. A repeat writes nothing, and neither does old news."""
    if row.state == RefundState.FAILED or (row.state == RefundState.SUCCEEDED and not given.failed):
        return
    row.stripe_refund_id = given.id
    if given.failed:
        why = given.failure_reason or given.status
        await fail(order, row, f"Stripe says {why}: the customer has to be paid back another way")
    elif given.succeeded:
        await _succeed(order, row)
    elif row.state == RefundState.ASKED:
        _settle(order, row, RefundState.PENDING)


async def _succeed(order: LockedOrder, row: Refund) -> None:
    """Books the refund, unless an undo that gave everything back has counted it."""
    _settle(order, row, RefundState.SUCCEEDED)
    foreign, amount = row.payment_intent_id is not None, _amount(order, row)
    why, quoted = (PLACE, [row.reason_id]) if row.reason_id else (row.reason, [])
    what = f"refunded at Stripe: {amount}" if foreign else f"refunded {amount}: {why}"
    order.note(what, by=row.by, texts=[] if foreign else quoted)
    payment = _payment(order, row)
    if payment is None or payment.state == PaymentState.REFUNDED:
        return
    payment.refunded_minor += row.amount_minor
    note_refunded_sum(order, payment)
    ours = row.reason if foreign else None  # words of ours, unlike what an operator wrote
    order.emit(EventName.PAYMENT_REFUNDED, reason=ours, reason_id=row.reason_id, amount=amount)


def _payment(order: LockedOrder, row: Refund) -> Payment | None:
    """The one that the refund was sent for, which is not the order's latest for ever; None before it was sent."""
    if row.payment_intent_id is not None:
        return payment_known(order, row.payment_intent_id)
    call = saved_call(order, operation_of(row.key))
    return payment_known(order, call.params["payment_intent"]) if call else None


async def _take_off(order: LockedOrder, row: Refund) -> None:
    payment = _payment(order, row)
    if payment is None or is_undone(order, payment):
        return  # an undo gave everything back: the ticket says that it did not arrive
    payment.refunded_minor -= row.amount_minor
    note_refunded_sum(order, payment)


def _settle(order: LockedOrder, row: Refund, state: RefundState) -> None:
    row.state, row.updated_at = state.value, now()
    order.session.add(row)


def _amount(order: LockedOrder, row: Refund) -> Money:
    return Money(minor=row.amount_minor, currency=order.row.currency)
