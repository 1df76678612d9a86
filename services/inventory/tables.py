"""The tables of stock. Overselling is impossible: `reserved <= on_hand` is a rule of the table."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

import services.catalogue.tables  # what foreign keys point to
import services.orders.tables  # noqa: F401  # what foreign keys point to
from adapters.postgres.columns import bigint_column, time_column


class Stock(SQLModel, table=True):
    """How many pieces of a product there are, and how many of them orders hold."""

    __tablename__ = "stock"
    __table_args__ = (
        CheckConstraint("reserved >= 0", name="reserved_not_negative"),
        CheckConstraint("reserved <= on_hand", name="never_oversold"),
    )

    product_id: str = Field(primary_key=True, foreign_key="products.product_id", sa_type=Text)
    on_hand: int = bigint_column()
    reserved: int = bigint_column()
    event_sequence: int = bigint_column()


class Reservation(SQLModel, table=True):
    """The pieces of one product that one order holds, or has held."""

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


class StockHint(SQLModel, table=True):
    """That a product became scarce, or is back: at most one hint for each change of its stock."""

    __tablename__ = "stock_hints"
    __table_args__ = (Index("ix_stock_hints_product_id_at", "product_id", "at"),)

    event_id: str = Field(primary_key=True, sa_type=Text)
    product_id: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    on_hand: int = bigint_column()
    at: datetime = time_column()
