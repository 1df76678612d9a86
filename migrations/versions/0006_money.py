"""What payments and refunds remember of Stripe

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | Sequence[str] | None = "0005"
branch_labels = None
depends_on = None


ADDED = (
    ("tickets", "seen", "JSONB"),
    ("refunds", "payment_intent_id", "TEXT"),
    ("payment_attempts", "look", "JSONB"),
)


def upgrade() -> None:
    with op.get_context().autocommit_block():  # each table is locked for itself
        for table, column, kind in ADDED:
            op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {kind}")


def downgrade() -> None:
    """What was known of money when a person decided, and which payment a refund is of, stay: no other row has it."""
    op.drop_column("payment_attempts", "look")
