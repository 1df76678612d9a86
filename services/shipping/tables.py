"""The table of shipments: an order's label, and how far its parcel has come."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Text
from sqlmodel import Field, SQLModel

import services.orders.tables  # noqa: F401  # what foreign keys point to
from adapters.postgres.columns import maybe_time_column, time_column


class ShipmentRow(SQLModel, table=True):
    """An order's one shipment at the carrier. Its id is saved before its label is bought."""

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
