"""What waits for a mended fault of our own, and the brake

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.online import refuse_to_lose

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():  # each table is locked for itself
        op.add_column("orders", sa.Column("waits_for", postgresql.JSONB(), nullable=True), if_not_exists=True)
        op.add_column(
            "payment_attempts", sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True), if_not_exists=True
        )
        op.add_column(
            "shipments", sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True), if_not_exists=True
        )
        op.create_table(
            "brake_pulls",
            sa.Column("id", sa.BigInteger(), nullable=False),
            sa.Column("pulled_at", sa.DateTime(timezone=True), nullable=False),
            sa.Column("why", sa.Text(), nullable=False),
            sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
            sa.Column("released_by", sa.Text(), nullable=True),
            sa.Column("note_id", sa.Text(), nullable=True),
            sa.CheckConstraint(
                "(released_at IS NULL) = (released_by IS NULL)", name=op.f("ck_brake_pulls_by_somebody")
            ),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_brake_pulls")),
            if_not_exists=True,
        )
        op.create_index(
            "uq_brake_pulls_one_on",
            "brake_pulls",
            [sa.text("(true)")],
            unique=True,
            postgresql_where=sa.text("released_at IS NULL"),
            if_not_exists=True,
        )
        op.create_table(
            "ends_by_our_fault",
            sa.Column("order_id", sa.Text(), nullable=False),
            sa.Column("turn", sa.Integer(), nullable=False),
            sa.Column("at", sa.DateTime(timezone=True), nullable=False),
            sa.Column("step", sa.Text(), nullable=False),
            sa.Column("code", sa.Text(), nullable=False),
            sa.Column("pull_id", sa.BigInteger(), nullable=True),
            sa.ForeignKeyConstraint(["order_id"], ["orders.order_id"], name=op.f("fk_ends_by_our_fault_order_id")),
            sa.ForeignKeyConstraint(["pull_id"], ["brake_pulls.id"], name=op.f("fk_ends_by_our_fault_pull_id")),
            sa.PrimaryKeyConstraint("order_id", "turn", name=op.f("pk_ends_by_our_fault")),
            if_not_exists=True,
        )
        op.create_index("ix_ends_by_our_fault_at", "ends_by_our_fault", ["at"], if_not_exists=True)
        op.create_index("ix_ends_by_our_fault_pull_id", "ends_by_our_fault", ["pull_id"], if_not_exists=True)
        op.create_index(
            "ix_orders_waits_for",
            "orders",
            [sa.text("(waits_for ->> 'cause')")],
            postgresql_where=sa.text("waits_for IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    refuse_to_lose("payment_attempts", "refused_at IS NOT NULL")
    op.drop_index("ix_orders_waits_for", table_name="orders")
    op.drop_table("ends_by_our_fault")
    op.drop_table("brake_pulls")
    op.drop_column("shipments", "refused_at")
    op.drop_column("payment_attempts", "refused_at")
    op.drop_column("orders", "waits_for")
