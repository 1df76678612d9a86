"""Catalogue, customers, orders and their timeline

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.online import refuse_to_lose

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels = None
depends_on = None

STATUS_IS_THE_TIMELINES_LAST = "fk_orders_status_is_the_timelines_last"

# Written out, not imported from the domain: a migration says what was true when it was written.
FORWARD = ["PLACED", "RESERVED", "CONFIRMED", "READY_TO_SHIP", "SHIPPED", "DELIVERED"]
CANCELABLE = ["PLACED", "RESERVED", "AWAITING_CUSTOMER", "CONFIRMED", "READY_TO_SHIP"]
REJECTABLE = ["PLACED", "RESERVED", "AWAITING_CUSTOMER"]
STATUSES = [*FORWARD, "AWAITING_CUSTOMER", "CANCELING", "CANCELED", "REJECTED"]

transitions = sa.table("order_transitions", sa.column("from_status", sa.Text), sa.column("to_status", sa.Text))


def allowed_transitions() -> list[tuple[str, str]]:
    """Every allowed (from, to); a timeline row may also leave the status as it is."""
    return [
        *pairwise(FORWARD),
        ("RESERVED", "AWAITING_CUSTOMER"),
        ("AWAITING_CUSTOMER", "CONFIRMED"),
        *((status, "CANCELING") for status in CANCELABLE),
        ("CANCELING", "CANCELED"),
        *((status, "REJECTED") for status in REJECTABLE),
        *((status, status) for status in STATUSES),
    ]


def upgrade() -> None:
    op.create_table(
        "customers",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customers")),
    )
    op.create_table(
        "order_transitions",
        sa.Column("from_status", sa.Text(), nullable=False),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("from_status", "to_status", name=op.f("pk_order_transitions")),
    )
    op.create_table(
        "products",
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("price_minor >= 0", name=op.f("ck_products_price_not_negative")),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_products")),
    )
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("payment_status", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=False),
        sa.Column("shipping_address", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("ship_not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("needs_attention", sa.Boolean(), nullable=False),
        sa.Column("refusal", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("event_sequence", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "payment_status IN ('Pending', 'RequiresAction', 'Authorized', 'Captured', 'Voided', "
            "'Refunded', 'PartiallyRefunded', 'Failed')",
            name=op.f("ck_orders_payment_status_known"),
        ),
        sa.CheckConstraint("total_minor >= 0", name=op.f("ck_orders_total_not_negative")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.customer_id"], name=op.f("fk_orders_customer_id")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_orders")),
        sa.UniqueConstraint("customer_id", "idempotency_key", name=op.f("uq_orders_customer_id_idempotency_key")),
    )
    op.create_index(
        "ix_orders_created_at_order_id",
        "orders",
        [sa.literal_column("created_at DESC"), sa.literal_column("order_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_orders_customer_id_created_at",
        "orders",
        ["customer_id", sa.literal_column("created_at DESC")],
        unique=False,
    )
    op.create_index(
        "ix_orders_status_created_at", "orders", ["status", sa.literal_column("created_at DESC")], unique=False
    )
    op.create_table(
        "stock",
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("event_sequence", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("reserved <= on_hand", name=op.f("ck_stock_never_oversold")),
        sa.CheckConstraint("reserved >= 0", name=op.f("ck_stock_reserved_not_negative")),
        sa.ForeignKeyConstraint(["product_id"], ["products.product_id"], name=op.f("fk_stock_product_id")),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_stock")),
    )
    op.create_table(
        "order_lines",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("line_number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_order_lines_quantity_positive")),
        sa.CheckConstraint("unit_price_minor >= 0", name=op.f("ck_order_lines_price_not_negative")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.order_id"], name=op.f("fk_order_lines_order_id")),
        sa.ForeignKeyConstraint(["product_id"], ["products.product_id"], name=op.f("fk_order_lines_product_id")),
        sa.PrimaryKeyConstraint("order_id", "product_id", name=op.f("pk_order_lines")),
    )
    op.create_index("ix_order_lines_product_id", "order_lines", ["product_id"], unique=False)
    op.create_table(
        "timeline",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("previous", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.CheckConstraint("sequence > 1 OR to_status = 'PLACED'", name=op.f("ck_timeline_begins_placed")),
        sa.CheckConstraint(
            "(sequence = 1) = (from_status IS NULL)", name=op.f("ck_timeline_only_the_first_has_no_from")
        ),
        sa.CheckConstraint("previous = sequence - 1", name=op.f("ck_timeline_no_gaps")),
        sa.ForeignKeyConstraint(
            ["from_status", "to_status"],
            ["order_transitions.from_status", "order_transitions.to_status"],
            name="fk_timeline_transition_is_allowed",
        ),
        sa.ForeignKeyConstraint(
            ["order_id", "previous", "from_status"],
            ["timeline.order_id", "timeline.sequence", "timeline.to_status"],
            name="fk_timeline_follows_the_row_before",
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.order_id"], name=op.f("fk_timeline_order_id")),
        sa.PrimaryKeyConstraint("order_id", "sequence", name=op.f("pk_timeline")),
        sa.UniqueConstraint(
            "order_id", "sequence", "to_status", name=op.f("uq_timeline_order_id_sequence_to_status")
        ),
    )
    op.create_foreign_key(
        STATUS_IS_THE_TIMELINES_LAST,
        "orders",
        "timeline",
        ["order_id", "version", "status"],
        ["order_id", "sequence", "to_status"],
        deferrable=True,
        initially="DEFERRED",
    )
    op.bulk_insert(transitions, [{"from_status": from_, "to_status": to} for from_, to in allowed_transitions()])


def downgrade() -> None:
    for table in ("orders", "order_lines", "stock", "customers"):
        refuse_to_lose(table)
    op.drop_constraint(STATUS_IS_THE_TIMELINES_LAST, "orders", type_="foreignkey")
    op.drop_table("timeline")
    op.drop_index("ix_order_lines_product_id", table_name="order_lines")
    op.drop_table("order_lines")
    op.drop_table("stock")
    op.drop_index("ix_orders_status_created_at", table_name="orders")
    op.drop_index("ix_orders_customer_id_created_at", table_name="orders")
    op.drop_index("ix_orders_created_at_order_id", table_name="orders")
    op.drop_table("orders")
    op.drop_table("products")
    op.drop_table("order_transitions")
    op.drop_table("customers")
