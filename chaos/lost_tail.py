"""A broker that comes back without what it acknowledged last, and the operator who makes it whole.

JetStream acknowledges before it syncs to the disk, so a power loss takes the latest events. Here an earlier state of
its files takes the place of the present one.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from chaos.event_books import last_position
from devstack.stack.identities import Bearer
from devstack.stack.parts import PROJECT
from devstack.stack.stack import Stack

LONGEST_OUTAGE = timedelta(seconds=120)
"""So much earlier than its publication an event may have happened: no outage of these runs lasts longer."""

IN_ORDER = "stock_hints"
"""The consumer that passes over an event of which it has a later one; the others know what they have by its id."""

PATIENCE = 150.0  # seconds for each thing that the operator does
AGAIN_EVERY = 1.0  # seconds

_LEFT = """
    SELECT count(*) FROM outbox WHERE time < $1 AND parked_at IS NULL
       AND (published_at IS NULL OR NOT EXISTS (
            SELECT FROM event_archive WHERE event_archive.event_id = outbox.event_id))
"""


class LostTail(NamedTuple):
    """What the broker does not have any more."""

    since: datetime
    events: int  # at least


async def lose_tail(stack: Stack, meanwhile: Callable[[], Awaitable[None]]) -> LostTail:
    """Everything that the broker takes meanwhile is gone when it is back."""
    nats, store = stack.parts["nats"], stack.folder / "nats"
    earlier = store.with_name("nats.earlier")
    await nats.stop()
    since = datetime.now(UTC)
    await asyncio.to_thread(_copy, store, earlier)
    await nats.start()
    await meanwhile()
    before = await last_position(stack.urls.nats)
    await nats.stop()
    await asyncio.to_thread(_swap, earlier, store)
    await nats.start()
    return LostTail(since, max(0, before - await last_position(stack.urls.nats)))


def _copy(store: Path, earlier: Path) -> None:
    shutil.rmtree(earlier, ignore_errors=True)
    subprocess.run(["cp", "-a", str(store), str(earlier)], check=True)


def _swap(earlier: Path, store: Path) -> None:
    shutil.rmtree(store)
    earlier.rename(store)


class Operator:
    """Does by the command what docs/cli.md says of a broker that lost events, again while the API is away."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    async def make_whole(self, lost_since: datetime) -> None:
        """Has the events replayed, and once they are in the archive, has the consumer read them that needs an order.

        Raises TimeoutError when that takes too long.
        """
        begin, asked = (lost_since - LONGEST_OUTAGE).isoformat(), datetime.now(UTC)
        await self._command("events", "replay", "--from", begin)
        await self._archived(asked)
        await self._command("events", "reset", IN_ORDER, "--to", begin)

    async def _command(self, *words: str) -> Any:
        """What `ordersaga` says. It is tried again for as long as it fails: the API has just been killed."""
        command = [sys.executable, str(PROJECT / "cli.py"), *words, "--json"]
        who = Bearer.of_operations(self._stack.folder, "chaos").token
        urls = {"ORDERSAGA_API_URL": self._stack.urls.api, "ORDERSAGA_TOKEN": who, "PYTHONPATH": str(PROJECT)}
        deadline = time.monotonic() + PATIENCE
        while True:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, **self._stack.environment, **urls},
                cwd=self._stack.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            said, wrong = await process.communicate()
            if process.returncode == 0:
                return json.loads(said)
            if time.monotonic() > deadline:
                raise TimeoutError(f"ordersaga {' '.join(words)}: {wrong.decode()[-500:] or said.decode()[-500:]}")
            await asyncio.sleep(AGAIN_EVERY)

    async def _archived(self, asked: datetime) -> None:
        """Comes back when all that happened before is published and archived."""
        deadline, left = time.monotonic() + PATIENCE, -1
        while left != 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{left} events are not published and archived yet")
            try:
                connection = await asyncpg.connect(self._stack.urls.database_url, ssl=False, timeout=5)
                try:
                    left = await connection.fetchval(_LEFT, asked, timeout=10)
                finally:
                    connection.terminate()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):  # it has just been killed
                left = -1
            if left:
                await asyncio.sleep(AGAIN_EVERY)
