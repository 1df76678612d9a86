"""The commands of the stack: `python -m devstack.stack up`."""

import argparse
import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from devstack.stack.identities import keep_headers_fresh
from devstack.stack.interruption import run_command
from devstack.stack.parts import KNOWN_PARTS, PROJECT
from devstack.stack.progress import Progress
from devstack.stack.stack import Stack

FOLDER = PROJECT / ".ordersaga"
UNHURRIED_CARRIER = (15.0, 30.0)  # seconds: time enough to look at an order, and to cancel it

GUIDE = """
Ready after {seconds:.1f} s; state is kept in {folder} (`make clean` removes it). Ctrl-C stops the stack.

  API                  {api}            documentation: {api}/docs
  Temporal Web UI      {temporal_ui}
  Temporal             {temporal_address}
  Codec server         {codec}/sign-in     shows what is encrypted: the token is in {folder}/codec-tokens
  Database             {database_url}
  Events (NATS)        {nats}
  Stripe simulator     {stripe}
  Carrier simulator    {carrier}
  Worker health        {worker_health}/healthz
  Relay health         {relay_health}/healthz
  Logs                 {folder}/logs/

Who asks says so by a header; {folder}/as-customer, as-shop, as-support, as-operations and
as-auditor hold one each, written anew every 20 minutes. Place an order, look at it, cancel it. The carrier scans a
parcel {scan:.0f} s after its label is made: from then on it is too late to cancel. It delivers after {deliver:.0f} s.

  curl -s {api}/api/orders -H @{folder}/as-customer -H 'Content-Type: application/json' \\
    -d '{{"customer_id": 123, "items": [{{"product_id": 456, "quantity": 2}}], "payment_method": "credit_card"}}'
  curl -s {api}/api/orders/ORDER_ID -H @{folder}/as-customer
  curl -s {api}/api/orders/ORDER_ID/cancel -H @{folder}/as-customer -H 'Content-Type: application/json' \\
    -d '{{"reason": "changed my mind"}}'
  .venv/bin/temporal workflow signal --address {temporal_address} --workflow-id order-ORDER_ID \\
    --name cancel_order --input '"changed my mind"'
"""


async def up(folder: Path, environ: Mapping[str, str]) -> int:
    """Run the stack with its state kept, until it is interrupted or a part cannot be kept alive."""
    progress = Progress()
    print("Starting the development stack ...", flush=True)
    clock, parts = UNHURRIED_CARRIER, KNOWN_PARTS
    stack = Stack(folder, ephemeral=False, parts=parts, carrier_clock=clock, environ=environ, observe=progress)
    await stack.start()
    renewal = asyncio.create_task(keep_headers_fresh(stack.folder))
    try:
        print(guide(stack, progress.seconds), flush=True)
        await stack.failed()
    finally:
        renewal.cancel()
        progress.stopping()
        print("\nStopping ...", flush=True)
        await stack.stop()
        print("Stopped.", flush=True)
    return 0


def guide(stack: Stack, seconds: float) -> str:
    """Every URL, and how to place and cancel an order; parts that run elsewhere are said to."""
    values = vars(stack.urls) | {"seconds": seconds, "folder": stack.folder}
    external = stack.plan.external
    if external.stripe_api_key:
        values["stripe"] = "not started: STRIPE_API_KEY names a Stripe test account"
    if external.temporal and not values["temporal_ui"]:
        values["temporal_ui"] = "that of your Temporal server"
    scan, deliver = UNHURRIED_CARRIER
    return GUIDE.format(**values, scan=scan, deliver=deliver)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m devstack.stack", description="The development stack.")
    parser.add_argument("command", choices=["up"], help="run the stack until Ctrl-C, keeping its state")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where its state is kept (default: .ordersaga)")
    chosen = parser.parse_args(arguments)
    run_command(up(chosen.folder, os.environ), when_interrupted=0)
