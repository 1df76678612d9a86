"""`python -m benchmarks.growth`: what an order costs in a shop that has a thousand, or a million of them.

The shop is made large by copies of real orders (`copies.py`). `--help` lists the options.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks.growth import copies, report
from benchmarks.growth.parked import Parking
from benchmarks.growth.plans import Judged, judge
from benchmarks.growth.rate import Rate, measure
from benchmarks.growth.report import Size
from benchmarks.growth.shop import GrowingShop, growing_shop
from benchmarks.growth.tour import Tour
from benchmarks.growth.weights import weigh, weigh_json
from benchmarks.options import positive, positive_each
from benchmarks.processes import PROJECT
from devstack.stack.interruption import run_command

BUILD = PROJECT / "build"
PARTS = ("plans", "rate", "one-product", "bytes", "parked")
SIZES = (1_000, 100_000, 1_000_000)
CUSTOMER = "growth-sample"
WARM_UP = 40  # orders
FLUSHED = 1.5  # seconds until every process has told the server what it has read


@dataclass
class Growth:
    """One run on one shop, from the smallest size to the largest."""

    shop: GrowingShop
    options: argparse.Namespace
    out: Console
    began: float = field(default_factory=time.monotonic)
    orders: int = 0  # copies so far
    samples: dict[str, str] = field(default_factory=dict)

    def tell(self, what: str) -> None:
        self.out.print(f"{time.monotonic() - self.began:6.0f} s  {what}", highlight=False)

    async def ready_for(self, what: str) -> None:
        """With `--ask` waits for Enter: what follows should have the machine for itself."""
        self.tell(what)
        if self.options.ask:
            self.out.print("press Enter", highlight=False)
            await asyncio.to_thread(sys.stdin.readline)

    async def prepare(self) -> None:
        database = self.shop.database
        await database.execute(
            "INSERT INTO customers (customer_id, name, email, created_at) VALUES ($1, 'A', 'a@example.com', now())",
            CUSTOMER,
        )
        async with database.acquire() as connection:
            await copies.open_catalogue(connection)
            self.tell("one order of each course")
            self.samples = await Tour(self.shop, "growth-0000", CUSTOMER).orders()
            await copies.sort_samples(connection, self.samples)

    async def grow_to(self, orders: int) -> None:
        await self.shop.set(full_page_writes="off")  # of a copy, a whole page for each of its rows
        async with self.shop.database.acquire() as connection:
            more = orders - self.orders
            await copies.grow(connection, self.orders, more, self.tell, pruned=self.options.pruned)
        await self.shop.set(full_page_writes="on")
        self.orders = orders

    async def at(self, orders: int) -> Size:
        """All parts that were asked for at one size."""
        await self.grow_to(orders)
        size, only = Size(orders), self.options.only
        if "plans" in only:
            await self._plans(size)
        if "bytes" in only:
            size.weights, size.json = await weigh(self.shop.database), await weigh_json(self.shop.database)
        if "rate" in only or "one-product" in only:
            await self._rates(size)
        return size

    async def _plans(self, size: Size) -> None:
        self.tell("a tour of every path")
        tour = Tour(self.shop, "growth-0000", CUSTOMER)
        await self.shop.set(log_statement="all")
        before = await self.shop.seq_scans()
        with self.shop.statements() as statements:
            await tour.visit()
        await self.shop.set(log_statement="none")
        await asyncio.sleep(FLUSHED)
        after = await self.shop.seq_scans()
        size.took = tour.took
        size.read_whole = {name: count - before.get(name, 0) for name, count in after.items()}
        size.judged = await judge(self.shop.database, statements)
        size.without_index = await judge(self.shop.database, statements, forced=True)

    async def _sealed(self) -> None:
        """Until the relay has sealed the copies' customers, which come in clear; those of a shop never did."""
        self.tell("customers are sealed")
        clear = "SELECT EXISTS (SELECT FROM customers WHERE name IS NOT NULL OR email IS NOT NULL)"
        while await self.shop.database.fetchval(clear):  # noqa: ASYNC110  # another process changes it
            await asyncio.sleep(1)

    async def _rates(self, size: Size) -> None:
        await self._sealed()
        await self.ready_for(f"rates with {size.orders:,} orders")
        await self._measure(WARM_UP)
        for _ in range(self.options.rounds):
            if "rate" in self.options.only:
                size.spread.append(await self._measure(self.options.orders))
            if "one-product" in self.options.only:
                size.one_product.append(await self._measure(self.options.orders, products=1))

    async def _measure(self, orders: int, products: int = copies.PRODUCTS) -> Rate:
        found = await measure(self.shop, orders, self.options.concurrency, products)
        self.tell(f"{found.shipped:.1f} orders/s, {sum(found.cpu.values()):.0f} ms of CPU an order")
        return found

    async def park(self) -> report.Parking:
        parking = Parking(self.shop, copies.AFTER_ALL, self.tell)
        made = await parking.make(self.options.parked, self.samples["ready"])
        await self.ready_for(f"{len(made):,} orders begin to wait for their parcel")
        parked = await parking.park(made)
        await self.ready_for(f"the carrier scans {self.options.woken:,} parcels")
        return report.Parking(parked, await parking.wake(self.options.woken))


async def run(options: argparse.Namespace) -> int:
    out, sizes, parking = Console(), list[Size](), None
    with tempfile.TemporaryDirectory(prefix="ordersaga-growth-", ignore_cleanup_errors=True) as folder:
        async with growing_shop(Path(folder)) as shop:
            growth = Growth(shop, options, out)
            await growth.prepare()
            if set(options.only) - {"parked"}:
                sizes = [await growth.at(orders) for orders in sorted(options.sizes)]
            if "parked" in options.only:
                parking = await growth.park()
    text = report.markdown(sizes, parking)
    BUILD.mkdir(exist_ok=True)
    (BUILD / "growth.md").write_text(text)
    out.print(text, markup=False, highlight=False, soft_wrap=True)
    return 1 if any(found_in(size.judged) or found_in(size.without_index) for size in sizes) else 0


def found_in(judged: Judged | None) -> bool:
    return judged is not None and bool(judged.findings)


def parts(words: str) -> list[str]:
    chosen = words.split(",")
    if unknown := set(chosen) - set(PARTS):
        raise ValueError(f"unknown: {sorted(unknown)}")
    return chosen


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--sizes", type=positive_each, default=SIZES, help="orders in the tables, with commas")
    parser.add_argument("--only", type=parts, default=list(PARTS), help=f"with commas: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=positive, default=2, help="measurements of each rate (default 2)")
    parser.add_argument("--orders", type=positive, default=100, help="orders of a measurement (default 100)")
    parser.add_argument("--concurrency", type=positive, default=20, help="orders at once (default 20)")
    parser.add_argument("--parked", type=positive, default=10_000, help="orders that wait for their parcel")
    parser.add_argument("--woken", type=positive, help="how many of them the carrier wakes (default all)")
    parser.add_argument("--pruned", action="store_true", help="inbox and outbox have the last 30 days only")
    parser.add_argument("--ask", action="store_true", help="wait for Enter before what should run alone")
    options = parser.parse_args(words)
    options.woken = min(options.woken or options.parked, options.parked)
    return options


if __name__ == "__main__":
    run_command(run(options_of()))
