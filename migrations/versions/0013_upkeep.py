"""What keeps tables fast that only grow: an early autovacuum, and an index for what may leave

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | Sequence[str] | None = "0012"
branch_labels = None
depends_on = None

PROCESSED = sa.text("processed_at IS NOT NULL")

# PostgreSQL's own thresholds are a fifth of a table: of a million orders 200,000 would have to change first, and
# the statistics would forget what is under way, which is always a small part of a table.
BIG: Mapping[str, object] = {
    "autovacuum_vacuum_scale_factor": 0.02,
    "autovacuum_vacuum_insert_scale_factor": 0.05,
    "autovacuum_analyze_scale_factor": 0.02,
}
# Rows leave at one end: to give empty pages back, a vacuum would lock all readers out for a moment.
QUEUE: Mapping[str, object] = {**BIG, "vacuum_truncate": "off"}

STORAGE: Mapping[str, Mapping[str, object]] = {
    "orders": BIG,
    "order_lines": BIG,
    "order_steps": BIG,
    "timeline": BIG,
    "payments": BIG,
    "payment_attempts": BIG,
    "shipments": BIG,
    "reservations": BIG,
    "outbox": QUEUE,
    "webhook_inbox": QUEUE,
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table, parameters in STORAGE.items():
            given = ", ".join(f"{name} = {value}" for name, value in parameters.items())
            op.execute(f"ALTER TABLE {table} SET ({given})")
        op.create_index(
            "ix_webhook_inbox_processed",
            "webhook_inbox",
            ["processed_at"],
            postgresql_where=PROCESSED,
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(
            "ix_webhook_inbox_processed", table_name="webhook_inbox", postgresql_concurrently=True, if_exists=True
        )
        for table, parameters in STORAGE.items():
            op.execute(f"ALTER TABLE {table} RESET ({', '.join(parameters)})")
