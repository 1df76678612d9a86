"""How soon a webhook is answered, beside a request that does nothing: `python -m benchmarks.webhooks`.

New events, the same ones again, and `/healthz` take turns on one stack, in blocks of 50, one and 20 at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import stripe
from rich.console import Console
from rich.table import Table

from benchmarks.figures import PERCENTILES, percentile
from devstack.stack.interruption import run_command
from devstack.stack.progress import Progress
from devstack.stack.stack import Stack

BLOCK = 50
PARTS = {"postgres", "temporal", "stripe", "carrier", "api", "relay"}

Request = Callable[[], Awaitable[httpx.Response]]


class Sender:
    """Signs events as Stripe does. `known` are those that were sent: they may be sent again."""

    def __init__(self, http: httpx.AsyncClient, secret: str) -> None:
        self._http, self._secret = http, secret
        self._known: list[str] = []

    async def healthz(self) -> httpx.Response:
        return await self._http.get("/healthz")

    async def new(self) -> httpx.Response:
        about = {"object": "payment_intent", "id": f"pi_{secrets.token_hex(8)}"}
        event = {"id": f"evt_{secrets.token_hex(8)}", "object": "event", "api_version": stripe.api_version}
        raw = json.dumps(event | {"type": "payment_intent.succeeded", "data": {"object": about}})
        self._known.append(raw)
        return await self._send(raw)

    async def again(self) -> httpx.Response:
        return await self._send(self._known.pop())

    async def _send(self, raw: str) -> httpx.Response:
        signature = stripe.WebhookSignature.generate_signature_header(raw, self._secret)
        return await self._http.post("/webhooks/stripe", content=raw, headers={"Stripe-Signature": signature})


async def block(request: Request, at_once: int) -> list[float]:
    """Seconds of each of a block's requests."""
    room = asyncio.Semaphore(at_once)

    async def one() -> float:
        async with room:
            began = time.perf_counter()
            (await request()).raise_for_status()
            return time.perf_counter() - began

    return await asyncio.gather(*(one() for _ in range(BLOCK)))


async def measure(sender: Sender, events: int) -> dict[tuple[str, int], list[float]]:
    taken: dict[tuple[str, int], list[float]] = {}
    kinds: dict[str, Request] = {"/healthz": sender.healthz, "new event": sender.new, "the same again": sender.again}
    for turn in range(1 + events // BLOCK):
        for at_once in (1, 20):
            for kind, request in kinds.items():
                seconds = await block(request, at_once)
                if turn:  # the first one warms up
                    taken.setdefault((kind, at_once), []).extend(seconds)
    return taken


def render(taken: dict[tuple[str, int], list[float]]) -> Table:
    table = Table("request", "at once", *(f"p{share} ms" for share in PERCENTILES), "x /healthz (p50)", "sent")
    for (kind, at_once), seconds in taken.items():
        ratio = percentile(seconds, 50) / percentile(taken["/healthz", at_once], 50)
        shown = (f"{percentile(seconds, share) * 1000:.1f}" for share in PERCENTILES)
        table.add_row(kind, str(at_once), *shown, f"{ratio:.1f}", str(len(seconds)))
    return table


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhooks", description=__doc__)
    parser.add_argument("--events", type=int, default=500, help="of each kind and load (default: 500)")
    given = parser.parse_args(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="ordersaga-webhooks-", ignore_cleanup_errors=True) as folder:
        observe = Progress()
        async with Stack(Path(folder), ephemeral=True, parts=PARTS, environ=os.environ, observe=observe) as stack:
            async with httpx.AsyncClient(base_url=stack.urls.api, trust_env=False, timeout=30) as http:
                taken = await measure(Sender(http, stack.environment["STRIPE_WEBHOOK_SECRET"]), given.events)
            observe.stopping()
    Console().print(render(taken))
    return 0


if __name__ == "__main__":
    run_command(main())
