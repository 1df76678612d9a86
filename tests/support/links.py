"""Settings that lead a service through a proxy, so that a test can break the link while the server itself goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from pydantic import SecretStr

from adapters.settings import Settings
from chaos.proxy import Proxy
from devstack.stack.ports import LOOPBACK


@asynccontextmanager
async def database_link(settings: Settings) -> AsyncIterator[tuple[Proxy, Settings]]:
    """A proxy in front of PostgreSQL, and settings that go through it with deadlines of a second or less."""
    url = urlsplit(settings.database_url.get_secret_value())
    credentials, _, _ = url.netloc.rpartition("@")
    async with Proxy(url.port) as proxy:
        through = url._replace(netloc=f"{credentials}@{LOOPBACK}:{proxy.port}").geturl()
        yield proxy, settings.model_copy(update={"database_url": SecretStr(through)} | SHORT)


SHORT = {
    "database_connect_timeout": 1.0,
    "database_statement_timeout": 1.0,
    "database_idle_in_transaction_timeout": 1.0,
}
"""Deadlines of the database that make an outage longer than any of them short enough for a test."""
