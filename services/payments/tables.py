"""The tables of payments.

- A second live payment is impossible: a partial unique index on `payments`.
- Two forms of one money effect are impossible: `payment_attempts` saves the parameters before the first send.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

import services.orders.tables  # noqa: F401  # what foreign keys point to
from adapters.postgres.columns import bigint_column, json_column, maybe_time_column, time_column


class PaymentAttempt(SQLModel, table=True):
    """What is sent to Stripe, saved before the first send; every retry sends this row, not its own idea of it."""

    __tablename__ = "payment_attempts"

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", sa_type=Text)
    operation: str = Field(primary_key=True, sa_type=Text)
    attempt: int = Field(primary_key=True)  # the business attempt, never the engine's
    # Which payment it belongs to, counted over the customer's cards and renewed authorizations: within one round
    # the parameters stay the same, a new round has its own.
    round: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    params: dict[str, Any] = json_column()
    first_sent_at: datetime = time_column()
    look: dict[str, Any] | None = json_column(default=None, nullable=True)  # how far Stripe's list has been read
    refused_at: datetime | None = maybe_time_column()  # it has not taken effect: the next attempt may differ


class Payment(SQLModel, table=True):
    """Our book of one PaymentIntent; amounts in minor units."""

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("order_id", "attempt"),
        CheckConstraint("captured_minor BETWEEN 0 AND amount_minor", name="captured_within_amount"),
        CheckConstraint("refunded_minor BETWEEN 0 AND captured_minor", name="refunded_within_captured"),
        CheckConstraint(
            "state IN ('created', 'requires_action', 'authorized', 'captured', 'voided', 'refunded', 'declined')",
            name="state_known",
        ),
        Index(
            "uq_payments_one_live_per_order",
            "order_id",
            unique=True,
            postgresql_where=text("state IN ('created', 'requires_action', 'authorized', 'captured')"),
        ),
    )

    payment_intent_id: str = Field(primary_key=True, sa_type=Text)
    order_id: str = Field(foreign_key="orders.order_id", sa_type=Text)
    attempt: int = 1
    state: str = Field(sa_type=Text)
    amount_minor: int = Field(sa_type=BigInteger)
    captured_minor: int = bigint_column()
    refunded_minor: int = bigint_column()
    currency: str = Field(sa_type=Text)
    capture_before: datetime | None = maybe_time_column()
    updated_at: datetime = time_column()
