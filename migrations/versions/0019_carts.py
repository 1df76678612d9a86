"""Carts: their lines, what was done by key, and the order's cart

Revision ID: 0019
Revises: 0018
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.online import refuse_to_lose

revision: str = "0019"
down_revision: str | Sequence[str] | None = "0018"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE orders ADD COLUMN IF NOT EXISTS cart_id TEXT")
        op.create_index(
            "uq_orders_cart_id",
            "orders",
            ["cart_id"],
            unique=True,
            postgresql_where=sa.text("cart_id IS NOT NULL AND status <> 'REJECTED'"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
    _carts()
    _lines()
    _operations()


def _carts() -> None:
    op.create_table(
        "carts",
        sa.Column("cart_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("coupon", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("event_sequence", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("touched_at", TIME, nullable=False),
        sa.Column("abandoned_at", TIME, nullable=True),
        sa.CheckConstraint("state IN ('open', 'ordered', 'merged', 'expired')", name=op.f("ck_carts_state_known")),
        sa.CheckConstraint(
            "(state = 'ordered') = (order_id IS NOT NULL)", name=op.f("ck_carts_only_ordered_has_an_order")
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.customer_id"], name=op.f("fk_carts_customer_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.order_id"], name=op.f("fk_carts_order_id")),
        sa.PrimaryKeyConstraint("cart_id", name=op.f("pk_carts")),
    )
    is_open = "state = 'open'"
    _index("uq_carts_open_of_customer", "customer_id", where=is_open, unique=True)
    _index("ix_carts_customer_id", "customer_id", where="customer_id IS NOT NULL")
    _index("ix_carts_state_touched_at_cart_id", "state", "touched_at", "cart_id")
    _index("ix_carts_guests", "touched_at", where=f"{is_open} AND customer_id IS NULL")
    _index("ix_carts_empty", "touched_at", where=f"{is_open} AND currency IS NULL")
    left = f"{is_open} AND currency IS NOT NULL AND abandoned_at IS NULL"
    _index("ix_carts_left", "touched_at", where=left)


def _index(name: str, *columns: str, where: str | None = None, unique: bool = False) -> None:
    condition = sa.text(where) if where else None
    op.create_index(name, "carts", [*columns], unique=unique, postgresql_where=condition)


def _lines() -> None:
    op.create_table(
        "cart_lines",
        sa.Column("cart_id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("line_number", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("price_seen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity BETWEEN 1 AND 100000", name=op.f("ck_cart_lines_quantity_in_bounds")),
        sa.ForeignKeyConstraint(["cart_id"], ["carts.cart_id"], name=op.f("fk_cart_lines_cart_id")),
        sa.ForeignKeyConstraint(["product_id"], ["products.product_id"], name=op.f("fk_cart_lines_product_id")),
        sa.PrimaryKeyConstraint("cart_id", "product_id", name=op.f("pk_cart_lines")),
    )


def _operations() -> None:
    op.create_table(
        "cart_operations",
        sa.Column("cart_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["cart_id"], ["carts.cart_id"], name=op.f("fk_cart_operations_cart_id")),
        sa.PrimaryKeyConstraint("cart_id", "key", name=op.f("pk_cart_operations")),
    )
    op.create_index("ix_cart_operations_at", "cart_operations", ["at"])


def downgrade() -> None:
    """Which order came from which cart stays: no other row has it."""
    refuse_to_lose("orders", "cart_id IS NOT NULL")
    for table in ("cart_operations", "cart_lines", "carts"):
        op.drop_table(table)
    op.drop_index("uq_orders_cart_id", "orders")
    op.drop_column("orders", "cart_id")
