"""When each line was ordered, so that the newest orders of a product are one range of an index

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | Sequence[str] | None = "0023"
branch_labels = None
depends_on = None

# Two digits of the ids at a time: who drops a line never waits for longer than for one of these.
FILL_IN = """
    DO $$ BEGIN
        FOR part IN 0..256 LOOP
            UPDATE order_lines SET ordered_at = orders.created_at FROM orders
             WHERE orders.order_id = order_lines.order_id AND order_lines.ordered_at <> orders.created_at
               AND order_lines.order_id >= CASE part WHEN 0 THEN '' ELSE lpad(to_hex(part - 1), 2, '0') END
               AND (part = 256 OR order_lines.order_id < lpad(to_hex(part), 2, '0'));
            COMMIT;
        END LOOP;
    END $$
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # Rows that an API of before adds keep the time of their insert.
        op.execute("ALTER TABLE order_lines ADD COLUMN IF NOT EXISTS ordered_at TIMESTAMPTZ DEFAULT now() NOT NULL")
        op.execute(FILL_IN)
        op.create_index(
            "ix_order_lines_product_id_ordered_at",
            "order_lines",
            ["product_id", sa.text("ordered_at DESC")],
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.drop_index("ix_order_lines_product_id", "order_lines", postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_order_lines_product_id",
            "order_lines",
            ["product_id"],
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.drop_index(
            "ix_order_lines_product_id_ordered_at", "order_lines", postgresql_concurrently=True, if_exists=True
        )
    op.drop_column("order_lines", "ordered_at")
