"""Our book of an order's payments, and the calls to Stripe that are frozen before they are first sent."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, select

from adapters.clock import now
from adapters.stripe.payments import PaymentSnapshot
from domain.commands import PaymentTry
from services.orders.book import LockedOrder
from services.orders.tables import Order
from services.payments.tables import Payment, PaymentAttempt

KEY_WINDOW = timedelta(hours=23)
"""How long a key is safe to send again: Stripe prunes keys after at least 24 hours
(https://docs.stripe.com/api/idempotent_requests)."""


@dataclass(frozen=True)
class ListRead:
    """How far Stripe's list of what was created until `until` has been read: to `after`, newest first."""

    until: datetime
    after: str | None = None


@dataclass(frozen=True)
class FrozenCall:
    """A call to Stripe as it was saved before its first send: what every retry, worker and version sends."""

    order_id: str
    operation: str
    attempt: int
    params: dict[str, Any]
    first_sent_at: datetime
    round: int = 1
    given_up: bool = False  # whatever was sent of it has certainly not taken effect, and never will

    @property
    def key(self) -> str:
        """The idempotency key: of the business attempt, never of the engine's."""
        return f"{self.order_id}:{self.operation}:{self.attempt}"

    @property
    def key_may_be_pruned(self) -> bool:
        return now() - self.first_sent_at > KEY_WINDOW


async def freeze(order: LockedOrder, operation: str, params: dict[str, Any], round: int = 1) -> FrozenCall:
    """Saves the call if its round has none; returns what is saved: a former version may have written it otherwise.

    What was given up is made anew from today's parameters, as the next business attempt: frozen once more it would be
    wrong for ever, whatever is mended. With the same parameters it is sent again as it is.
    """
    latest = await frozen(order, operation)
    saved = await frozen(order, operation, round) if latest is not None and latest.round > round else latest
    anew = False
    if saved is not None and saved.round == round:
        if not saved.given_up:
            return saved
        if saved.params == params:
            await _set_refused(order, saved, None)  # what is sent from now on may take effect
            return saved
        anew = True
    attempt = latest.attempt + 1 if latest else 1
    return await _save(order, FrozenCall(order.row.order_id, operation, attempt, params, now(), round, anew))


async def give_up(order: LockedOrder, call: FrozenCall) -> None:
    """The call was refused for what was sent, and looking has shown that it has not taken effect."""
    await _set_refused(order, call, now())


async def _set_refused(order: LockedOrder, call: FrozenCall, at: datetime | None) -> None:
    key = (call.order_id, call.operation, call.attempt)
    saved = await order.session.get_one(PaymentAttempt, key)
    saved.refused_at = at
    order.session.add(saved)


async def freeze_again(order: LockedOrder, call: FrozenCall) -> FrozenCall:
    """The next business attempt of a call, with the same parameters and a key of its own.

    Only after looking has shown that the former attempts have not taken effect: Stripe keeps a failure under its
    key, so that the same key would get the same failure for a day.
    """
    latest = await frozen(order, call.operation)
    assert latest is not None
    if latest.attempt > call.attempt and latest.round == call.round:
        return latest
    return await _save(order, replace(call, attempt=latest.attempt + 1, first_sent_at=now(), given_up=False))


async def frozen(order: LockedOrder, operation: str, round: int | None = None) -> FrozenCall | None:
    """The call's latest attempt, of all rounds or of one."""
    calls = PaymentAttempt
    query = select(calls).where(calls.order_id == order.row.order_id, calls.operation == operation)
    if round is not None:
        query = query.where(calls.round == round)
    row = (await order.session.exec(query.order_by(col(calls.attempt).desc()).limit(1))).first()
    if row is None:
        return None
    given_up = row.refused_at is not None
    return FrozenCall(row.order_id, operation, row.attempt, row.params, row.first_sent_at, row.round, given_up)


async def read_so_far(order: LockedOrder, call: FrozenCall) -> ListRead:
    """Where the look for what `call` has created goes on; one that begins looks at what is there by now."""
    row = await _row_of(order, call)
    if row.look is None:
        return ListRead(until=now())
    return ListRead(until=datetime.fromisoformat(row.look["until"]), after=row.look["after"])


async def save_read(order: LockedOrder, call: FrozenCall, read: ListRead) -> None:
    row = await _row_of(order, call)
    row.look = {"until": read.until.isoformat(), "after": read.after}
    order.session.add(row)


async def _row_of(order: LockedOrder, call: FrozenCall) -> PaymentAttempt:
    key = (call.order_id, call.operation, call.attempt)
    return await order.session.get_one(PaymentAttempt, key)


async def _save(order: LockedOrder, call: FrozenCall) -> FrozenCall:
    """Under the lock of the order's row, so that there is no other writer."""
    row = asdict(call)
    del row["given_up"]
    order.session.add(PaymentAttempt(**row))
    await order.session.flush()
    return call


async def payment_of(order: LockedOrder) -> Payment | None:
    """The order's latest payment."""
    payments = Payment
    query = select(payments).where(payments.order_id == order.row.order_id).order_by(col(payments.attempt).desc())
    return (await order.session.exec(query.limit(1))).first()


async def save_intent(order: LockedOrder, intent: PaymentSnapshot, attempt: int = 1) -> Payment:
    """Remembers a PaymentIntent before it is confirmed; the same one again changes nothing."""
    known = await order.session.get(Payment, intent.id)
    if known is not None:
        return known
    payment = Payment(
        payment_intent_id=intent.id,
        order_id=order.row.order_id,
        attempt=attempt,
        state="created",
        amount_minor=intent.amount,
        currency=order.row.currency,
    )
    order.session.add(payment)
    await order.session.flush()
    return payment


async def amount_due(order: LockedOrder) -> int:
    """What the customer owes, in minor units: the lines without those that cannot be shipped."""
    return sum(line.quantity * line.unit_price_minor for line in await order.lines() if not line.dropped)


def create_params(order: LockedOrder, ref: PaymentTry, stripe_customer: str | None = None) -> dict[str, Any]:
    """A PaymentIntent that moves no money yet: unconfirmed, captured by hand, with our reference."""
    row: Order = order.row
    params: dict[str, Any] = {
        "amount": row.total_minor,
        "currency": row.currency.lower(),
        "capture_method": "manual",
        "allowed_payment_method_types": ["card"],
        "metadata": {"order_id": row.order_id, "round": str(ref.round)},
    }
    method = ref.payment_method or row.payment_method
    if method.startswith("pm_"):
        params["payment_method"] = method
    if stripe_customer is not None:
        params |= {"customer": stripe_customer, "setup_future_usage": "off_session"}
    return params


def renewal_params(order: LockedOrder, ref: PaymentTry, former: PaymentSnapshot) -> dict[str, Any]:
    """A PaymentIntent in place of one whose authorization ends, on the card that the customer let us keep."""
    params = create_params(order, ref)
    kept = {"customer": former.customer, "payment_method": former.payment_method}
    return params | kept


def confirm_params(ref: PaymentTry) -> dict[str, Any]:
    params: dict[str, Any] = {"expand": ["latest_charge"]}
    if ref.payment_method:
        params["payment_method"] = ref.payment_method
    return params


VOID_PARAMS: dict[str, Any] = {"cancellation_reason": "requested_by_customer"}
RENEWAL_CONFIRM_PARAMS: dict[str, Any] = {"expand": ["latest_charge"], "off_session": True}
