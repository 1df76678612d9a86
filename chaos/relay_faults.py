"""Faults of the relays, in which the shop's consumers run, too: a pause, and a kill in the middle of a batch."""

import asyncio
import time
from contextlib import suppress

import asyncpg
import psutil

from chaos.links import RELAYS, Links
from devstack.stack.process import PartState
from devstack.stack.stack import Stack

TABLES = ("event_archive", "notifications", "consumer_sequences")
"""To which a consumer writes after its positions; a batch that waits for one of them has moved these already."""

WHILE_SENDING = 0.3  # seconds that every byte to the broker is late before a pause: events are in hand when it comes
SESSIONS_END_AFTER = 1.0  # seconds of a pause
BATCH_WITHIN = 4.0  # seconds; a service's statement waits longer for a lock
LOOK_EVERY = 0.01  # seconds

_WAITING = "SELECT client_port FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid)) AND query ILIKE $2"


async def pause(stack: Stack, links: Links, relay: str, seconds: float) -> None:
    """SIGSTOP, most probably between two waves of events; its sessions end, and with them its locks; SIGCONT.

    What it had read it goes on sending, while the other relay has long sent the same.
    """
    to_broker, to_database = f"{relay}-nats", f"{relay}-postgres"
    if to_broker not in links.held_ones:
        links[to_broker].delay = WHILE_SENDING
        await asyncio.sleep(WHILE_SENDING)
    with suppress(psutil.NoSuchProcess, KeyError):  # another fault has killed it
        process = psutil.Process(stack.pids[relay])
        process.suspend()
        try:
            if to_broker not in links.held_ones:
                links[to_broker].heal()
            await asyncio.sleep(SESSIONS_END_AFTER)
            if to_database not in links.held_ones:
                links[to_database].drop()
            await asyncio.sleep(max(0.0, seconds - SESSIONS_END_AFTER))
        finally:
            process.resume()


async def kill_in_batch(stack: Stack, links: Links, table: str) -> str | None:
    """SIGKILL of the relay that writes to the table in the middle of a transaction; which one, None if none came.

    The table is locked so that the first one has to wait there.
    """
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):  # PostgreSQL is away
        connection = await asyncpg.connect(stack.urls.database_url, ssl=False, timeout=5)
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '2s'")
                await connection.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
                relay = await _who_waits(connection, links, table)
                if relay is not None and stack.parts[relay].state is PartState.READY:
                    stack.kill(relay)
                    return relay
        finally:
            connection.terminate()
    return None


async def _who_waits(connection: asyncpg.Connection, links: Links, table: str) -> str | None:
    own = await connection.fetchval("SELECT pg_backend_pid()")
    deadline = time.monotonic() + BATCH_WITHIN
    while time.monotonic() < deadline:
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        for row in await connection.fetch(_WAITING, own, f"%INSERT INTO {table}%"):
            for relay in RELAYS:
                if links[f"{relay}-postgres"].carries(row["client_port"]):
                    return relay
        await asyncio.sleep(LOOK_EVERY)
    return None
