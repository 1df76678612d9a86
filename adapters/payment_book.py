"""Our book of an order's payments, and the calls to Stripe that are frozen before they are first sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from adapters import saga_tables, tables
from adapters.columns import now
from adapters.order_book import LockedOrder
from adapters.stripe_gateway import PaymentSnapshot

KEY_WINDOW = timedelta(hours=23)
"""How long a key is safe to send again: Stripe prunes keys after at least 24 hours
(https://docs.stripe.com/api/idempotent_requests)."""


@dataclass(frozen=True)
class FrozenCall:
    """A call to Stripe as it was saved before its first send: what every retry, worker and version sends."""

    order_id: str
    operation: str
    attempt: int
    params: dict[str, Any]
    first_sent_at: datetime

    @property
    def key(self) -> str:
        """The idempotency key: of the business attempt, never of the engine's."""
        return f"{self.order_id}:{self.operation}:{self.attempt}"

    @property
    def key_may_be_pruned(self) -> bool:
        return now() - self.first_sent_at > KEY_WINDOW


async def freeze(order: LockedOrder, operation: str, params: dict[str, Any], attempt: int = 1) -> FrozenCall:
    """Saves the call if it is new and returns what is saved, which a former version may have written otherwise."""
    row = {"order_id": order.row.order_id, "operation": operation, "attempt": attempt}
    new = {**row, "params": params, "first_sent_at": now()}
    await (await order.session.connection()).execute(
        insert(saga_tables.PaymentAttempt).values(new).on_conflict_do_nothing()
    )
    saved = await frozen(order, operation, attempt)
    assert saved is not None
    return saved


async def frozen(order: LockedOrder, operation: str, attempt: int = 1) -> FrozenCall | None:
    key = (order.row.order_id, operation, attempt)
    row = await order.session.get(saga_tables.PaymentAttempt, key)
    return FrozenCall(*key, row.params, row.first_sent_at) if row else None


async def payment_of(order: LockedOrder) -> saga_tables.Payment | None:
    """The order's latest payment."""
    payments = saga_tables.Payment
    query = select(payments).where(payments.order_id == order.row.order_id).order_by(col(payments.attempt).desc())
    return (await order.session.exec(query.limit(1))).first()


async def save_intent(order: LockedOrder, intent: PaymentSnapshot, attempt: int = 1) -> saga_tables.Payment:
    """Remembers a PaymentIntent before it is confirmed; the same one again changes nothing."""
    known = await order.session.get(saga_tables.Payment, intent.id)
    if known is not None:
        return known
    payment = saga_tables.Payment(
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


def create_params(order: LockedOrder) -> dict[str, Any]:
    """A PaymentIntent that moves no money yet: unconfirmed, captured by hand, with our reference."""
    row: tables.Order = order.row
    params: dict[str, Any] = {
        "amount": row.total_minor,
        "currency": row.currency.lower(),
        "capture_method": "manual",
        "allowed_payment_method_types": ["card"],
        "metadata": {"order_id": row.order_id},
    }
    if row.payment_method.startswith("pm_"):
        params["payment_method"] = row.payment_method
    return params
