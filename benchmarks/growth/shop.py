"""The stack whose tables grow: all parts of the service, PostgreSQL with the settings of `docker-compose.yml`."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from temporalio.client import Client

from adapters.settings import Settings
from adapters.temporal import client as temporal
from benchmarks.service import PARCELS_STAY
from devstack.stack.identities import Bearer
from devstack.stack.parts import Blueprint
from devstack.stack.process import Part
from devstack.stack.stack import Stack
from domain.identities import Role

OURS = "growth"  # the name of this command's own connections, whose statements are nobody's
PATIENCE = 60.0  # seconds for one request

# What lives on its own would disturb: the scheduled jobs are run on purpose, and old events stay where they are.
SETTINGS = {
    "ORDERSAGA_RECONCILE_EVERY": "P1D",
    "ORDERSAGA_EVENT_CATCH_UP_EVERY": "P1D",
    "ORDERSAGA_INBOX_KEPT": "P3650D",
    "ORDERSAGA_OUTBOX_RETENTION": "P3650D",
    "ORDERSAGA_SEQUENCE_RETENTION": "P7300D",
    "ORDERSAGA_MESSAGE_RETENTION": "P10950D",
    "ORDERSAGA_SWEEP_INTERVAL": "1",  # so that a tour sees every loop of the relay
    "ORDERSAGA_RECONCILE_STOP_ORDERS": "1000000",
    "ORDERSAGA_LIMIT_DECLINES": "1000/s",  # one customer takes every tour
}
POSTGRES = {
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_filename": "statements.log",
    "log_rotation_size": "0",
}


@dataclass(frozen=True)
class GrowingShop:
    """A running stack with clients of all its parts."""

    stack: Stack
    settings: Settings
    http: httpx.AsyncClient
    stripe: httpx.AsyncClient
    carrier: httpx.AsyncClient
    database: asyncpg.Pool
    temporal: Client

    @property
    def statement_log(self) -> Path:
        assert self.stack.plan.postgres is not None
        return self.stack.plan.postgres.data / "log" / "statements.json"

    async def seq_scans(self) -> dict[str, int]:
        """How often each table was read from its first row to its last."""
        rows = await self.database.fetch("SELECT relname, seq_scan FROM pg_stat_user_tables")
        return {row["relname"]: row["seq_scan"] for row in rows}

    async def set(self, **parameters: str) -> None:
        """Changes parameters of the server for all sessions."""
        for name, value in parameters.items():
            await self.database.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await self.database.execute("SELECT pg_reload_conf()")

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """What the service has asked of the database inside of the block, each statement once, sorted."""
        found: list[str] = []
        began = self.statement_log.stat().st_size
        yield found
        with self.statement_log.open() as log:
            log.seek(began)
            found += sorted({one for line in log if (one := statement_in(line))})


def statement_in(line: str) -> str | None:
    """The statement in a line of the log; None where it is another one's, or no query."""
    try:
        said: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    kind, _, statement = str(said.get("message", "")).partition(": ")
    if said.get("application_name") == OURS or not kind.startswith(("execute ", "statement")):
        return None
    words = statement.split(None, 1)
    if not words or words[0].upper() not in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "MERGE"):
        return None
    return statement


def _tailored(plan: Blueprint, parts: list[Part]) -> list[Part]:
    options = [word for name, value in POSTGRES.items() for word in ("-c", f"{name}={value}")]
    return [
        replace(part, command=[*part.command, *options])
        if part.name == "postgres"
        else replace(part, environment={**part.environment, **SETTINGS})
        for part in parts
    ]


@asynccontextmanager
async def growing_shop(folder: Path) -> AsyncIterator[GrowingShop]:
    async with AsyncExitStack() as open_:
        stack = await open_.enter_async_context(Stack(folder, carrier_clock=PARCELS_STAY, tailor=_tailored))
        with _environment(stack.environment | SETTINGS):
            settings = Settings()
        who = Bearer(folder, Role.SHOP, Role.OPERATIONS)
        ends = ((stack.urls.api, who), (stack.urls.stripe, None), (stack.urls.carrier, None))
        http, stripe, carrier = [
            await open_.enter_async_context(
                httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False, auth=auth)
            )
            for url, auth in ends
        ]
        ours = {"application_name": OURS, "timezone": "UTC"}
        pool = asyncpg.create_pool(stack.urls.database_url, min_size=1, max_size=8, server_settings=ours)
        database = await open_.enter_async_context(pool)
        client = await temporal.connect(settings)
        yield GrowingShop(stack, settings, http, stripe, carrier, database, client)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Settings are read from the environment once; this process has its own again afterwards."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
