"""`make bench`: one run of all contenders on the same servers, round by round, ending in a table and a JSON file.

`python -m benchmarks.throughput --help` lists the options; `--profile` tells instead where the service's CPU goes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks import profiling, report
from benchmarks.contenders import BASELINE, SHIPPED, TAKEN, chosen
from benchmarks.figures import rows
from benchmarks.options import positive, positive_each
from benchmarks.processes import PROJECT, StationProcess
from benchmarks.rounds import Bench, Plan, groups_of
from benchmarks.service import PARCELS_STAY
from benchmarks.teller import Teller
from devstack.stack.interruption import run_command
from devstack.stack.stack import Stack

BUILD = PROJECT / "build"
QUICK = {"rounds": 1, "orders": 20, "concurrency": (1, 10)}
USUAL = {"rounds": 5, "orders": 150, "concurrency": (1, 50)}


@asynccontextmanager
async def open_bench(plan: Plan, out: Console) -> AsyncIterator[Bench]:
    """Warmed up, on a stack of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ordersaga-bench-", ignore_cleanup_errors=True) as folder:
        async with AsyncExitStack() as running:
            stack = await running.enter_async_context(Stack(Path(folder), carrier_clock=PARCELS_STAY))
            stations = {}
            for role in ("worker", "load"):
                log = stack.folder / "logs" / f"station-{role}.log"
                station = StationProcess(role, max(plan.at_once), stack.environment, log)
                stations[role] = await running.enter_async_context(station)
            await stations["load"].tell("prepare")
            teller = running.enter_context(Teller(out, plan.rounds * len(plan.at_once) * len(plan.entries)))
            bench = Bench(plan, stations, groups_of(stack.pids, stations), teller)
            await bench.warm_up()
            yield bench


async def measure(plan: Plan, out: Console) -> report.Run:
    machine = report.machine_facts()
    async with open_bench(plan, out) as bench:
        at_rest = await bench.at_rest()
        measured = await bench.rounds()
    parameters = asdict(plan) | {"entries": [entry.name for entry in plan.entries]}
    return report.Run(machine, parameters, at_rest, measured, rows(measured, BASELINE))


def tell(run: report.Run, plan: Plan, out: Console) -> None:
    report.write_json(run, BUILD / "bench.json")
    says = {entry.name: entry.says for entry in plan.entries}
    if "service" in says:
        says[SHIPPED] = "the same orders until the payment is captured and the label bought, from the request on"
        says[TAKEN] = "the same orders, from the request that was not put off (503) until its 201"
    text = report.markdown(run, says)
    (BUILD / "bench.md").write_text(text)
    if out.is_terminal:
        for table in report.terminal_tables(run):
            out.print(table)
    out.print(text, markup=False, highlight=False, soft_wrap=True)


async def bench(options: argparse.Namespace) -> int:
    out, began = Console(), time.monotonic()
    if options.profile:
        return await profiling.profile(options.orders, max(options.concurrency), BUILD, out)
    plan = Plan(options.rounds, options.orders, options.concurrency, tuple(chosen(options.only)), options.seed)
    out.print(f"{plan.rounds} rounds of {', '.join(entry.name for entry in plan.entries)} ...", highlight=False)
    run = await measure(plan, out)
    tell(run, plan, out)
    seconds = time.monotonic() - began
    out.print(f"{seconds:.0f} s; all figures in build/bench.json, the tables in build/bench.md", highlight=False)
    return 0


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--rounds", type=positive, help=f"rounds that count (default {USUAL['rounds']})")
    parser.add_argument("--orders", type=positive, help=f"orders of a measurement (default {USUAL['orders']})")
    parser.add_argument("--concurrency", type=positive_each, help="orders at once, with commas (default 1,50)")
    parser.add_argument("--only", type=lambda names: names.split(","), default=[], help="contenders, with commas")
    parser.add_argument("--seed", type=int, default=1, help="turns the order of the contenders, names the orders")
    parser.add_argument("--quick", action="store_true", help="one small round, to see that everything works")
    parser.add_argument("--profile", action="store_true", help="profile the service instead of measuring")
    options = parser.parse_args(words)
    for name, value in (QUICK if options.quick else USUAL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


if __name__ == "__main__":
    run_command(bench(options_of()))
