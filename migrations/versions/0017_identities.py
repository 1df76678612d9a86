"""Who placed an order, to whom its Idempotency-Key belongs; API keys; the audit; approvals

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.online import add_unique_constraint, refuse_to_lose

revision: str = "0017"
down_revision: str | Sequence[str] | None = "0016"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
BEFORE = "uq_orders_customer_id_idempotency_key"
OF_A_PRINCIPAL = "uq_orders_placed_by_idempotency_key"
AUDIT = ("audit", "audit_seals")
UNNAMED = "uq_orders_customer_id_idempotency_key_unnamed"


def upgrade() -> None:
    op.execute("ALTER TABLE orders ADD COLUMN IF NOT EXISTS placed_by TEXT")
    with op.get_context().autocommit_block():
        op.create_index(
            OF_A_PRINCIPAL,
            "orders",
            ["placed_by", "idempotency_key"],
            unique=True,
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.create_index(
            UNNAMED,
            "orders",
            ["customer_id", "idempotency_key"],
            unique=True,
            postgresql_where=sa.text("placed_by IS NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.execute(f"ALTER TABLE orders DROP CONSTRAINT IF EXISTS {BEFORE}")
    _api_keys()
    _audit()
    _approvals()


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.CheckConstraint("octet_length(secret_hash) = 32", name=op.f("ck_api_keys_hash_is_sha256")),
        sa.CheckConstraint("slot IN (1, 2)", name=op.f("ck_api_keys_two_at_a_time")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
    )
    op.create_index(
        "uq_api_keys_owner_slot",
        "api_keys",
        ["owner", "slot"],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )


def _approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("second_by", sa.Text(), nullable=True),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "what", name=op.f("pk_approvals")),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_by_id", "audit", ["by", sa.text("id DESC")])
    op.create_index("ix_audit_about_id", "audit", ["about", sa.text("id DESC")])
    op.create_table(
        "audit_seals",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", TIME, nullable=False),
        sa.CheckConstraint("octet_length(digest) = 32", name=op.f("ck_audit_seals_digest_is_sha256")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_seals")),
    )
    op.execute("""
        CREATE OR REPLACE FUNCTION refuse_to_change_the_audit() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'rows of % are only added', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
        END $$
    """)
    for table in AUDIT:
        op.execute(f"""
            CREATE OR REPLACE TRIGGER {table}_keeps_rows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_audit()
        """)


def downgrade() -> None:
    for table in (*AUDIT, "api_keys", "approvals"):
        refuse_to_lose(table)
    refuse_to_lose("orders", "placed_by IS NOT NULL AND idempotency_key IS NOT NULL")
    with op.get_context().autocommit_block():
        add_unique_constraint(BEFORE, "orders", ["customer_id", "idempotency_key"])
        op.drop_index(UNNAMED, table_name="orders", postgresql_concurrently=True, if_exists=True)
        op.drop_index(OF_A_PRINCIPAL, table_name="orders", postgresql_concurrently=True, if_exists=True)
    op.execute("ALTER TABLE orders DROP COLUMN IF EXISTS placed_by")
    for table in (*AUDIT, "api_keys", "approvals"):
        op.drop_table(table)
    op.execute("DROP FUNCTION IF EXISTS refuse_to_change_the_audit()")
