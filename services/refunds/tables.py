"""The table of refunds: parts of the captured money that were given back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

import services.orders.tables  # noqa: F401  # what foreign keys point to
from adapters.postgres.columns import time_column


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


class RefundLine(SQLModel, table=True):
    """The pieces of a product that a refund pays back, and what they are worth in minor units.

    What the refund is above its lines is the shipping fee: it goes back with the last piece of the order.
    """

    __tablename__ = "refund_lines"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("amount_minor >= 0", name="amount_not_negative"),
        ForeignKeyConstraint(["order_id", "key"], ["refunds.order_id", "refunds.key"], name="fk_refund_lines_refund"),
    )

    order_id: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    product_id: str = Field(primary_key=True, sa_type=Text)
    quantity: int = Field(sa_type=BigInteger)
    amount_minor: int = Field(sa_type=BigInteger)
