"""Each process's role on the real database: what it may do, and above all what it may not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.database import create_engine, dispose
from adapters.settings import Settings
from commandline.doctor.checks import State
from commandline.doctor.database_roles import check_database_roles
from devstack.stack.stack import Stack
from services.archive.archive import make_months
from services.privileges import LETTERS, TABLES, TRAILS, DatabaseRole, granted
from services.tables import METADATA
from tests.support.database_roles import seen_by
from tests.support.databases import database

PROCESSES = ("api", "worker", "relay")
REFUSED = asyncpg.InsufficientPrivilegeError


@asynccontextmanager
async def logged_in(process: str, settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    url = seen_by(process, settings).database_url.get_secret_value()
    connection = await asyncpg.connect(url, ssl=False)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def owner(base_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(base_settings.database_url.get_secret_value(), ssl=False)
    yield connection
    await connection.close()


def test_every_table_says_who_may_do_what() -> None:
    """A table that is not in the list works for its owner, as who migrations run, and for no process."""
    assert TABLES.keys() == METADATA.tables.keys() | {"alembic_version"}
    assert set("".join(access.api + access.worker + access.relay for access in TABLES.values())) == set(LETTERS)


def test_no_process_may_change_a_trail() -> None:
    for table in TRAILS:
        for role in DatabaseRole:
            assert granted(role, table).keys() <= {"SELECT", "INSERT"}


def _declared() -> Iterator[tuple[str, str, str]]:
    for table in TABLES:
        for role in DatabaseRole:
            yield from ((role, table, what) for what, columns in granted(role, table).items() if not columns)


def _declared_columns() -> Iterator[tuple[str, str, str]]:
    for table in TABLES:
        for role in DatabaseRole:
            for columns in granted(role, table).values():
                yield from ((role, table, column) for column in columns.split(", ") if column)


async def test_the_catalogue_has_what_is_declared_and_nothing_else(owner: asyncpg.Connection) -> None:
    """Also through PUBLIC, and for TRUNCATE, TRIGGER, REFERENCES and MAINTAIN: an empty list of those."""
    found = await owner.fetch("""
        SELECT coalesce(grantee.rolname, 'PUBLIC') AS role, relname AS of_table, privilege_type AS privilege
          FROM pg_class CROSS JOIN LATERAL aclexplode(relacl) AS acl
          LEFT JOIN pg_roles AS grantee ON grantee.oid = acl.grantee
         WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v')
           AND acl.grantee <> relowner
    """)
    assert {tuple(row) for row in found} == set(_declared())
    columns = await owner.fetch("""
        SELECT grantee.rolname, relname, attname
          FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid CROSS JOIN LATERAL aclexplode(attacl) AS acl
          JOIN pg_roles AS grantee ON grantee.oid = acl.grantee
         WHERE relnamespace = current_schema()::regnamespace AND privilege_type = 'SELECT'
    """)
    assert {tuple(row) for row in columns} == set(_declared_columns())


async def test_a_process_owns_nothing_and_is_nobody_special(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("""
        SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS special,
               (SELECT count(*) FROM pg_class WHERE relowner = pg_roles.oid) AS owned,
               (SELECT count(*) FROM pg_auth_members WHERE member = pg_roles.oid) AS member_of
          FROM pg_roles WHERE rolname LIKE 'ordersaga\\_%'
    """)
    assert {(row["special"], row["owned"]) for row in rows} == {(False, 0)}
    logins = {row["rolname"]: row["member_of"] for row in rows if row["rolname"].endswith("_1")}
    assert logins == {f"{role}_1": 1 for role in DatabaseRole}


def _attempts(table: str, column: str) -> dict[str, str]:
    return {
        "UPDATE": f"UPDATE {table} SET {column} = {column}",  # noqa: S608
        "DELETE": f"DELETE FROM {table}",  # noqa: S608
        "TRUNCATE": f"TRUNCATE {table}",
        "triggers": f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        "table": f"DROP TABLE {table}",
        "owner": f"ALTER TABLE {table} OWNER TO CURRENT_USER",
        "rules": f"CREATE RULE quiet AS ON INSERT TO {table} DO INSTEAD NOTHING",
        "replica": "SET session_replication_role = replica",
        "as the owner": "SET ROLE ordersaga",
    }


@pytest.mark.parametrize("process", PROCESSES)
async def test_nobody_rewrites_a_trail(process: str, settings: Settings) -> None:
    """Neither the rows, nor by taking off what guards them: finding out that one may is finding out too late."""
    async with logged_in(process, settings) as connection:
        for table in TRAILS:
            column = "entries" if table == "audit_seals" else next(iter(METADATA.tables[table].columns)).name
            for what, statement in _attempts(table, column).items():
                with pytest.raises(REFUSED):
                    await connection.execute(statement)
                    pytest.fail(f"{process} may touch {table}: {what}")


@pytest.mark.parametrize("process", [*PROCESSES, "reporting"])
async def test_nobody_makes_anything(process: str, settings: Settings) -> None:
    async with logged_in(process, settings) as connection:
        for statement in (
            "CREATE TABLE mine (id int)",
            "CREATE ROLE mine",
            "CREATE FUNCTION f() RETURNS int RETURN 1",
        ):
            with pytest.raises(REFUSED):
                await connection.execute(statement)


FORBIDDEN = {
    "worker": ("SELECT 1 FROM api_keys", "SELECT 1 FROM audit", "SELECT 1 FROM webhook_secrets",
               "UPDATE approvals SET second_by = 'me'", "UPDATE products SET name = ''", "DELETE FROM orders"),
    "relay": ("SELECT 1 FROM api_keys", "INSERT INTO audit DEFAULT VALUES", "SELECT 1 FROM approvals",
              "UPDATE stock SET on_hand = 0", "DELETE FROM orders", "SELECT 1 FROM event_archive_2026_01"),
    "api": ("UPDATE payment_attempts SET attempt = 2", "INSERT INTO audit_seals DEFAULT VALUES",
            "DELETE FROM payments", "DELETE FROM event_archive", "SELECT make_archive_month(now()::date)"),
    "reporting": ("SELECT shipping_address FROM orders", "SELECT * FROM orders", "SELECT 1 FROM customers",
                  "SELECT 1 FROM texts", "UPDATE stock SET on_hand = 0"),
}  # fmt: skip


@pytest.mark.parametrize("process", FORBIDDEN)
async def test_a_process_keeps_to_its_own(process: str, settings: Settings, relay_engine: AsyncEngine) -> None:
    await make_months(relay_engine, [date(2026, 1, 1)])
    async with logged_in(process, settings) as connection:
        for statement in FORBIDDEN[process]:
            with pytest.raises(REFUSED):
                await connection.execute(statement)
                pytest.fail(f"{process}: {statement}")


async def test_reporting_reads_figures(settings: Settings) -> None:
    async with logged_in("reporting", settings) as connection:
        await connection.fetch("SELECT status, currency, sum(total_minor) FROM orders GROUP BY 1, 2")
        await connection.fetch("SELECT * FROM stock NATURAL JOIN products LIMIT 1")


@pytest.fixture
async def relay_engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(seen_by("relay", settings))
    yield engine
    await dispose(engine)


async def test_the_relay_makes_months_that_it_does_not_own(
    relay_engine: AsyncEngine, owner: asyncpg.Connection
) -> None:
    """A repeat makes none; a month begins on its first day in UTC, whatever day of it is named."""
    months = [date(2031, 12, 1), date(2031, 12, 1), date(2032, 1, 1)]
    await make_months(relay_engine, months)
    found: list[Any] = await owner.fetch("""
        SELECT relname, pg_get_expr(relpartbound, oid) AS bound, pg_get_userbyid(relowner) AS owner FROM pg_class
         WHERE relname IN ('event_archive_2031_12', 'event_archive_2032_01') ORDER BY 1
    """)
    assert [row["bound"] for row in found] == [
        "FOR VALUES FROM ('2031-12-01 00:00:00+00') TO ('2032-01-01 00:00:00+00')",
        "FOR VALUES FROM ('2032-01-01 00:00:00+00') TO ('2032-02-01 00:00:00+00')",
    ]
    assert {row["owner"] for row in found} == {await owner.fetchval("SELECT current_user")}


async def test_doctor_tells_which_processes_own_the_tables(stack: Stack, settings: Settings) -> None:
    """A session of the owner is worth a warning; one of a process with a login of its own is not."""
    async with database(stack) as url:
        alone = settings.model_copy(update={"database_url": SecretStr(url)})
        async with sessions_of(alone, "CREATE TABLE orders (id int)"):
            (check,) = await check_database_roles(alone)
            assert (check.state, check.found) == (
                State.WARN,
                "run as the owner of the tables: ordersaga (1 sessions)",
            )
        assert [one.found for one in await check_database_roles(alone)] == ["no process is connected"]
        async with sessions_of(seen_by("worker", alone), "SELECT 1"):
            (check,) = await check_database_roles(alone)
            assert (check.state, check.found) == (State.OK, "no process owns the tables: ordersaga_worker_1")


@asynccontextmanager
async def sessions_of(settings: Settings, statement: str) -> AsyncIterator[None]:
    engine = create_engine(settings)
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    yield
    await engine.dispose()
