"""Orders that wait for their parcel: what they take of memory while nothing happens, and what it costs to wake them.

They are copies of an order that is ready to ship, with every fence done, and a workflow of their own that ran through
these fences without a call to a far end. The carrier's simulator knows their parcels.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.postgres.database import create_engine, create_sessions, dispose
from benchmarks.growth.copies import PARKED, Tell, grow
from benchmarks.growth.rate import meter_of
from benchmarks.growth.shop import GrowingShop
from benchmarks.growth.tour import until
from engine.orders import start_signaled
from services.orders.tables import Order

AT_ONCE = 50
BATCH = 1000  # workflows between two words about how far it is
WITHIN = 1800.0  # seconds
PROCESSES = ("worker", "temporal")

_READY = "OrderStatus = 'READY_TO_SHIP' AND ExecutionStatus = 'Running'"
_NEWS = "SELECT NOT EXISTS (SELECT FROM webhook_inbox WHERE processed_at IS NULL)"


@dataclass(frozen=True)
class Parked:
    """Bytes of memory by process before and after they were parked; and of the engine's file."""

    orders: int
    before: Mapping[str, int]
    after: Mapping[str, int]

    def of_one(self, process: str) -> float:
        return (self.after[process] - self.before[process]) / self.orders


@dataclass(frozen=True)
class Woken:
    """`seconds` from the first scan until all orders were SHIPPED; CPU in milliseconds of one order."""

    orders: int
    seconds: float
    cpu: Mapping[str, float]


class Parking:
    """The parked orders of one shop, numbered from `first`."""

    def __init__(self, shop: GrowingShop, first: int, tell: Tell) -> None:
        self._shop, self._first, self._tell = shop, first, tell
        self._shipments: list[str] = []

    async def make(self, orders: int, sample: str) -> list[str]:
        """Rows and parcels of so many orders; their ids. Their workflows are not there yet."""
        async with self._shop.database.acquire() as connection:
            known = set(await self._ids())
            await grow(connection, self._first, orders, self._tell, course=PARKED)
        made = [order_id for order_id in await self._ids() if order_id not in known]
        rows = await self._shop.database.fetch(
            "SELECT order_id, shipment_id FROM shipments WHERE order_id = ANY($1)", made
        )
        original = await self._shop.database.fetchval("SELECT shipment_id FROM shipments WHERE order_id = $1", sample)
        parcels = {row["shipment_id"]: row["order_id"] for row in rows}
        await asyncio.to_thread(copy_parcels, self._shop.stack.folder / "carrier.db", original, parcels)
        self._shipments += parcels
        return made

    async def park(self, order_ids: Sequence[str]) -> Parked:
        """Starts their workflows; comes back when all of them wait for their parcel."""
        shop, before = self._shop, await self._memory()
        waiting = (await shop.temporal.count_workflows(_READY)).count
        engine, room = create_engine(shop.settings), asyncio.Semaphore(AT_ONCE)
        sessions = create_sessions(engine)
        for first in range(0, len(order_ids), BATCH):
            async with sessions() as session:  # not open while they start: the server ends idle transactions
                rows = await _rows(session, order_ids[first : first + BATCH])
            await asyncio.gather(*(self._start(row, room) for row in rows))
            await self._wait_for(waiting + first + len(rows))
            self._tell(f"{first + len(rows):,} of {len(order_ids):,} wait for their parcel")
        await dispose(engine)
        return Parked(len(order_ids), before, await self._memory())

    async def wake(self, orders: int) -> Woken:
        """The carrier scans so many of the parcels, and tells it by webhooks."""
        woken, self._shipments = self._shipments[:orders], self._shipments[orders:]
        meter, began = meter_of(self._shop), time.perf_counter()
        before, room = meter.read(), asyncio.Semaphore(AT_ONCE)

        async def scan(shipment_id: str) -> None:
            async with room:
                url = f"/_control/shipments/{shipment_id}/track"
                (await self._shop.carrier.post(url, json={"status": "in_transit"})).raise_for_status()

        await asyncio.gather(*map(scan, woken))
        shipped = """SELECT count(*) FROM orders JOIN shipments USING (order_id)
                      WHERE shipment_id = ANY($1) AND status = 'SHIPPED'"""
        database = self._shop.database
        await until(lambda found: found == len(woken), database, shipped, woken, within=WITHIN)
        seconds = time.perf_counter() - began
        await until(bool, database, _NEWS, within=WITHIN)
        spent = meter.read().since(before)
        return Woken(len(woken), seconds, {name: 1000 * used / len(woken) for name, used in spent.groups.items()})

    async def _start(self, row: Order, room: asyncio.Semaphore) -> None:
        async with room:
            await start_signaled(self._shop.temporal, self._shop.settings, row, "ship_now", None)

    async def _wait_for(self, waiting: int) -> None:
        deadline = time.monotonic() + WITHIN
        while (await self._shop.temporal.count_workflows(_READY)).count < waiting:
            if time.monotonic() > deadline:
                raise TimeoutError(f"fewer than {waiting} orders wait for their parcel")
            await asyncio.sleep(0.5)

    async def _memory(self) -> dict[str, int]:
        used = {name: psutil.Process(self._shop.stack.pids[name]).memory_info().rss for name in PROCESSES}
        files = self._shop.stack.folder.glob("temporal.db*")
        return used | {"temporal's file": sum(file.stat().st_size for file in files)}

    async def _ids(self) -> list[str]:
        rows = await self._shop.database.fetch("SELECT order_id FROM orders WHERE status = 'READY_TO_SHIP'")
        return [row["order_id"] for row in rows]


async def _rows(session: AsyncSession, order_ids: Sequence[str]) -> list[Order]:
    found = await session.exec(select(Order).where(Order.order_id.in_(order_ids)))  # type: ignore[attr-defined]
    return list(found)


def copy_parcels(file: Path, original: str, parcels: Mapping[str, str]) -> None:
    """Makes the carrier know these shipments, each of the order that is its reference, as it knows the original."""
    store = sqlite3.connect(file, isolation_level=None, timeout=30)
    [(body, created)] = store.execute("SELECT body, created FROM documents WHERE id = ?", (original,)).fetchall()
    shipment = json.loads(body)
    store.execute("BEGIN IMMEDIATE")
    store.executemany(
        "INSERT INTO documents (id, kind, owner, created, body) VALUES (?, 'shipment', ?, ?, ?)",
        [
            (one, order_id, created, json.dumps(shipment | {"id": one, "reference": order_id}))
            for one, order_id in parcels.items()
        ],
    )
    store.execute("COMMIT")
    store.close()
