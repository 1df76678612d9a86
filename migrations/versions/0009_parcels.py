"""What shipments remember of the carrier

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | Sequence[str] | None = "0008"
branch_labels = None
depends_on = None


COLUMNS = ("buy_deadline", "void_requested_at")


def upgrade() -> None:
    for column in COLUMNS:  # nullable and without a default: no row is touched
        op.add_column("shipments", sa.Column(column, sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for column in reversed(COLUMNS):
        op.drop_column("shipments", column)
