"""A closed loop of clients: each places its next order when it has the answer to the one before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Shift:
    """What the clients saw. Times in seconds; `keys` are what `place` returned."""

    began: float  # Unix time
    seconds: float
    latencies: list[float]
    keys: list[str]
    late: int = 0  # orders that were answered before they were confirmed or refused
    refused: int = 0  # answers that put an order off: more checkouts than could be served


async def drive(place: Callable[[str], Awaitable[str]], order_ids: Sequence[str], at_once: int) -> Shift:
    """Places every order with `at_once` clients; the first failure ends it."""
    waiting = iter(order_ids)
    latencies: list[float] = []
    keys: list[str] = []

    async def client() -> None:
        for order_id in waiting:
            asked = time.perf_counter()
            keys.append(await place(order_id))
            latencies.append(time.perf_counter() - asked)

    began, start = time.time(), time.perf_counter()
    async with asyncio.TaskGroup() as clients:
        for _ in range(min(at_once, len(order_ids))):
            clients.create_task(client())
    return Shift(began, time.perf_counter() - start, latencies, keys)
