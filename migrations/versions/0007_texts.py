"""What people write in their own words moves to a table of its own; rows from before keep theirs

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision: str = "0007"
down_revision: str | Sequence[str] | None = "0006"
branch_labels = None
depends_on = None

DONE_BY_EVIDENCE = "ck_ticket_actions_done_by_evidence"

# A row quotes two texts at most: those of a decision at the repair desk.
QUOTE_IN_TIMELINE = """
    UPDATE timeline SET what = split_part(what, '{}', 1)
        || coalesce((SELECT text FROM texts WHERE id = text_ids[1]), '[erased]')
        || split_part(what, '{}', 2)
        || CASE WHEN cardinality(text_ids) > 1
           THEN coalesce((SELECT text FROM texts WHERE id = text_ids[2]), '[erased]') || split_part(what, '{}', 3)
           ELSE '' END
    WHERE text_ids IS NOT NULL
"""
QUOTE_IN_TRAIL = """
    UPDATE ticket_actions SET
        note = CASE WHEN note_id IS NULL THEN note
               ELSE coalesce((SELECT text FROM texts WHERE id = note_id), '[erased]') END,
        evidence = CASE WHEN evidence_id IS NULL THEN evidence
                   ELSE coalesce((SELECT text FROM texts WHERE id = evidence_id), '[erased]') END
    WHERE note_id IS NOT NULL OR evidence_id IS NOT NULL
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():  # each table is locked for itself
        op.create_table(
            "texts",
            sa.Column("id", sa.Text(), nullable=False),
            sa.Column("order_id", sa.Text(), nullable=True),
            sa.Column("kind", sa.Text(), nullable=False),
            sa.Column("text", sa.Text(), nullable=True),
            sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_texts")),
            if_not_exists=True,
        )
        op.create_index("ix_texts_order_id", "texts", ["order_id"], if_not_exists=True)
        op.add_column("refunds", sa.Column("reason_id", sa.Text(), nullable=True), if_not_exists=True)
        op.add_column("ticket_actions", sa.Column("note_id", sa.Text(), nullable=True), if_not_exists=True)
        op.add_column("ticket_actions", sa.Column("evidence_id", sa.Text(), nullable=True), if_not_exists=True)
        _replace_rule("action <> 'mark_done' OR evidence <> '' OR evidence_id IS NOT NULL")
        op.execute(f"ALTER TABLE ticket_actions VALIDATE CONSTRAINT {DONE_BY_EVIDENCE}")
        op.add_column("timeline", sa.Column("text_ids", ARRAY(sa.Text()), nullable=True), if_not_exists=True)


def _replace_rule(condition: str) -> None:
    """New rows are checked at once; those that are there, when it is validated, which lets others read and write.

    https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    """
    op.execute(
        f"ALTER TABLE ticket_actions DROP CONSTRAINT IF EXISTS {DONE_BY_EVIDENCE},"
        f" ADD CONSTRAINT {DONE_BY_EVIDENCE} CHECK ({condition}) NOT VALID"
    )


def downgrade() -> None:
    """The words go back to where the code of before reads them: none are lost, and what was erased stays erased."""
    op.execute(QUOTE_IN_TIMELINE)
    op.execute("UPDATE refunds SET reason = coalesce(text, '[erased]') FROM texts WHERE reason_id = texts.id")
    op.execute("ALTER TABLE ticket_actions DISABLE TRIGGER append_only")
    op.execute(QUOTE_IN_TRAIL)
    op.execute("ALTER TABLE ticket_actions ENABLE TRIGGER append_only")
    _replace_rule("action <> 'mark_done' OR evidence <> ''")
    op.drop_column("ticket_actions", "evidence_id")
    op.drop_column("ticket_actions", "note_id")
    op.drop_column("refunds", "reason_id")
    op.drop_column("timeline", "text_ids")
    op.drop_index("ix_texts_order_id", table_name="texts")
    op.drop_table("texts")
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE ticket_actions VALIDATE CONSTRAINT {DONE_BY_EVIDENCE}")
