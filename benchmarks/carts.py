"""What a cart costs its customer: `python -m benchmarks.carts`.

An add, a read and a checkout, alone and twenty at once, beside `POST /api/orders` on the same stack. The rounds of
all kinds take turns, so that a slow moment of the machine is everybody's.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
from rich.console import Console

from benchmarks.errors import BenchmarkFailed
from benchmarks.load import drive
from benchmarks.options import positive, positive_each
from benchmarks.report import markdown_table
from benchmarks.service import PARCELS_STAY, Service, open_service
from devstack.stack.identities import Bearer
from devstack.stack.interruption import run_command
from devstack.stack.progress import Progress
from devstack.stack.stack import Stack

ROUNDS = 3
HEADINGS = ("", "at once", "requests", "p50 ms", "p99 ms")

Place = Callable[[str], Awaitable[str]]


class Customers:
    """Each with a cart of one product, made by the first add."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http, self._carts = http, dict[str, str]()

    async def begin(self, name: str) -> str:
        """A customer of this name, whose cart has one piece."""
        customer = {"customerId": name, "name": "Bench", "email": "bench@example.com"}
        _checked(await self._http.post("/api/customers", json=customer), 201)
        return await self.add(name)

    async def add(self, name: str) -> str:
        body = {"productId": "bench-0", "quantity": 1}
        answer = _checked(await self._http.post(f"/cart/{name}/add", json=body), 200)
        self._carts[name] = str(answer.json()["cartId"])
        return name

    async def read(self, name: str) -> str:
        _checked(await self._http.get(f"/cart/{name}"), 200)
        return name

    async def check_out(self, name: str) -> str:
        """The order's id; two pieces at 19.99."""
        body = {"paymentMethod": "pm_card_visa", "expectedTotal": "39.98"}
        path = f"/api/carts/{self._carts[name]}/checkout"
        answer = await self._http.post(path, json=body, headers={"Idempotency-Key": name})
        return str(_checked(answer, 201).json()["orderId"])


def _checked(answer: httpx.Response, status: int) -> httpx.Response:
    if answer.status_code != status:
        raise BenchmarkFailed(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}"
        )
    return answer


async def measure(http: httpx.AsyncClient, service: Service, orders: int, at_once: int) -> list[tuple[str, ...]]:
    """The rows of the table for so many requests at once."""
    customers, found = Customers(http), defaultdict[str, list[float]](list)

    async def timed(kind: str, do: Place, names: list[str]) -> None:
        found[kind] += (await drive(do, names, at_once)).latencies

    for number in range(ROUNDS):
        names = [f"cart-{at_once}-{number}-{one}" for one in range(orders // ROUNDS)]
        await drive(customers.begin, names, at_once)
        await timed("POST /api/orders", service.place, [f"order-{name}" for name in names])
        await timed("POST /cart/{id}/add", customers.add, names)
        await timed("GET /cart/{id}", customers.read, names)
        await timed("POST /api/carts/{id}/checkout", customers.check_out, names)
    return [(kind, str(at_once), *_figures(seconds)) for kind, seconds in found.items()]


def _figures(seconds: list[float]) -> tuple[str, str, str]:
    ranked = sorted(seconds)
    p50, p99 = ranked[len(ranked) // 2], ranked[min(len(ranked) - 1, len(ranked) * 99 // 100)]
    return str(len(ranked)), f"{1000 * p50:.1f}", f"{1000 * p99:.1f}"


async def bench(given: argparse.Namespace) -> int:
    out, observe = Console(), Progress()
    async with AsyncExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="ordersaga-carts-"))
        stack = Stack(Path(folder), carrier_clock=PARCELS_STAY, environ=os.environ, observe=observe)
        await running.enter_async_context(stack)
        most = max(given.concurrency)
        service = await running.enter_async_context(
            open_service(stack.urls.api, stack.environment["DATABASE_URL"], most, stack.folder)
        )
        who = Bearer(stack.folder)
        limits = httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=2)
        http = httpx.AsyncClient(base_url=stack.urls.api, limits=limits, timeout=60, trust_env=False, auth=who)
        await running.enter_async_context(http)
        await service.prepare()
        await measure(http, service, ROUNDS * most, most + 1)  # warm-up
        rows = [row for at_once in given.concurrency for row in await measure(http, service, given.orders, at_once)]
        observe.stopping()
    out.print(markdown_table(HEADINGS, rows), markup=False, highlight=False, soft_wrap=True)
    return 0


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.carts", description=__doc__)
    parser.add_argument("--orders", type=positive, default=120, help="of each kind (default 120)")
    parser.add_argument("--concurrency", type=positive_each, default=(1, 20), help="with commas (default 1,20)")
    return parser.parse_args(words)


if __name__ == "__main__":
    run_command(bench(options_of()))
