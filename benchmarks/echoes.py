"""What a webhook costs that only echoes our own step: `python -m benchmarks.echoes`.

CPU of API, relay and PostgreSQL per event, in blocks that take turns: an event that is sent again (what it costs to
receive one), a new echo of a payment that is captured, and a new event of such a payment that has to be looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
import tempfile
from itertools import cycle
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import stripe
from rich.console import Console
from rich.table import Table

from benchmarks.processes import CpuMeter
from benchmarks.service import PARCELS_STAY
from devstack.stack.identities import Bearer
from devstack.stack.interruption import run_command
from devstack.stack.progress import Progress
from devstack.stack.stack import Stack

BLOCK, AT_ONCE, ORDERS = 100, 5, 20
PARTS = {"postgres", "temporal", "stripe", "carrier", "api", "worker", "relay"}
GROUPS = ("api", "relay", "postgres", "stripe")
ORDER = {
    "customerId": "001",
    "items": [{"productId": "001", "quantity": 1}],
    "paymentMethod": "pm_card_visa",
}
ALL_FOLLOWED_UP = "SELECT true WHERE NOT EXISTS (SELECT FROM webhook_inbox WHERE processed_at IS NULL)"

Database = Any  # an asyncpg.Connection


class Events:
    """Sends events about captured payments in turns, signed as Stripe does."""

    def __init__(self, http: httpx.AsyncClient, secret: str, payments: list[dict[str, Any]]) -> None:
        self._http, self._secret = http, secret
        self._payments, self._known = cycle(payments), self._raw("payment_intent.succeeded", payments[0])

    async def again(self) -> None:
        await self._send(self._known)

    async def echo(self) -> None:
        await self._send(self._raw("payment_intent.succeeded", next(self._payments)))

    async def news(self) -> None:
        await self._send(self._raw("payment_intent.processing", next(self._payments)))

    def _raw(self, kind: str, about: dict[str, Any]) -> str:
        event = {"id": f"evt_{secrets.token_hex(8)}", "object": "event", "api_version": stripe.api_version}
        return json.dumps(event | {"type": kind, "data": {"object": about}})

    async def _send(self, raw: str) -> None:
        signature = stripe.WebhookSignature.generate_signature_header(raw, self._secret)
        answer = await self._http.post("/webhooks/stripe", content=raw, headers={"Stripe-Signature": signature})
        answer.raise_for_status()


async def captured_payment(stack: Stack, http: httpx.AsyncClient, database: Database) -> dict[str, Any]:
    """Of an order that is ready to ship: the PaymentIntent as Stripe has it."""
    placed = (await http.post("/api/orders", json=ORDER)).raise_for_status().json()
    query = "SELECT payment_intent_id FROM payments WHERE order_id = $1 AND state = 'captured'"
    payment = await answered(database, query, placed["orderId"])
    login = {"Authorization": f"Bearer {stack.environment['STRIPE_API_KEY']}"}
    async with httpx.AsyncClient(base_url=stack.urls.stripe, headers=login, trust_env=False) as far_end:
        return dict((await far_end.get(f"/v1/payment_intents/{payment}")).raise_for_status().json())


async def answered(database: Database, query: str, *values: str) -> Any:
    """What the query finds, as soon as it finds something."""
    async with asyncio.timeout(60):
        while (found := await database.fetchval(query, *values)) is None:  # noqa: ASYNC110  # other processes write it
            await asyncio.sleep(0.25)
        return found


async def measure(events: Events, database: Database, meter: CpuMeter, turns: int) -> Table:
    kinds = {"the same again": events.again, "an echo": events.echo, "to be looked at": events.news}
    used: dict[str, dict[str, float]] = {kind: dict.fromkeys(GROUPS, 0.0) for kind in kinds}
    for turn in range(turns + 1):
        for kind, send in kinds.items():
            before = meter.read()
            for _ in range(BLOCK // AT_ONCE):
                await asyncio.gather(*(send() for _ in range(AT_ONCE)))
            await answered(database, ALL_FOLLOWED_UP)
            for group, seconds in meter.read().since(before).groups.items():
                if turn and group in GROUPS:  # the first turn warms up
                    used[kind][group] += 1000 * seconds / (turns * BLOCK)
    table = Table("event", *(f"{group} ms" for group in GROUPS), "API and relay, beyond receiving it")
    receiving = used["the same again"]["api"] + used["the same again"]["relay"]
    for kind, by_group in used.items():
        beyond = by_group["api"] + by_group["relay"] - receiving
        table.add_row(kind, *(f"{by_group[group]:.2f}" for group in GROUPS), f"{beyond:.2f} ms")
    return table


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.echoes", description=__doc__)
    parser.add_argument("--turns", type=int, default=4, help="blocks of 100 events of each kind (default: 4)")
    given = parser.parse_args(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="ordersaga-echoes-", ignore_cleanup_errors=True) as folder:
        observe = Progress()
        async with Stack(
            Path(folder), ephemeral=True, parts=PARTS, environ=os.environ, observe=observe, carrier_clock=PARCELS_STAY
        ) as stack:
            database = await asyncpg.connect(stack.urls.database_url)
            async with httpx.AsyncClient(
                base_url=stack.urls.api, trust_env=False, timeout=30, auth=Bearer(stack.folder)
            ) as http:
                payments = [await captured_payment(stack, http, database) for _ in range(ORDERS)]
                meter = CpuMeter({group: [stack.pids[group]] for group in GROUPS})
                secret = stack.environment["STRIPE_WEBHOOK_SECRET"]
                table = await measure(Events(http, secret, payments), database, meter, given.turns)
            await database.close()
            observe.stopping()
    Console().print(table)
    return 0


if __name__ == "__main__":
    run_command(main())
