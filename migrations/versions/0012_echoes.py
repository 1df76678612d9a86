"""What an event says that may be an echo of our own step

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0012"
down_revision: str | Sequence[str] | None = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    says = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    op.add_column("webhook_inbox", sa.Column("says", says, nullable=True))


def downgrade() -> None:
    op.drop_column("webhook_inbox", "says")
