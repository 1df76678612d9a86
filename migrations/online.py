"""How a migration changes a database that is in use: nobody waits for it for longer than `LOCK_TIMEOUT`.

A request for ACCESS EXCLUSIVE that waits makes every later reader of its table wait, too
(https://www.postgresql.org/docs/current/explicit-locking.html). So such a request gives up soon, and the whole run
tries again from the revision that it stands at: see `env.py`. What waits without being in anybody's way has no limit.

What a revision does outside of a transaction stays when it fails half-way, so all of it can be done again
(`if_not_exists=True`); `tests/unit/test_migration_rules.py` holds the revisions to these rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

LOCK_TIMEOUT = "50ms"
WITHOUT_LIMIT = "0"

PATIENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b|.*\b(CONCURRENTLY|VALIDATE CONSTRAINT)\b", re.DOTALL)
"""Statements that no reader ever waits for: a build may wait for a transaction of hours without harm."""

BUILD = re.compile(r"\s*CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?:IF NOT EXISTS )?(\w+)")

ANY_ROW = "true"


def limit_locks(connection: Connection) -> None:
    """Gives every statement of the connection its own `lock_timeout`, and every index build a clean start."""
    event.listen(connection, "before_cursor_execute", _prepare)


def _prepare(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> None:
    cursor.execute(f"SET lock_timeout = '{WITHOUT_LIMIT if PATIENT.match(statement) else LOCK_TIMEOUT}'")
    if build := BUILD.match(statement):
        _drop_unfinished(cursor, build[1])


def _drop_unfinished(cursor: Any, index: str) -> None:
    """An index whose build failed is left behind invalid, and IF NOT EXISTS would take it for the finished one.

    https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
    """
    cursor.execute(f"SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('{index}') AND NOT indisvalid")  # noqa: S608
    if cursor.fetchone() is not None:
        cursor.execute(f"DROP INDEX CONCURRENTLY {index}")


VACUUMED = sa.text("""
    SELECT DISTINCT relation::regclass::text FROM pg_locks JOIN pg_class ON pg_class.oid = relation
     WHERE mode = 'ShareUpdateExclusiveLock' AND granted AND relkind = 'r' AND pid <> pg_backend_pid()
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND relnamespace = current_schema()::regnamespace
""")


def end_vacuums(connection: Connection) -> None:
    """Makes autovacuums give way: one of a large table holds for hours a lock that every ALTER TABLE waits for.

    It ends when somebody has waited for it for `deadlock_timeout`, a second, which is longer than our requests wait
    (https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM). This one is in nobody else's way.
    """
    for table in connection.execute(VACUUMED).scalars().all():
        with suppress(DBAPIError):  # it is no autovacuum
            connection.execute(sa.text("SET LOCAL lock_timeout = '3s'"))
            connection.execute(sa.text(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE"))
        connection.rollback()


def add_unique_constraint(name: str, table: str, columns: Sequence[str]) -> None:
    """A unique constraint whose index is built while others write. Outside of a transaction only."""
    op.create_index(name, table, list(columns), unique=True, postgresql_concurrently=True, if_not_exists=True)
    op.execute(f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_constraint
                            WHERE conname = '{name}' AND conrelid = '{table}'::regclass) THEN
                ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name};
            END IF;
        END $$
    """)


def refuse_to_lose(table: str, rows: str = ANY_ROW) -> None:
    """Ends a downgrade that would drop what `table` remembers: of any row, or of those that a condition names.

    Money that nobody remembers is money that nobody gives back, and that a repeated step moves twice.
    """
    op.execute(f"""
        DO $$ BEGIN
            LOCK TABLE {table} IN SHARE MODE;
            IF EXISTS (SELECT FROM {table} WHERE {rows}) THEN
                RAISE EXCEPTION 'going down would lose what {table} remembers: restore a backup instead';
            END IF;
        END $$
    """)
