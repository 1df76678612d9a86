"""`make bench-quick`: this service beside the toy saga in under two minutes, and against the last recorded ratios.

Rates depend on the machine, ratios to the toy of the same round hardly do: these are recorded, and compared. Ends
with 1 when one has become worse by more than 15 %; what seems so is measured once more before it is said.
`--record` writes the ratios of this run instead of comparing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks import report
from benchmarks.contenders import chosen
from benchmarks.errors import BenchmarkFailed
from benchmarks.figures import Measurement
from benchmarks.options import positive
from benchmarks.ratios import Ratio, ratios
from benchmarks.rounds import Plan
from benchmarks.throughput import open_bench
from devstack.stack.interruption import run_command

RECORDED = Path(__file__).with_name("recorded.json")
ROUNDS, ORDERS = 3, 32
AT_ONCE = (1, 8)  # eight keep two cores busy, and no checkout has to be put off
WORSE = 0.15  # a share of the recorded ratio
BESIDE = ("plain", "service", "plain")  # the toy before and after: it is the shorter one, and so the noisier
FACTS = ("cores", "processor", "system", "python", "packages")


@dataclass(frozen=True)
class Change:
    """A ratio beside the recorded one."""

    ratio: Ratio
    recorded: float

    @property
    def worse_by(self) -> float:
        """A share of the recorded one; negative where it is better now."""
        change = self.ratio.value.median / self.recorded - 1
        return change if self.ratio.at_most else -change

    @property
    def fell(self) -> bool:
        return self.worse_by > WORSE


def changes(found: Sequence[Ratio], recorded: Mapping[str, float]) -> list[Change]:
    """Of every ratio that was recorded. Raises BenchmarkFailed where one of them was not measured."""
    measured = {ratio.name: ratio for ratio in found}
    if missing := recorded.keys() - measured.keys():
        raise BenchmarkFailed(f"not measured: {', '.join(sorted(missing))}; record the ratios anew (--record)")
    return [Change(measured[name], value) for name, value in recorded.items()]


def to_record(found: Sequence[Ratio], machine: Mapping[str, Any], today: str) -> dict[str, Any]:
    """What the file holds: nothing that depends on a commit or names a machine."""
    spreads = {one.name: [round(number, 3) for number in (one.value.least, one.value.most)] for one in found}
    return {
        "recorded": today,
        "rounds": 2 * ROUNDS,
        "orders": ORDERS,
        "atOnce": list(AT_ONCE),
        "machine": {name: machine[name] for name in FACTS},
        "ratios": {one.name: round(one.value.median, 3) for one in found},
        "spread": spreads,
    }


def recorded_ratios(file: Path) -> dict[str, float]:
    """Raises BenchmarkFailed where there are none."""
    if not file.exists():
        raise BenchmarkFailed(f"nothing is recorded in {file.name} yet: run with --record")
    ratios: dict[str, float] = json.loads(file.read_text())["ratios"]
    return ratios


def told(change: Change) -> str:
    way = "worse" if change.worse_by > 0 else "better"
    end = f"  <- WORSE by more than {WORSE:.0%}" if change.fell else ""
    now, least, most = change.ratio.value.median, change.ratio.value.least, change.ratio.value.most
    return (
        f"  {change.ratio.name:<10} {now:6.2f} ({least:.2f}–{most:.2f})   recorded {change.recorded:.2f}   "
        f"{abs(change.worse_by):4.0%} {way}   {change.ratio.says}{end}"
    )


async def measure(
    plan: Plan, recorded: Mapping[str, float] | None, out: Console
) -> tuple[list[Measurement], dict[str, float]]:
    """And what the processes take at rest.

    A second time where a ratio seems to have fallen, and where the result is to be recorded.
    """
    async with open_bench(plan, out) as running:
        at_rest = await running.at_rest()
        measured = await running.rounds()
        if recorded is None or any(change.fell for change in changes(ratios(measured, at_rest), recorded)):
            measured += await running.rounds(after=plan.rounds)
    return measured, at_rest


async def bench(given: argparse.Namespace) -> int:
    out = Console()
    recorded = None if given.record else recorded_ratios(RECORDED)  # before two minutes are spent
    plan = Plan(given.rounds, given.orders, AT_ONCE, tuple(chosen(BESIDE)), given.seed)
    measured, at_rest = await measure(plan, recorded, out)
    found = ratios(measured, at_rest)
    if (elsewhere := median(one.elsewhere for one in measured)) > report.QUIET:
        out.print(f"Other programs took {elsewhere:.0%} of the machine: measure again before you believe this.")
    if recorded is None:
        known = to_record(found, report.machine_facts(), datetime.now(UTC).date().isoformat())
        RECORDED.write_text(json.dumps(known, indent=2) + "\n")
        out.print(f"recorded: {', '.join(f'{one.name} {one.value.median:.2f}' for one in found)}", highlight=False)
        return 0
    compared = changes(found, recorded)
    for change in compared:
        out.print(told(change), highlight=False, soft_wrap=True, markup=False)
    return 1 if any(change.fell for change in compared) else 0


def options_of(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quick", description=__doc__)
    parser.add_argument("--record", action="store_true", help="write the ratios of this run")
    parser.add_argument("--rounds", type=positive, default=ROUNDS, help=f"rounds before a look (default {ROUNDS})")
    parser.add_argument("--orders", type=positive, default=ORDERS, help=f"orders of a measurement (default {ORDERS})")
    parser.add_argument("--seed", type=int, default=1, help="which one begins")
    return parser.parse_args(words)


if __name__ == "__main__":
    run_command(bench(options_of()))
