"""The tables of carts: rows and no workflow, since most carts lead to no order."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

import services.catalogue.tables
import services.customers.tables
import services.orders.tables  # noqa: F401  # what foreign keys point to
from adapters.postgres.columns import bigint_column, maybe_time_column, time_column
from domain.carts import CartState
from domain.limits import MAX_QUANTITY

OPEN = text("state = 'open'")


class Cart(SQLModel, table=True):
    """A cart; `currency` is that of its lines, and None while it is empty. It keeps no total."""

    __tablename__ = "carts"
    __table_args__ = (
        CheckConstraint("state IN (" + ", ".join(f"'{state}'" for state in CartState) + ")", name="state_known"),
        CheckConstraint("(state = 'ordered') = (order_id IS NOT NULL)", name="only_ordered_has_an_order"),
        Index("uq_carts_open_of_customer", "customer_id", unique=True, postgresql_where=OPEN),
        Index("ix_carts_customer_id", "customer_id", postgresql_where=text("customer_id IS NOT NULL")),
        Index("ix_carts_state_touched_at_cart_id", "state", "touched_at", "cart_id"),
        Index("ix_carts_guests", "touched_at", postgresql_where=text("state = 'open' AND customer_id IS NULL")),
        Index("ix_carts_empty", "touched_at", postgresql_where=text("state = 'open' AND currency IS NULL")),
        Index(
            "ix_carts_left",
            "touched_at",
            postgresql_where=text("state = 'open' AND currency IS NOT NULL AND abandoned_at IS NULL"),
        ),
    )

    cart_id: str = Field(primary_key=True, sa_type=Text)
    customer_id: str | None = Field(default=None, foreign_key="customers.customer_id", sa_type=Text)  # None: a guest
    currency: str | None = Field(default=None, sa_type=Text)
    coupon: str | None = Field(default=None, sa_type=Text)
    state: str = Field(default=CartState.OPEN.value, sa_type=Text)
    version: int = bigint_column(1)  # of what it holds: the ETag
    attempt: int = 1  # of its orders: the next one after a rejection has another id
    order_id: str | None = Field(default=None, foreign_key="orders.order_id", sa_type=Text)
    merged_into: str | None = Field(default=None, sa_type=Text)  # the cart that has its lines now
    event_sequence: int = bigint_column()
    created_at: datetime = time_column()
    touched_at: datetime = time_column()
    abandoned_at: datetime | None = maybe_time_column()  # when CartAbandoned was told


class CartLine(SQLModel, table=True):
    """All pieces of one product in a cart, and what one piece cost when the line was changed last."""

    __tablename__ = "cart_lines"
    __table_args__ = (CheckConstraint(f"quantity BETWEEN 1 AND {MAX_QUANTITY}", name="quantity_in_bounds"),)

    cart_id: str = Field(primary_key=True, foreign_key="carts.cart_id", sa_type=Text)
    product_id: str = Field(primary_key=True, foreign_key="products.product_id", sa_type=Text)
    line_number: int
    quantity: int = Field(sa_type=BigInteger)
    price_seen: int = Field(sa_type=BigInteger)  # minor units


class CartOperation(SQLModel, table=True):
    """A change, or a checkout, that came with an Idempotency-Key: it is done once."""

    __tablename__ = "cart_operations"
    __table_args__ = (Index("ix_cart_operations_at", "at"),)

    cart_id: str = Field(primary_key=True, foreign_key="carts.cart_id", sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    fingerprint: str = Field(sa_type=Text)
    order_id: str | None = Field(default=None, sa_type=Text)  # of a checkout
    at: datetime = time_column()
