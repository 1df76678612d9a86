"""Gives each process's role what `services/privileges.py` says, at the end of every run of the migrations.

Not in the revision that makes a table: one that nobody thought of would work for the owner, and for no process. What
a role has too much it keeps, since processes of the version before still run; a revision that means it says REVOKE.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Connection

from services.privileges import TABLES, DatabaseRole, granted

# Roles belong to the whole server: another database's migrations may make one at the same time, and where operators
# make them themselves we may not.
_MAKE_ROLE = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
            CREATE ROLE {role} NOLOGIN;
        END IF;
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;
        WHEN insufficient_privilege THEN
            RAISE NOTICE 'the role {role} is missing, and % may not make it', current_user;
    END $$
"""
# One statement, which changes nothing where all is granted. Tables that somebody else owns are theirs to grant.
_GRANT = """
    DO $$
    DECLARE
        wanted record;
        numbers text;
    BEGIN
        FOR wanted IN
            SELECT said.* FROM (VALUES {rows}) AS said (role, of_table, privilege, of_column)
              JOIN pg_roles ON rolname = role
              JOIN pg_class ON pg_class.oid = to_regclass(of_table) AND pg_has_role(relowner, 'USAGE')
        LOOP
            IF wanted.of_column <> '' THEN
                IF NOT EXISTS (SELECT FROM pg_attribute
                                WHERE attrelid = to_regclass(wanted.of_table) AND attname = wanted.of_column) THEN
                    CONTINUE;  -- a run up to an earlier revision
                END IF;
                IF NOT has_column_privilege(wanted.role, wanted.of_table, wanted.of_column, wanted.privilege) THEN
                    EXECUTE format('GRANT %s (%I) ON %I TO %I',
                                   wanted.privilege, wanted.of_column, wanted.of_table, wanted.role);
                END IF;
                CONTINUE;
            END IF;
            IF NOT has_table_privilege(wanted.role, wanted.of_table, wanted.privilege) THEN
                EXECUTE format('GRANT %s ON %I TO %I', wanted.privilege, wanted.of_table, wanted.role);
            END IF;
            IF wanted.privilege = 'INSERT' AND EXISTS (
                SELECT FROM pg_attribute WHERE attrelid = to_regclass(wanted.of_table) AND attname = 'id'
            ) THEN
                numbers := pg_get_serial_sequence(wanted.of_table, 'id');
                IF numbers IS NOT NULL AND NOT has_sequence_privilege(wanted.role, numbers, 'USAGE') THEN
                    EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', numbers, wanted.role);
                END IF;
            END IF;
        END LOOP;
    END $$
"""
_LET_IN = """
    DO $$
    DECLARE
        member text;
    BEGIN
        FOR member IN SELECT rolname FROM pg_roles WHERE rolname IN ({roles}) LOOP
            IF NOT has_database_privilege(member, current_database(), 'CONNECT') THEN
                EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), member);
            END IF;
        END LOOP;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE '% may not let the roles of the processes into this database', current_user;
    END $$
"""


def make_roles() -> None:
    """Makes the group roles that are missing, where that is permitted."""
    for role in DatabaseRole:
        op.execute(_MAKE_ROLE.format(role=role))


def grant_declared(connection: Connection) -> None:
    """Grants what is declared and not granted yet, on the tables that are there, to the roles that are there."""
    rows = ", ".join(
        f"('{role}', '{table}', '{privilege}', '{column}')" for role, table, privilege, column in _wanted()
    )
    connection.execute(sa.text(_GRANT.format(rows=rows)))
    connection.execute(sa.text(_LET_IN.format(roles=", ".join(f"'{role}'" for role in DatabaseRole))))


def _wanted() -> Iterator[tuple[DatabaseRole, str, str, str]]:
    for table in TABLES:
        for role in DatabaseRole:
            for privilege, columns in granted(role, table).items():
                for column in columns.split(", "):
                    yield role, table, privilege, column
