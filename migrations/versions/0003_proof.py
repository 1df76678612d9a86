"""Rounds of payments, refunds, dropped lines, holds, the repair desk's audit trail, cursors of scheduled jobs

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.online import add_unique_constraint, refuse_to_lose

revision: str = "0003"
down_revision: str | Sequence[str] | None = "0002"
branch_labels = None
depends_on = None

OPEN = sa.text("resolved_at IS NULL")


def upgrade() -> None:
    """Every statement a transaction of its own, so that no table stays locked while the next one is waited for."""
    with op.get_context().autocommit_block():
        _add_columns()
        _create_refunds()
        _create_cursors()
        _index_for_the_jobs()
        _widen_repair_desk()


def _add_columns() -> None:
    op.add_column("orders", sa.Column("hold", sa.Text(), nullable=True), if_not_exists=True)
    dropped: sa.Column[bool] = sa.Column("dropped", sa.Boolean(), server_default=sa.false(), nullable=False)
    op.add_column("order_lines", dropped, if_not_exists=True)
    op.add_column("customers", sa.Column("stripe_customer_id", sa.Text(), nullable=True), if_not_exists=True)
    add_unique_constraint(op.f("uq_customers_stripe_customer_id"), "customers", ["stripe_customer_id"])
    round_ = sa.Column("round", sa.Integer(), server_default=sa.text("1"), nullable=False)
    op.add_column("payment_attempts", round_, if_not_exists=True)


def _create_refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stripe_refund_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_refunds_amount_positive")),
        sa.CheckConstraint(
            "state IN ('asked', 'pending', 'succeeded', 'failed')", name=op.f("ck_refunds_state_known")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.order_id"], name=op.f("fk_refunds_order_id")),
        sa.PrimaryKeyConstraint("order_id", "key", name=op.f("pk_refunds")),
        if_not_exists=True,
    )
    op.create_index(
        "ix_refunds_unsettled",
        "refunds",
        ["updated_at"],
        postgresql_where=sa.text("state IN ('asked', 'pending')"),
        if_not_exists=True,
    )


def _create_cursors() -> None:
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
        if_not_exists=True,
    )


def _index_for_the_jobs() -> None:
    op.create_index(
        "ix_orders_status_updated_at",
        "orders",
        ["status", "updated_at"],
        postgresql_concurrently=True,
        if_not_exists=True,
    )
    op.create_index(
        "ix_reservations_held",
        "reservations",
        ["product_id"],
        postgresql_where=sa.text("state = 'held'"),
        postgresql_concurrently=True,
        if_not_exists=True,
    )


def _widen_repair_desk() -> None:
    op.alter_column("tickets", "order_id", existing_type=sa.Text(), nullable=True)
    # The new index is built beside the old one, so that there is always one that forbids a second open ticket.
    op.create_index(
        "uq_tickets_one_open_wider",
        "tickets",
        ["order_id", "kind", "step"],
        unique=True,
        postgresql_where=OPEN,
        postgresql_nulls_not_distinct=True,
        postgresql_concurrently=True,
        if_not_exists=True,
    )
    op.drop_index("uq_tickets_one_open", table_name="tickets", postgresql_concurrently=True, if_exists=True)
    op.execute("ALTER INDEX IF EXISTS uq_tickets_one_open_wider RENAME TO uq_tickets_one_open")
    op.create_table(
        "ticket_actions",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "action IN ('opened', 'retry', 'mark_done', 'write_off', 'closed')",
            name=op.f("ck_ticket_actions_action_known"),
        ),
        sa.CheckConstraint(
            "action <> 'mark_done' OR evidence <> ''", name=op.f("ck_ticket_actions_done_by_evidence")
        ),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_ticket_actions_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket_actions")),
        if_not_exists=True,
    )
    op.create_index("ix_ticket_actions_ticket_id", "ticket_actions", ["ticket_id"], if_not_exists=True)
    op.execute(
        """
        CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only: write another row', TG_TABLE_NAME
                USING ERRCODE = 'integrity_constraint_violation';
        END $$
        """
    )
    op.execute(
        """
        CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ticket_actions
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """
    )


def downgrade() -> None:
    refuse_to_lose("refunds")
    refuse_to_lose("ticket_actions")
    refuse_to_lose("tickets", "order_id IS NULL")
    refuse_to_lose("customers", "stripe_customer_id IS NOT NULL")
    refuse_to_lose("payment_attempts", "round > 1")
    refuse_to_lose("order_lines", "dropped")
    refuse_to_lose("orders", "hold IS NOT NULL")
    op.drop_table("ticket_actions")
    op.execute("DROP FUNCTION refuse_change()")
    op.drop_index("uq_tickets_one_open", table_name="tickets")
    op.create_index(
        "uq_tickets_one_open", "tickets", ["order_id", "kind", "step"], unique=True, postgresql_where=OPEN
    )
    op.alter_column("tickets", "order_id", existing_type=sa.Text(), nullable=False)
    op.drop_index("ix_reservations_held", table_name="reservations")
    op.drop_index("ix_orders_status_updated_at", table_name="orders")
    op.drop_table("cursors")
    op.drop_table("refunds")
    op.drop_column("payment_attempts", "round")
    op.drop_constraint(op.f("uq_customers_stripe_customer_id"), "customers", type_="unique")
    op.drop_column("customers", "stripe_customer_id")
    op.drop_column("order_lines", "dropped")
    op.drop_column("orders", "hold")
