"""Indexes and counts that stay fast as the shop grows

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | Sequence[str] | None = "0007"
branch_labels = None
depends_on = None


HELD = sa.text("state = 'held'")


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_orders_status_updated_at_order_id",
            "orders",
            ["status", "updated_at", "order_id"],
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.drop_index(
            "ix_orders_status_updated_at", table_name="orders", postgresql_concurrently=True, if_exists=True
        )
        op.create_index(
            "ix_reservations_held_pieces",
            "reservations",
            ["product_id", "order_id"],
            postgresql_include=["quantity"],
            postgresql_where=HELD,
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.drop_index("ix_reservations_held", table_name="reservations", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            "ix_tickets_order_id_subject",
            "tickets",
            ["order_id", "subject"],
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(
            "ix_tickets_order_id_subject", table_name="tickets", postgresql_concurrently=True, if_exists=True
        )
        op.create_index(
            "ix_reservations_held",
            "reservations",
            ["product_id"],
            postgresql_where=HELD,
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.drop_index(
            "ix_reservations_held_pieces", table_name="reservations", postgresql_concurrently=True, if_exists=True
        )
        op.create_index(
            "ix_orders_status_updated_at",
            "orders",
            ["status", "updated_at"],
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.drop_index(
            "ix_orders_status_updated_at_order_id",
            table_name="orders",
            postgresql_concurrently=True,
            if_exists=True,
        )
