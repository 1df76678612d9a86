"""`make bench-peers`: this saga beside DBOS and Restate, on the same three steps and the same PostgreSQL."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.contenders import BASELINE, chosen
from benchmarks.figures import rows
from benchmarks.options import positive, positive_each
from benchmarks.peers import parts
from benchmarks.peers.contenders import columns, entries
from benchmarks.peers.installation import Installed, install
from benchmarks.peers.stations import groups_of, open_stations
from benchmarks.processes import PROJECT
from benchmarks.rounds import Bench, Plan
from benchmarks.teller import Teller
from devstack.stack.interruption import run_command
from devstack.stack.stack import Stack

BUILD = PROJECT / "build"


@asynccontextmanager
async def open_stack(
    folder: Path, installed: Installed, ports: parts.RestatePorts, synced: bool
) -> AsyncIterator[Stack]:
    """PostgreSQL, Temporal and, where it is installed, Restate; nothing of the service."""
    tailor = parts.tailored(installed, ports, synced)
    async with Stack(folder, parts=("postgres", "temporal"), migrate=False, tailor=tailor) as stack:
        if installed.restate_server is not None:
            await parts.register(ports)
        yield stack


async def measure(plan: Plan, installed: Installed, synced: bool, out: Console) -> report.Run:
    """A whole run on a stack of its own, which is gone afterwards."""
    ports = parts.RestatePorts.claim()
    with tempfile.TemporaryDirectory(prefix="ordersaga-peers-", ignore_cleanup_errors=True) as folder:
        machine = report.machine_facts()
        async with (
            open_stack(Path(folder), installed, ports, synced) as stack,
            open_stations(stack, installed, ports, max(plan.at_once)) as stations,
        ):
            with Teller(out, plan.rounds * len(plan.at_once) * len(plan.entries)) as teller:
                bench = Bench(plan, stations, groups_of(stack, stations), teller, columns)
                await bench.warm_up()
                at_rest = await bench.at_rest()
                measured = await bench.rounds()
    parameters = asdict(plan) | {"entries": [entry.name for entry in plan.entries], "restateSynced": synced}
    return report.Run(machine, parameters, at_rest, measured, rows(measured, BASELINE))


async def bench(options: argparse.Namespace) -> int:
    out, began = Console(), time.monotonic()
    installed = await asyncio.to_thread(install, out.print)
    if installed.missing:
        out.print(installed.missing, highlight=False, markup=False)
    compared = chosen(options.only, among=entries(with_restate=installed.restate_server is not None))
    plan = Plan(options.rounds, options.orders, options.concurrency, tuple(compared), options.seed)
    run = await measure(plan, installed, not options.restate_unsynced, out)
    report.write_json(run, BUILD / "bench-peers.json")
    text = report.markdown(run, {entry.name: entry.says for entry in compared})
    (BUILD / "bench-peers.md").write_text(text)
    out.print(text, markup=False, highlight=False, soft_wrap=True)
    out.print(f"{time.monotonic() - began:.0f} s; the tables are in build/bench-peers.md", highlight=False)
    return 0


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5, help="rounds that count (default 5)")
    parser.add_argument("--orders", type=positive, default=150, help="orders of a measurement (default 150)")
    parser.add_argument("--concurrency", type=positive_each, default=(1, 50), help="orders at once, with commas")
    parser.add_argument("--only", type=lambda names: names.split(","), default=[], help="contenders, with commas")
    parser.add_argument("--seed", type=int, default=1, help="turns the order of the contenders, names the orders")
    parser.add_argument("--restate-unsynced", action="store_true", help="Restate's log without fsync, as PostgreSQL")
    return parser.parse_args(words)


if __name__ == "__main__":
    run_command(bench(options_of()))
