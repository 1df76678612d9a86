"""A database role for each process, and a way for the relay to make a month of the archive, which it does not own

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

from migrations.grants import make_roles

revision: str = "0023"
down_revision: str | Sequence[str] | None = "0022"
branch_labels = None
depends_on = None

MAKE_MONTH = "make_archive_month(date)"

# It runs as the owner of the tables, so its search path is its own, and all that it is given is a day.
# The table is made apart and attached: only that one bears being done while others read and write
# (https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE).
FUNCTION = """
    CREATE OR REPLACE FUNCTION make_archive_month(month date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
        first date := date_trunc('month', month);
        name text := 'event_archive_' || to_char(first, 'YYYY_MM');
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('ordersaga.event_archive'));
        IF to_regclass(name) IS NOT NULL THEN
            RETURN;
        END IF;
        EXECUTE format('CREATE TABLE %I (LIKE event_archive INCLUDING DEFAULTS)', name);
        EXECUTE format('ALTER TABLE event_archive ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name,
                       to_char(first, 'YYYY-MM-DD 00:00+00'),
                       to_char(first + interval '1 month', 'YYYY-MM-DD 00:00+00'));
    END $$
"""
OWN_PATH = f"""
    DO $$ BEGIN
        EXECUTE format('ALTER FUNCTION {MAKE_MONTH} SET search_path = %I, pg_temp', current_schema());
        REVOKE EXECUTE ON FUNCTION {MAKE_MONTH} FROM PUBLIC;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ordersaga_relay') THEN
            GRANT EXECUTE ON FUNCTION {MAKE_MONTH} TO ordersaga_relay;
        END IF;
    END $$
"""


def upgrade() -> None:
    make_roles()
    op.execute(FUNCTION)
    op.execute(OWN_PATH)


def downgrade() -> None:
    """The roles stay: they belong to the server, and other databases may use them."""
    op.execute(f"DROP FUNCTION IF EXISTS {MAKE_MONTH}")
