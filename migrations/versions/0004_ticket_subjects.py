"""Tickets of one kind about several things: one each, by their subject

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels = None
depends_on = None

OPEN = sa.text("resolved_at IS NULL")


def upgrade() -> None:
    op.add_column("tickets", sa.Column("subject", sa.Text(), nullable=True), if_not_exists=True)
    with op.get_context().autocommit_block():
        op.create_index(
            "uq_tickets_one_open_each",
            "tickets",
            ["order_id", "kind", "step", "subject"],
            unique=True,
            postgresql_where=OPEN,
            postgresql_concurrently=True,
            postgresql_nulls_not_distinct=True,
            if_not_exists=True,
        )
        op.drop_index("uq_tickets_one_open", table_name="tickets", postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    op.create_index(
        "uq_tickets_one_open",
        "tickets",
        ["order_id", "kind", "step"],
        unique=True,
        postgresql_where=OPEN,
        postgresql_nulls_not_distinct=True,
    )
    op.drop_index("uq_tickets_one_open_each", table_name="tickets")
    op.drop_column("tickets", "subject")
