"""What more orders need: `python -m benchmarks.capacity --orders-per-second N`.

Arithmetic on the figures of one order in `measured.json`, which `--measure` renews in about a minute. Each line says
where its figure comes from. On a development server of Temporal, with simulators: a guide to what breaks first, no
promise of what a cluster carries.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import report
from benchmarks.capacity_measure import measure
from benchmarks.capacity_plan import Limit, PerOrder, first_to_break, limits, needs
from benchmarks.errors import BenchmarkFailed
from benchmarks.options import positive
from benchmarks.quick import FACTS
from devstack.stack.interruption import run_command
from devstack.stack.progress import Progress

MEASURED = Path(__file__).with_name("measured.json")
USUAL = (10, 100, 1_000, 10_000)
ORDERS = 150


def page(order: PerOrder, rates: Sequence[int], measured: str) -> str:
    """The whole answer, as Markdown."""
    parts = [
        f"Figures of one order, from checkout to delivery: measured {measured} (`python -m benchmarks.capacity "
        f"--measure`), with simulated far ends and without what the processes take at rest.",
        _needs(order, rates),
        "What breaks, the first one first. Our own processes are no limit: any number may run.",
        _limits(limits(order)),
    ]
    for rate in rates:
        beyond = first_to_break(order, rate)
        if beyond:
            parts.append(f"At {rate:,} orders/s {beyond[0].what} breaks first: {beyond[0].then}.")
        else:
            parts.append(f"At {rate:,} orders/s nothing of this breaks.")
    return "\n\n".join(parts)


def _needs(order: PerOrder, rates: Sequence[int]) -> str:
    columns = [needs(order, rate) for rate in rates]
    headings = ["orders/s", *(f"{rate:,}" for rate in rates), "from"]
    lines = [
        [first.what, *(need.amount for need in row), first.because]
        for first, row in zip(columns[0], zip(*columns, strict=True), strict=True)
    ]
    return report.markdown_table(headings, lines, words=["from"])


def _limits(found: Sequence[Limit]) -> str:
    lines = [[limit.what, _rate(limit.breaks_at), limit.because, limit.then] for limit in found]
    headings = ["limit", "breaks at orders/s", "from", "what is done then"]
    return report.markdown_table(headings, lines, words=headings[2:])


def _rate(orders_per_second: float) -> str:
    return f"{orders_per_second:,.0f}" if orders_per_second >= 10 else f"{orders_per_second:.1f}"


def to_file(order: PerOrder, orders: int, today: str) -> dict[str, Any]:
    """What `measured.json` holds: nothing that names a machine."""
    facts = report.machine_facts()
    return {
        "measured": today,
        "orders": orders,
        "machine": {name: facts[name] for name in FACTS},
        "perOrder": _rounded(asdict(order)),
    }


def _rounded(value: Any) -> Any:
    return {name: _rounded(one) for name, one in value.items()} if isinstance(value, dict) else round(value, 2)


def from_file(file: Path) -> tuple[PerOrder, str]:
    """The figures and their date. Raises BenchmarkFailed where there are none."""
    if not file.exists():
        raise BenchmarkFailed(f"no {file.name} yet: run with --measure")
    known = json.loads(file.read_text())
    return PerOrder(**known["perOrder"]), f"{known['measured']} on {known['machine']['cores']} cores"


async def capacity(given: argparse.Namespace) -> int:
    out = Console()
    if given.measure:
        observe = Progress()
        measured = await measure(given.orders, observe)
        observe.stopping()
        today = datetime.now(UTC).date().isoformat()
        MEASURED.write_text(json.dumps(to_file(measured, given.orders, today), indent=2) + "\n")
    rates = given.orders_per_second or USUAL
    order, when = from_file(MEASURED)
    out.print(page(order, rates, when), markup=False, highlight=False, soft_wrap=True)
    return 0


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument(
        "--orders-per-second", type=positive, nargs="+", metavar="N", help="default 10 100 1000 10000"
    )
    parser.add_argument("--measure", action="store_true", help="measure an order anew first")
    parser.add_argument("--orders", type=positive, default=ORDERS, help=f"orders to measure (default {ORDERS})")
    return parser.parse_args(words)


if __name__ == "__main__":
    run_command(capacity(options_of()))
