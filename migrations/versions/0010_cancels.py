"""Cancels by the id of their wish

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | Sequence[str] | None = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cancel_wishes",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("wish_id", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.order_id"], name=op.f("fk_cancel_wishes_order_id")),
        sa.PrimaryKeyConstraint("order_id", "wish_id", name=op.f("pk_cancel_wishes")),
    )


def downgrade() -> None:
    op.drop_table("cancel_wishes")
