"""What the relay notes about an event: refused and parked, asked for again

The index of what waits leaves out what is parked, so that nobody reads it at every look; the one of what was
published finds what is old enough to go.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | Sequence[str] | None = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("parked_at", sa.DateTime(timezone=True), nullable=True), if_not_exists=True)
    op.add_column("outbox", sa.Column("parked_because", sa.Text(), nullable=True), if_not_exists=True)
    op.add_column("outbox", sa.Column("replay", sa.Integer(), server_default="0", nullable=False), if_not_exists=True)
    with op.get_context().autocommit_block():
        _index("waiting", ["id"], "published_at IS NULL AND parked_at IS NULL")
        _index("parked", ["subject", "id"], "parked_at IS NOT NULL")
        _index("published", ["published_at"], "published_at IS NOT NULL")
        _drop_index("unpublished")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        _index("unpublished", ["id"], "published_at IS NULL")
        for name in ("published", "parked", "waiting"):
            _drop_index(name)
    op.drop_column("outbox", "replay")
    op.drop_column("outbox", "parked_because")
    op.drop_column("outbox", "parked_at")


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        f"ix_outbox_{name}",
        "outbox",
        columns,
        postgresql_where=sa.text(where),
        postgresql_concurrently=True,
        if_not_exists=True,
    )


def _drop_index(name: str) -> None:
    op.drop_index(f"ix_outbox_{name}", "outbox", postgresql_concurrently=True, if_exists=True)
