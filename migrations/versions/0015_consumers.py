"""What consumers of events keep: positions, dead letters, the archive, messages to customers, hints about stock

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.online import refuse_to_lose

revision: str = "0015"
down_revision: str | Sequence[str] | None = "0014"
branch_labels = None
depends_on = None

JSONB = postgresql.JSONB(astext_type=sa.Text())
MAYBE_JSONB = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
TIME = sa.DateTime(timezone=True)
NEW = ("stock_hints", "notification_wishes", "notifications", "event_archive", "dead_letters")


def upgrade() -> None:
    _positions()
    _dead_letters()
    _archive()
    _notifications()
    op.create_table(
        "stock_hints",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_stock_hints"),
    )
    op.create_index("ix_stock_hints_product_id_at", "stock_hints", ["product_id", "at"])
    op.add_column("customers", sa.Column("locale", sa.Text(), nullable=True))
    op.add_column("customers", sa.Column("erased_at", TIME, nullable=True))


def _positions() -> None:
    op.create_table(
        "consumer_positions",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("replay", MAYBE_JSONB, nullable=True),
        sa.Column("lag", sa.BigInteger(), nullable=False),
        sa.Column("behind_since", TIME, nullable=True),
        sa.Column("seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("consumer", "partition", name="pk_consumer_positions"),
    )
    op.create_table(
        "consumer_sequences",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "source", "subject", name="pk_consumer_sequences"),
    )


def _dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("parked_at", TIME, nullable=False),
        sa.Column("retry_at", TIME, nullable=True),
        sa.Column("resolved_at", TIME, nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letters"),
        sa.UniqueConstraint("consumer", "event_id", name="uq_dead_letters_consumer_event_id"),
    )
    op.create_index(
        "ix_dead_letters_waiting",
        "dead_letters",
        ["consumer", "source", "subject", "sequence"],
        postgresql_where=sa.text("resolved_at IS NULL"),
    )


def _archive() -> None:
    op.create_table(
        "event_archive",
        sa.Column("time", TIME, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("data", JSONB, nullable=False),
        sa.Column("archived_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "time", name="pk_event_archive"),
        postgresql_partition_by="RANGE (time)",
    )
    op.create_index("ix_event_archive_source_subject_sequence", "event_archive", ["source", "subject", "sequence"])
    op.execute("""
        CREATE OR REPLACE FUNCTION event_archive_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the event archive is append-only: drop the partition of a month that is too old';
        END
        $$
    """)
    op.execute("""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON event_archive
           FOR EACH ROW EXECUTE FUNCTION event_archive_is_append_only()
    """)


def _notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("event", JSONB, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.UniqueConstraint("event_id", name="uq_notifications_event_id"),
    )
    op.create_index("ix_notifications_order_id_id", "notifications", ["order_id", "id"])
    op.create_index("ix_notifications_open", "notifications", ["id"], postgresql_where=sa.text("ended_at IS NULL"))
    op.create_table(
        "notification_wishes",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "kind", name="pk_notification_wishes"),
    )


def downgrade() -> None:
    refuse_to_lose("event_archive")
    refuse_to_lose("customers", "erased_at IS NOT NULL")
    op.drop_column("customers", "erased_at")
    op.drop_column("customers", "locale")
    for table in (*NEW, "consumer_sequences", "consumer_positions"):
        op.drop_table(table)
    op.execute("DROP FUNCTION IF EXISTS event_archive_is_append_only()")
