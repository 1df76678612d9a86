"""What a call to Stripe costs this side: `python -m benchmarks.far_end_calls`.

CPU of one process per retrieved PaymentIntent, against the simulator: our gateway, and the SDK's own clients with the
objects that they build. They take turns; the table has the least of the turns, which the machine's noise only raises.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import stripe
import uvloop
from rich.console import Console
from rich.table import Table

from adapters.settings import Settings
from adapters.stripe.connection import StripeConnection
from adapters.stripe.payments import StripeGateway
from devstack.stack.stack import Stack

CALLS, TURNS = 100, 5
PAYMENT: Any = {
    "amount": 1000,
    "currency": "usd",
    "capture_method": "manual",
    "payment_method": "pm_card_visa",
    "confirm": True,
    "allowed_payment_method_types": ["card"],
}
EXPANDED: Any = {"expand": ["latest_charge"]}

Call = Callable[[], Awaitable[object]]


async def measure(calls: dict[str, Call]) -> dict[str, float]:
    """Milliseconds of CPU of each."""
    least = dict.fromkeys(calls, float("inf"))
    for turn in range(TURNS + 1):
        for name, call in calls.items():
            began = time.process_time()
            for _ in range(CALLS):
                await call()
            if turn:  # the first one warms up
                least[name] = min(least[name], 1000 * (time.process_time() - began) / CALLS)
    return least


async def compared(base: str, key: str) -> dict[str, float]:
    ours = StripeConnection(Settings(stripe_api_base=base, stripe_api_key=key))
    clients = {"SDK over httpx": stripe.HTTPXClient(timeout=10), "SDK over aiohttp": stripe.AIOHTTPClient(timeout=10)}
    addresses: Any = {"api": base}
    sdks = {
        name: stripe.StripeClient(key, http_client=client, max_network_retries=0, base_addresses=addresses)
        for name, client in clients.items()
    }
    payment = (await sdks["SDK over httpx"].v1.payment_intents.create_async(PAYMENT)).id

    def through(sdk: stripe.StripeClient) -> Call:
        return lambda: sdk.v1.payment_intents.retrieve_async(payment, EXPANDED)

    try:
        gateway = StripeGateway(ours)
        return await measure(
            {"our gateway": lambda: gateway.retrieve(payment)} | {name: through(sdk) for name, sdk in sdks.items()}
        )
    finally:
        await ours.aclose()
        for client in clients.values():
            await client.close_async()  # type: ignore[no-untyped-call]


async def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ordersaga-calls-", ignore_cleanup_errors=True) as folder:
        async with Stack(Path(folder), ephemeral=True, parts={"stripe"}, migrate=False, environ=os.environ) as stack:
            found = await compared(stack.urls.stripe, stack.environment["STRIPE_API_KEY"])
    table = Table("a call to Stripe", "CPU ms")
    for name, cost in found.items():
        table.add_row(name, f"{cost:.2f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
