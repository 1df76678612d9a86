"""What publishing costs: from commit to consumer, events a second and CPU, and the catch-up after an outage.

`python -m benchmarks.published_events` starts PostgreSQL (synced to the disk) and NATS in a throw-away folder; relay,
writer and reader run in this process, so that the CPU of the catch-up is the relay's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.bus.connect import open_broker
from adapters.bus.port import BusAway
from adapters.postgres.database import autocommit, create_engine, create_sessions, dispose
from adapters.postgres.hints import Hints
from adapters.postgres.partition_locks import PartitionLocks
from adapters.settings import Settings
from benchmarks.options import positive
from devstack.stack.interruption import run_command
from devstack.stack.stack import Stack
from domain.cloud_events import CloudEvent
from events.outbox_relay import OutboxRelay
from events.parked_events import ParkedEvents
from events.relay import OutboxLoop
from services.outbox.waiting import CHANNEL, LANES, Waiting

OUT = Console(highlight=False)
WARMING = 1.0  # seconds
STEPS = 6  # transactions of an order that write events
EVENTS = 2  # of each
DATA = {"orderId": "0" * 32, "words": "x" * 600}

_BACKLOG = text("""
    INSERT INTO outbox (event_id, type, source, subject, sequence, time, data)
    SELECT gen_random_uuid(), 'ordersaga.order.placed.v1', '/orders', 'o' || (n % :subjects), n / :subjects, now(),
           CAST(:data AS jsonb)
      FROM generate_series(0, :events - 1) AS n
""")
_STEP = text("""
    INSERT INTO outbox (event_id, type, source, subject, sequence, time, data)
    SELECT gen_random_uuid(), 'ordersaga.order.placed.v1', '/orders', :subject, :first + n, clock_timestamp(),
           CAST(:data AS jsonb)
      FROM generate_series(0, :events - 1) AS n RETURNING event_id
""")


class Lags:
    """Not of interest here: what counts is when a consumer has it."""

    def published(self, lags: Sequence[float]) -> None: ...

    def refused(self) -> None: ...

    def failed(self, number: int) -> None: ...


class Bench:
    """One stack, and a relay in this process."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self._settings, self._engine = settings, engine
        self._writes = autocommit(engine)

    def _relay(self) -> OutboxRelay:
        assert self._settings.broker_url is not None
        broker = open_broker(self._settings.broker_url.get_secret_value(), self._settings)
        lanes = PartitionLocks(self._settings, "outbox", LANES)
        parked = ParkedEvents(create_sessions(self._engine))
        return OutboxRelay(Waiting(self._writes), lanes, broker, parked, Lags(), timedelta(days=1))

    async def catch_up(self, events: int) -> None:
        """A backlog, published as fast as it goes."""
        values = {"events": events, "subjects": max(1, events // 10), "data": json.dumps(DATA)}
        async with self._writes.connect() as connection:
            await connection.execute(_BACKLOG, values)
            await connection.execute(text("ANALYZE outbox"))
        began, cpu = time.perf_counter(), time.process_time()
        await self._publish_all()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        OUT.print(f"catch-up of {events} events: {seconds:.1f} s, {events / seconds:.0f} a second")
        OUT.print(f"CPU of the relay: {1e6 * cpu / events:.0f} us an event")

    async def _publish_all(self) -> None:
        relay = self._relay()
        while (await relay.turn()).taken:
            pass
        await relay.aclose()

    async def commit_to_consumer(self, rate: int, seconds: int) -> None:
        """`rate` orders a second; the relay is woken by hints."""
        seen: dict[str, float] = {}
        committed: dict[str, float] = {}
        await self._write(rate, WARMING, None, {})
        alone = time.process_time()
        await self._write(rate, seconds, None, {})
        alone = time.process_time() - alone
        await self._publish_all()
        loop, hints = OutboxLoop(self._settings, self._relay()), Hints(self._engine)
        tasks = [asyncio.create_task(one) for one in loop.loops()]
        await loop.listening.wait()
        assert self._settings.broker_consumer_url is not None
        reader = open_broker(self._settings.broker_consumer_url.get_secret_value(), self._settings)
        heads = [await reader.head(partition) for partition in range(8)]
        tasks += [asyncio.create_task(self._read(reader, n, heads[n].last, seen)) for n in range(8)]
        await self._write(rate, WARMING, hints, {})
        cpu = time.process_time()
        await self._write(rate, seconds, hints, committed)
        while committed.keys() - seen.keys():  # noqa: ASYNC110  # eight readers would have to tell
            await asyncio.sleep(0.05)
        cpu = time.process_time() - cpu - alone
        await hints.aclose()
        await loop.stop()
        for task in tasks:
            task.cancel()
        await reader.aclose()
        lags = sorted(1000 * (seen[one] - at) for one, at in committed.items())
        p50, p99 = median(lags), quantiles(lags, n=100)[98]
        OUT.print(f"commit to consumer at {rate} orders a second, {len(lags)} events, in ms:")
        OUT.print(f"p50 {p50:.1f}, p99 {p99:.1f}, longest {lags[-1]:.0f}")
        per_order = 1000 / (rate * seconds)
        OUT.print(f"CPU of hints, relay and reader: {per_order * cpu:.1f} ms an order, beside", end=" ")
        OUT.print(f"{per_order * alone:.1f} ms of the writer alone")

    async def _write(self, rate: int, seconds: float, hints: Hints | None, committed: dict[str, float]) -> None:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as writers:
            for number in range(int(rate * STEPS * seconds)):
                await asyncio.sleep(max(0.0, began + number / (rate * STEPS) - time.perf_counter()))
                writers.create_task(self._step(number, hints, committed))

    async def _step(self, number: int, hints: Hints | None, committed: dict[str, float]) -> None:
        run = f"live{id(committed)}-{number // STEPS}"
        values = {"subject": run, "first": number % STEPS * EVENTS, "events": EVENTS}
        async with self._writes.connect() as connection:
            rows = (await connection.execute(_STEP, values | {"data": json.dumps(DATA)})).scalars().all()
        at = time.perf_counter()
        if hints is not None:
            hints.give(CHANNEL)
        committed.update(dict.fromkeys(rows, at))

    async def _read(self, reader: object, partition: int, after: int, seen: dict[str, float]) -> None:
        try:
            async for batch in reader.read(partition, after):  # type: ignore[attr-defined]
                at = time.perf_counter()
                seen.update({CloudEvent.from_json(one.body).id: at for one in batch})
        except BusAway as error:
            OUT.print(str(error))


@asynccontextmanager
async def open_bench() -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        environ = {"PATH": os.environ["PATH"], "HOME": folder}
        parts = {"postgres", "nats"}
        async with Stack(Path(folder), ephemeral=False, parts=parts, environ=environ) as stack:
            env = stack.environment
            settings = Settings(
                database_url=env["DATABASE_URL"],
                broker_url=env["ORDERSAGA_BROKER_URL"],
                broker_consumer_url=env["ORDERSAGA_BROKER_CONSUMER_URL"],
            )
            engine = create_engine(settings)
            try:
                yield Bench(settings, engine)
            finally:
                await dispose(engine)


async def measure(events: int, rate: int, seconds: int) -> int:
    async with open_bench() as bench:
        await bench.catch_up(events)
        await bench.commit_to_consumer(rate, seconds)
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published_events", description=__doc__)
    parser.add_argument("--events", type=positive, default=100_000, help="of the backlog")
    parser.add_argument("--rate", type=positive, default=20, help="orders a second")
    parser.add_argument("--seconds", type=positive, default=15, help="at that rate")
    chosen = parser.parse_args()
    run_command(measure(chosen.events, chosen.rate, chosen.seconds), when_interrupted=130)


if __name__ == "__main__":
    main()
