"""When an event of a subject came last to a consumer, so that its sequence can be forgotten

Revision ID: 0021
Revises: 0018
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0021"
down_revision: str | Sequence[str] | None = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    seen_at = sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    op.add_column("consumer_sequences", seen_at)


def downgrade() -> None:
    op.drop_column("consumer_sequences", "seen_at")
