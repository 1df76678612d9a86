"""Databases of a test's own on the suite's PostgreSQL, and migrations in them as an operator runs them."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from devstack.stack.stack import Stack
from tests.support.warm_interpreter import PROJECT


@asynccontextmanager
async def database(stack: Stack, template: str = "template1") -> AsyncIterator[str]:
    """The URL of a new one; `template` is the URL of one to copy, which nobody may be using."""
    url = urlsplit(stack.environment["DATABASE_URL"])
    name = f"own_{secrets.token_hex(4)}"
    async with connection(urlunsplit(url)) as server:
        await server.execute(f"CREATE DATABASE {name} TEMPLATE {urlsplit(template).path.lstrip('/') or template}")
        try:
            yield urlunsplit(url._replace(path=f"/{name}"))
        finally:
            await server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    made = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    try:
        yield made
    finally:
        await made.close()


class Migration:
    """One run of `alembic`, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said = ""

    async def hears(self, words: str) -> None:
        """Returns when the run has said them. Raises AssertionError when it ends without."""
        assert self._process.stdout is not None
        while words not in self.said:
            line = await self._process.stdout.readline()
            assert line, self.said
            self.said += line.decode()

    async def end(self) -> int:
        rest, _ = await self._process.communicate()
        self.said += rest.decode()
        return self._process.returncode or 0


async def alembic(url: str, *words: str) -> Migration:
    return Migration(
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-u",
            "-m",
            "alembic",
            *words,
            cwd=PROJECT,
            env={"DATABASE_URL": url, "PATH": os.environ["PATH"]},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    )


async def migrate(url: str, *words: str) -> str:
    """Runs to its end, which has to be a good one; what it said."""
    run = await alembic(url, *words)
    assert await run.end() == 0, run.said
    return run.said
