"""A function that locks an order and then reads all that its steps need

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | Sequence[str] | None = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A function because each of its statements sees what was committed before it began. One plain statement with
    # FOR UPDATE would read the other tables as they were before it had waited for the lock.
    op.execute("""
        CREATE OR REPLACE FUNCTION lock_order(wanted text) RETURNS json LANGUAGE plpgsql VOLATILE AS $$
        DECLARE
            locked orders%ROWTYPE;
        BEGIN
            SELECT * INTO locked FROM orders WHERE order_id = wanted FOR UPDATE;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
            RETURN json_build_object(
                'orders', json_build_array(row_to_json(locked)),
                'order_steps', (SELECT json_agg(fence) FROM order_steps AS fence WHERE fence.order_id = wanted),
                'order_lines',
                (SELECT json_agg(line ORDER BY line_number) FROM order_lines AS line WHERE line.order_id = wanted),
                'payments',
                (SELECT json_agg(payment ORDER BY attempt) FROM payments AS payment WHERE payment.order_id = wanted),
                'payment_attempts',
                (SELECT json_agg(call ORDER BY attempt) FROM payment_attempts AS call WHERE call.order_id = wanted),
                'shipments', (SELECT json_agg(parcel) FROM shipments AS parcel WHERE parcel.order_id = wanted)
            );
        END
        $$
    """)


def downgrade() -> None:
    op.execute("DROP FUNCTION IF EXISTS lock_order(text)")
