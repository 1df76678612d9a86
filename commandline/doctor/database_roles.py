"""The check of `ordersaga doctor` for who runs at the database: no process should own the tables that it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.settings import Settings
from commandline.doctor.asking import ask
from commandline.doctor.checks import Check, ok, warn

NAME = "Database roles"

# Everybody may see whose sessions there are. Ours is left out: who asks is no process, and may well be the owner.
_SESSIONS = text("""
    SELECT usename AS login, count(*) AS sessions,
           bool_or(pg_has_role(usename, (SELECT relowner FROM pg_class WHERE oid = to_regclass('orders')), 'USAGE'))
             AS owns
      FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'ordersaga' AND pid <> pg_backend_pid()
     GROUP BY usename ORDER BY usename
""")


async def check_database_roles(settings: Settings) -> list[Check]:
    """Whether a process could change a trail, or take its triggers off; nothing where it cannot be asked."""
    found = await ask(settings, _sessions)
    if found is None:
        return []
    if not found:
        return ok(NAME, "no process is connected")
    owners = [f"{row.login} ({row.sessions} sessions)" for row in found if row.owns]
    if owners:
        mend = 'give API, worker and relay logins of their own (docs/security.md, "At the database")'
        return warn(NAME, f"run as the owner of the tables: {', '.join(owners)}", mend)
    return ok(NAME, f"no process owns the tables: {', '.join(row.login for row in found)}")


async def _sessions(connection: AsyncConnection) -> Sequence[Row[Any]]:
    return (await connection.execute(_SESSIONS)).all()
