"""The tables of the saga's steps, of money and parcels, and of what comes in and goes out (tickets: `repair_tables`).

- A second live payment is impossible: a partial unique index on `payments`.
- Two forms of one money effect are impossible: `payment_attempts` freezes the parameters before the first send.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from adapters import tracing
from adapters.columns import bigint_column, json_column, maybe_time_column, time_column


class OrderStep(SQLModel, table=True):
    """The fences: whether a step of an order was done, refused or undone, and what it answered."""

    __tablename__ = "order_steps"
    __table_args__ = (CheckConstraint("state IN ('done', 'refused', 'undone')", name="state_known"),)

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", sa_type=Text)
    step: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    result: dict[str, Any] | None = json_column(default=None, nullable=True)
    updated_at: datetime = time_column()


class Reservation(SQLModel, table=True):
    __tablename__ = "reservations"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("state IN ('held', 'released', 'shipped')", name="state_known"),
        ForeignKeyConstraint(
            ["order_id", "product_id"],
            ["order_lines.order_id", "order_lines.product_id"],
            name="fk_reservations_line",
        ),
        Index(
            "ix_reservations_held_pieces",
            "product_id",
            "order_id",
            postgresql_include=["quantity"],
            postgresql_where=text("state = 'held'"),
        ),
    )

    order_id: str = Field(primary_key=True, sa_type=Text)
    product_id: str = Field(primary_key=True, sa_type=Text)
    quantity: int = Field(sa_type=BigInteger)
    state: str = Field(sa_type=Text)


class PaymentAttempt(SQLModel, table=True):
    """What is sent to Stripe, frozen before the first send; every retry sends this row, not its own idea of it."""

    __tablename__ = "payment_attempts"

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", sa_type=Text)
    operation: str = Field(primary_key=True, sa_type=Text)
    attempt: int = Field(primary_key=True)  # the business attempt, never the engine's
    # Which payment it belongs to, counted over the customer's cards and renewed authorizations: within one round
    # the parameters are frozen, a new round has its own.
    round: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    params: dict[str, Any] = json_column()
    first_sent_at: datetime = time_column()
    look: dict[str, Any] | None = json_column(default=None, nullable=True)  # how far Stripe's list has been read
    refused_at: datetime | None = maybe_time_column()  # it has certainly not taken effect: the next one is made anew


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


class Refund(SQLModel, table=True):
    """A part of the captured money that is given back, by an operator or by somebody at Stripe; in minor units."""

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("state IN ('asked', 'pending', 'succeeded', 'failed')", name="state_known"),
        Index("ix_refunds_unsettled", "updated_at", postgresql_where=text("state IN ('asked', 'pending')")),
    )

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)  # the Idempotency-Key of who asked
    amount_minor: int = Field(sa_type=BigInteger)
    reason: str = Field(default="", sa_type=Text)  # of rows from before `reason_id`
    reason_id: str | None = Field(default=None, sa_type=Text)  # of a text
    by: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    stripe_refund_id: str | None = Field(default=None, sa_type=Text)
    payment_intent_id: str | None = Field(default=None, sa_type=Text)  # of one that was given at Stripe, not by us
    detail: str | None = Field(default=None, sa_type=Text)  # why it failed
    created_at: datetime = time_column()
    updated_at: datetime = time_column()  # of its state, or when a sweep last saw to its workflow


class ShipmentRow(SQLModel, table=True):
    __tablename__ = "shipments"
    __table_args__ = (
        CheckConstraint("state IN ('created', 'buying', 'bought', 'void_requested', 'voided')", name="state_known"),
    )

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", sa_type=Text)
    shipment_id: str = Field(sa_type=Text, unique=True)
    state: str = Field(sa_type=Text)
    buy_sent_at: datetime | None = maybe_time_column()
    buy_deadline: datetime | None = maybe_time_column()  # no purchase is sent after it, or waited for
    void_requested_at: datetime | None = maybe_time_column()
    refused_at: datetime | None = maybe_time_column()  # the purchase, for what was sent: another shipment takes over
    carrier: str | None = Field(default=None, sa_type=Text)
    tracking_number: str | None = Field(default=None, sa_type=Text)
    parcel_status: str = Field(default="unknown", sa_type=Text)
    updated_at: datetime = time_column()


class OutboxEvent(SQLModel, table=True):
    """An event that waits for the relay; written in the transaction of what it tells."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("source", "subject", "sequence"),
        Index("ix_outbox_unpublished", "id", postgresql_where=text("published_at IS NULL")),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    event_id: str = Field(sa_type=Text, unique=True)
    type: str = Field(sa_type=Text)
    source: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    sequence: int = Field(sa_type=BigInteger)
    time: datetime = time_column()
    traceparent: str | None = Field(default_factory=tracing.traceparent, sa_type=Text)
    data: dict[str, Any] = json_column()
    published_at: datetime | None = maybe_time_column()


class InboxEvent(SQLModel, table=True):
    """A webhook event, stored once; ids only, since the current state is retrieved and bodies hold personal data."""

    __tablename__ = "webhook_inbox"
    __table_args__ = (
        Index("ix_webhook_inbox_unprocessed", "received_at", postgresql_where=text("processed_at IS NULL")),
    )

    source: str = Field(primary_key=True, sa_type=Text)  # "stripe" or "carrier"
    event_id: str = Field(primary_key=True, sa_type=Text)
    type: str = Field(sa_type=Text)
    object_id: str = Field(sa_type=Text)  # the PaymentIntent or the carrier's shipment
    received_at: datetime = time_column()
    attempted_at: datetime = time_column()  # when a process last took it on: others leave it alone for a while
    processed_at: datetime | None = maybe_time_column()
    last_error: str | None = Field(default=None, sa_type=Text)
