"""How many webhooks a relay delivers, how late, and what one costs: `python -m benchmarks.merchant_webhooks`.

The merchant's endpoint is a process of its own on loopback that answers at once, without TLS; PostgreSQL is real.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from rich.console import Console

from adapters.postgres.database import create_engine, create_sessions, dispose
from adapters.settings import Settings
from benchmarks.consumers import Cost, database_cpu, own_cpu
from devstack.stack.ports import LOOPBACK
from devstack.stack.stack import Stack
from tests.support.consumers import order_event
from tests.support.merchants import Merchants

EACH = 9  # events of an order


async def receive() -> None:
    """The endpoint: tells its port, and of each request the event's id and when it came."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        print(json.dumps([request.headers["webhook-id"], time.time()]), flush=True)  # noqa: T201  # whoever started it
        return web.Response()

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    print(runner.addresses[0][1], flush=True)  # noqa: T201
    await asyncio.Event().wait()


class Endpoint:
    """The process, and what it got."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self._process, self._lines, self.url = process, process.stdout, ""
        self.came: dict[str, float] = {}

    async def begin(self) -> None:
        self.url = f"http://{LOOPBACK}:{int(await self._lines.readline())}/"

    async def got(self, number: int) -> None:
        while len(self.came) < number:
            event_id, at = json.loads(await self._lines.readline())
            self.came[event_id] = at


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.merchant_webhooks", "--receive", stdout=asyncio.subprocess.PIPE
    )
    found = Endpoint(process)
    try:
        await found.begin()
        yield found
    finally:
        process.kill()
        await process.wait()


async def catch_up(merchants: Merchants, orders: int) -> Cost:
    """All events of so many orders wait for one endpoint."""
    async with endpoint() as one:
        await merchants.register(one.url)
        for sequence in range(1, EACH + 1):
            await merchants.happen(*(order_event(f"a{n}", sequence) for n in range(orders)))
        own, database, began = own_cpu(), database_cpu(), time.monotonic()
        async with merchants.running():
            await one.got(orders * EACH)
            cost = Cost(orders * EACH, time.monotonic() - began, own_cpu() - own, database_cpu() - database)
    await merchants.ask("UPDATE webhook_endpoints SET deleted_at = now()")
    return cost


async def live(merchants: Merchants, pace: float, seconds: float) -> tuple[Cost, list[float]]:
    """Events come one by one; of each the seconds from its commit until the endpoint has it."""
    committed: dict[str, float] = {}
    async with endpoint() as one, merchants.running() as loop:
        await merchants.register(one.url)
        own, database, began = own_cpu(), database_cpu(), time.monotonic()
        while time.monotonic() < began + seconds:
            event = order_event(f"b{len(committed) // EACH}", len(committed) % EACH + 1)
            await merchants.happen(event)
            committed[event.id] = time.time()
            loop.wake()
            await asyncio.sleep(max(0.0, began + len(committed) / pace - time.monotonic()))
        await one.got(len(committed))
        cost = Cost(len(committed), time.monotonic() - began, own_cpu() - own, database_cpu() - database)
        return cost, [one.came[event_id] - at for event_id, at in committed.items()]


async def main(orders: int, pace: float, seconds: float) -> None:
    out = Console(highlight=False, width=140)
    with tempfile.TemporaryDirectory(prefix="ordersaga-bench-", ignore_cleanup_errors=True) as folder:
        async with Stack(Path(folder), parts={"postgres"}) as stack:
            settings = Settings(database_url=stack.environment["DATABASE_URL"], webhook_private_targets=True)
            engine = create_engine(settings)
            merchants = Merchants(engine, create_sessions(engine), settings)
            out.print(f"catching up      {await catch_up(merchants, orders)}")
            cost, late = await live(merchants, pace, seconds)
            half, most = statistics.median(late), statistics.quantiles(late, n=100)[98]
            out.print(
                f"{pace:.0f} events/s     {cost}, commit to endpoint p50 {half * 1e3:.0f} p99 {most * 1e3:.0f} ms"
            )
            await dispose(engine)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=300, help="that wait, of nine events each")
    parser.add_argument("--pace", type=float, default=180.0, help="events a second of the second part")
    parser.add_argument("--seconds", type=float, default=8.0, help="of the second part")
    parser.add_argument("--receive", action="store_true", help="be the merchant's endpoint")
    options = parser.parse_args()
    asyncio.run(receive() if options.receive else main(options.orders, options.pace, options.seconds))
