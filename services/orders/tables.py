"""The tables of orders and of their steps: what must never happen is forbidden here, whatever the code does.

A forbidden transition: the timeline is a gapless chain (each row's `from_status` is the `to_status` of the row
before it), each link is one of `order_transitions`, and an order's status and version are those of a row of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

import services.catalogue.tables  # what foreign keys point to
import services.customers.tables  # noqa: F401  # what foreign keys point to
from adapters.postgres.columns import (
    amount_column,
    bigint_column,
    json_column,
    maybe_json_column,
    maybe_texts_column,
    maybe_time_column,
    time_column,
)
from domain.order_states import PaymentStatus
from domain.pricing.totals import AdjustmentKind
from domain.pricing.units import Paid
from domain.steps import FenceState


class Order(SQLModel, table=True):
    """An order as it stands; money in minor units of `currency`, total and lines at the prices of the checkout."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("total_minor >= 0", name="total_not_negative"),
        CheckConstraint(
            "total_minor = subtotal_minor - discount_minor + shipping_fee_minor + added_tax_minor",
            name="total_is_its_parts",
        ),
        CheckConstraint(
            "discount_minor >= 0 AND shipping_fee_minor >= 0 AND added_tax_minor >= 0", name="parts_not_negative"
        ),
        CheckConstraint(
            "payment_status IN (" + ", ".join(f"'{status}'" for status in PaymentStatus) + ")",
            name="payment_status_known",
        ),
        ForeignKeyConstraint(
            ["order_id", "version", "status"],
            ["timeline.order_id", "timeline.sequence", "timeline.to_status"],
            name="fk_orders_status_is_the_timelines_last",
            use_alter=True,
            deferrable=True,
            initially="DEFERRED",
        ),
        Index("uq_orders_placed_by_idempotency_key", "placed_by", "idempotency_key", unique=True),
        # Orders from before it was known who placed them.
        Index(
            "uq_orders_customer_id_idempotency_key_unnamed",
            "customer_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("placed_by IS NULL"),
        ),
        Index(
            "uq_orders_cart_id",
            "cart_id",
            unique=True,
            postgresql_where=text("cart_id IS NOT NULL AND status <> 'REJECTED'"),
        ),
        Index("ix_orders_created_at_order_id", text("created_at DESC"), text("order_id DESC")),
        Index("ix_orders_customer_id_created_at", "customer_id", text("created_at DESC")),
        Index("ix_orders_status_created_at", "status", text("created_at DESC")),
        Index("ix_orders_status_updated_at_order_id", "status", "updated_at", "order_id"),
        Index(
            "ix_orders_clear",
            "order_id",
            postgresql_where=text("jsonb_typeof(shipping_address) = 'object' OR metadata <> '{}'"),
        ),  # what is still to be sealed
        Index("ix_orders_waits_for", text("(waits_for ->> 'cause')"), postgresql_where=text("waits_for IS NOT NULL")),
    )

    order_id: str = Field(primary_key=True, sa_type=Text)
    customer_id: str = Field(foreign_key="customers.customer_id", sa_type=Text)
    placed_by: str | None = Field(default=None, sa_type=Text)  # the principal, to whom the key belongs
    idempotency_key: str | None = Field(default=None, sa_type=Text)
    fingerprint: str = Field(sa_type=Text)  # of the client's body: the same key with another body is refused
    status: str = Field(sa_type=Text)
    payment_status: str = Field(sa_type=Text)
    currency: str = Field(sa_type=Text)
    total_minor: int = Field(sa_type=BigInteger)
    # What made the total, frozen (docs/money.md): the lines before discounts, None of an order from before it was
    # kept; all discounts; the fee before its discount; tax that prices do not contain.
    subtotal_minor: int | None = Field(default=None, sa_type=BigInteger)
    discount_minor: int = amount_column()
    shipping_fee_minor: int = amount_column()
    added_tax_minor: int = amount_column()
    coupon_codes: list[str] | None = maybe_texts_column()  # those that took something off; used up with the stock
    shipping_option: str | None = Field(default=None, sa_type=Text)
    shipping_service: str | None = Field(default=None, sa_type=Text)  # what the label has to be bought as
    payment_method: str = Field(sa_type=Text)
    # In clear only in rows from before the sealing, like `metadata` (`private_fields.py`).
    shipping_address: dict[str, Any] | None = json_column(default=None, nullable=True)
    address_sealed: str | None = Field(default=None, sa_type=Text)  # without the phone
    contact_sealed: str | None = Field(default=None, sa_type=Text)  # the phone, and what the shop attached
    ship_not_before: datetime | None = maybe_time_column()
    order_metadata: dict[str, str] = Field(default_factory=dict, sa_column=Column("metadata", JSONB, nullable=False))
    # That it was placed from; by its id only, since carts are an area above this one.
    cart_id: str | None = Field(default=None, sa_type=Text)
    needs_attention: bool = False
    hold: str | None = Field(default=None, sa_type=Text)  # of `domain.commands.Hold`: unshipped goods stay here
    # {"code", "detail"} of a REJECTED order; with "retryUntil" of one that waits for another payment method
    refusal: dict[str, str] | None = json_column(default=None, nullable=True)
    # {"cause", "farEnd", "code", "step", "called"} while a step waits for a fault of ours (`services/tickets/`)
    waits_for: dict[str, Any] | None = maybe_json_column()
    version: int = bigint_column(1)  # the sequence of the last timeline row
    event_sequence: int = bigint_column(0)
    created_at: datetime = time_column()
    updated_at: datetime = time_column()


class OrderLine(SQLModel, table=True):
    """All pieces of one product in an order, at the name and price of the checkout."""

    __tablename__ = "order_lines"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("unit_price_minor >= 0", name="price_not_negative"),
        CheckConstraint("discount_minor BETWEEN 0 AND quantity * unit_price_minor", name="discount_within_price"),
        CheckConstraint("tax_minor >= 0", name="tax_not_negative"),
        Index("ix_order_lines_product_id_ordered_at", "product_id", text("ordered_at DESC")),
    )

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", sa_type=Text)
    product_id: str = Field(primary_key=True, foreign_key="products.product_id", sa_type=Text)
    line_number: int
    name: str = Field(sa_type=Text)
    quantity: int = Field(sa_type=BigInteger)
    unit_price_minor: int = Field(sa_type=BigInteger)
    dropped: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # cannot be shipped
    discount_minor: int = amount_column()
    tax_minor: int = amount_column()
    tax_rate_ppm: int | None = Field(default=None, sa_type=BigInteger)  # parts per million; None: nothing is taxed
    tax_inclusive: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    # The order's `created_at`, so that the newest orders of a product are one range of an index.
    ordered_at: datetime = time_column(sa_column_kwargs={"server_default": text("now()")})

    @property
    def paid(self) -> Paid:
        """What the customer pays for it: its price less its discount, and the tax that comes on top."""
        net = self.quantity * self.unit_price_minor - self.discount_minor
        return Paid(net, 0 if self.tax_inclusive else self.tax_minor, self.quantity)


class OrderAdjustment(SQLModel, table=True):
    """One part of an order's total beside its prices, frozen: in minor units, whose it is, and of which line.

    A discount lies on a line, or, of shipping, on none. A fee is on no line. A tax is that of a line or of the fee,
    with its rate; an inclusive one is part of the price. They add up to the columns of the order and of its lines.
    """

    __tablename__ = "order_adjustments"
    __table_args__ = (
        CheckConstraint("kind IN (" + ", ".join(f"'{kind}'" for kind in AdjustmentKind) + ")", name="kind_known"),
        CheckConstraint("amount_minor >= 0", name="amount_not_negative"),
        CheckConstraint("(kind = 'tax') = (rate_ppm IS NOT NULL)", name="only_tax_has_a_rate"),
        ForeignKeyConstraint(
            ["order_id", "product_id"],
            ["order_lines.order_id", "order_lines.product_id"],
            name="fk_order_adjustments_line",
        ),
    )

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", sa_type=Text)
    number: int = Field(primary_key=True)
    kind: str = Field(sa_type=Text)
    product_id: str | None = Field(default=None, sa_type=Text)
    source: str = Field(
        sa_type=Text
    )  # a promotion's id, a shipping option, a place and category of tax, a quote's id
    name: str = Field(default="", sa_type=Text)  # of the promotion, as it was
    code: str | None = Field(default=None, sa_type=Text)  # of the coupon
    amount_minor: int = Field(sa_type=BigInteger)
    rate_ppm: int | None = Field(default=None, sa_type=BigInteger)
    inclusive: bool = False


class OrderTransition(SQLModel, table=True):
    """Reference data, written by the migration from `domain.order_states`."""

    __tablename__ = "order_transitions"

    from_status: str = Field(primary_key=True, sa_type=Text)
    to_status: str = Field(primary_key=True, sa_type=Text)


class TimelineEntry(SQLModel, table=True):
    """What happened to an order: one row each, numbered from 1 without gaps, never changed."""

    __tablename__ = "timeline"
    __table_args__ = (
        UniqueConstraint("order_id", "sequence", "to_status"),
        CheckConstraint("previous = sequence - 1", name="no_gaps"),
        CheckConstraint("(sequence = 1) = (from_status IS NULL)", name="only_the_first_has_no_from"),
        CheckConstraint("sequence > 1 OR to_status = 'PLACED'", name="begins_placed"),
        ForeignKeyConstraint(
            ["from_status", "to_status"],
            ["order_transitions.from_status", "order_transitions.to_status"],
            name="fk_timeline_transition_is_allowed",
        ),
        ForeignKeyConstraint(
            ["order_id", "previous", "from_status"],
            ["timeline.order_id", "timeline.sequence", "timeline.to_status"],
            name="fk_timeline_follows_the_row_before",
        ),
    )

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", sa_type=Text)
    sequence: int = Field(primary_key=True, sa_type=BigInteger)
    previous: int = Field(sa_type=BigInteger)
    at: datetime = time_column()
    from_status: str | None = Field(default=None, sa_type=Text)
    to_status: str = Field(sa_type=Text)
    what: str = Field(sa_type=Text)
    # The texts for the places in `what`, in their order (`domain/texts.py`).
    text_ids: list[str] | None = maybe_texts_column()
    by: str | None = Field(default=None, sa_type=Text)


class OrderStep(SQLModel, table=True):
    """The fences: whether a step of an order was done, refused or undone, and what it answered."""

    __tablename__ = "order_steps"
    __table_args__ = (
        CheckConstraint("state IN (" + ", ".join(f"'{state}'" for state in FenceState) + ")", name="state_known"),
    )

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", sa_type=Text)
    step: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    result: dict[str, Any] | None = json_column(default=None, nullable=True)
    updated_at: datetime = time_column()


class CancelWish(SQLModel, table=True):
    """Who wished to cancel which order, and the code of the rule that decided."""

    __tablename__ = "cancel_wishes"

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", sa_type=Text)
    wish_id: str = Field(primary_key=True, sa_type=Text)
    by: str = Field(sa_type=Text)
    code: str = Field(sa_type=Text)
    at: datetime = time_column()
