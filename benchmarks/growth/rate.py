"""Orders per second, percentiles and CPU per order of the whole service, over many products or all on one."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx

from benchmarks.figures import percentile
from benchmarks.growth.copies import PRODUCTS
from benchmarks.growth.shop import PATIENCE, GrowingShop
from benchmarks.load import drive
from benchmarks.processes import CpuMeter
from benchmarks.service import Service
from devstack.stack.identities import Bearer


@dataclass(frozen=True)
class Rate:
    """One measurement. Rates in orders per second, latencies in seconds, CPU in milliseconds of one order."""

    orders: int
    answered: float  # rate of the checkout's answers
    shipped: float  # rate until all of them were ready to ship
    p50: float
    p99: float
    cpu: Mapping[str, float]
    elsewhere: float  # share of the machine that others took


class GrownService(Service):
    """Checkouts over the products and customers of the copies, or all of one product."""

    def __init__(self, http: httpx.AsyncClient, database: asyncpg.Pool, products: int) -> None:
        super().__init__(http, database)
        self._products = products

    def body(self, number: int) -> dict[str, Any]:
        product, customer = number * 7 % self._products, number % 10
        return super().body(number) | {
            "customerId": f"growth-{customer:07}",
            "items": [{"productId": f"growth-{product:04}", "quantity": 1}],
        }


def meter_of(shop: GrowingShop) -> CpuMeter:
    pids = shop.stack.pids
    groups = {name: [pids[name]] for name in ("postgres", "worker", "api", "relay", "temporal")}
    return CpuMeter(groups | {"simulators": [pids["stripe"], pids["carrier"]]})


async def measure(shop: GrowingShop, orders: int, at_once: int, products: int = PRODUCTS) -> Rate:
    """Places so many orders in a closed loop, and follows them until they are ready and their webhooks are done."""
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once, keepalive_expiry=2)
    async with httpx.AsyncClient(
        base_url=shop.stack.urls.api,
        limits=limits,
        timeout=PATIENCE,
        trust_env=False,
        auth=Bearer(shop.stack.folder),
    ) as http:
        service = GrownService(http, shop.database, products)
        run = secrets.token_hex(6)
        meter, began = meter_of(shop), time.perf_counter()
        before = meter.read()
        shift = await drive(service.place, [f"{run}-{number}" for number in range(orders)], at_once)
        shipped, _ = await service.settle(shift)
        assert shipped is not None
        spent, wall = meter.read().since(before), time.perf_counter() - began
    return Rate(
        orders=orders,
        answered=orders / shift.seconds,
        shipped=orders / shipped.seconds,
        p50=percentile(shift.latencies, 50),
        p99=percentile(shift.latencies, 99),
        cpu={name: 1000 * seconds / orders for name, seconds in spent.groups.items()},
        elsewhere=spent.elsewhere / wall / (os.cpu_count() or 1),
    )
