"""Personal data sealed with keys per customer: the keys, and a column beside each one that was in clear

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.online import refuse_to_lose

revision: str = "0025"
down_revision: str | Sequence[str] | None = "0024"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NEW = {
    "customers": ("name_sealed", "email_sealed", "email_index"),
    "orders": ("address_sealed", "contact_sealed"),
    "texts": ("customer_id", "text_sealed"),
}
CLEAR = {
    "customers": ("customer_id", "name IS NOT NULL OR email IS NOT NULL"),
    "orders": ("order_id", "jsonb_typeof(shipping_address) = 'object' OR metadata <> '{}'"),
    "texts": ("id", "text IS NOT NULL"),
}
"""What a job seals by and by, found by an index of what is left."""
FOUND_BY = {"customers": "email_index", "texts": "customer_id"}


def upgrade() -> None:
    _keys()
    with op.get_context().autocommit_block():
        for table, columns in NEW.items():
            for column in columns:
                op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} TEXT")
        for column in ("name", "email"):
            op.execute(f"ALTER TABLE customers ALTER COLUMN {column} DROP NOT NULL")
        for table, (key, where) in CLEAR.items():
            op.create_index(
                f"ix_{table}_clear",
                table,
                [key],
                postgresql_where=sa.text(where),
                postgresql_concurrently=True,
                if_not_exists=True,
            )
        op.create_index(
            "ix_customers_erased",
            "customers",
            ["customer_id"],
            postgresql_where=sa.text("erased_at IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        for table, column in FOUND_BY.items():
            op.create_index(f"ix_{table}_{column}", table, [column], postgresql_concurrently=True, if_not_exists=True)


def _keys() -> None:
    op.create_table(
        "customer_keys",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("destroyed_at", TIME, nullable=True),
        sa.CheckConstraint("purpose IN ('contact', 'accounting')", name=op.f("ck_customer_keys_purpose_known")),
        sa.CheckConstraint(
            "(wrapped IS NULL) = (destroyed_at IS NOT NULL)", name=op.f("ck_customer_keys_destroyed_is_gone")
        ),
        sa.PrimaryKeyConstraint("customer_id", "purpose", name=op.f("pk_customer_keys")),
        if_not_exists=True,
    )
    for column in ("key_id", "due_at"):
        op.create_index(
            f"ix_customer_keys_{column}",
            "customer_keys",
            [column],
            postgresql_where=sa.text("wrapped IS NOT NULL"),
            if_not_exists=True,
        )


def downgrade() -> None:
    refuse_to_lose("customer_keys")
    op.drop_table("customer_keys")
    op.drop_index("ix_customers_erased", table_name="customers")
    for table, column in FOUND_BY.items():
        op.drop_index(f"ix_{table}_{column}", table_name=table)
    for table, columns in NEW.items():
        op.drop_index(f"ix_{table}_clear", table_name=table)
        for column in columns:
            op.drop_column(table, column)
    for column in ("name", "email"):
        op.alter_column("customers", column, nullable=False)
