"""The tables of a run, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.growth.parked import PROCESSES, Parked, Woken
from benchmarks.growth.plans import Judged
from benchmarks.growth.rate import Rate
from benchmarks.growth.weights import Weight

LITTLE = 1.0  # bytes of an order: tables below are left out
MEGABYTE = 1_000_000


@dataclass
class Size:
    """What was measured with so many orders in the tables; `took` in seconds by path."""

    orders: int
    spread: list[Rate] = field(default_factory=list)
    one_product: list[Rate] = field(default_factory=list)
    judged: Judged | None = None
    without_index: Judged | None = None
    read_whole: Mapping[str, int] = field(default_factory=dict)
    took: Mapping[str, float] = field(default_factory=dict)
    weights: Sequence[Weight] = ()
    json: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Parking:
    parked: Parked
    woken: Woken


def markdown(sizes: Sequence[Size], parking: Parking | None) -> str:
    parts = [_rates(sizes), _plans(sizes), _paths(sizes), _weights(sizes), _parking(parking)]
    return "\n\n".join(part for part in parts if part) + "\n"


def median(rates: Sequence[Rate], process: str) -> float:
    """Of the CPU of one process, in milliseconds of an order."""
    return statistics.median(one.cpu[process] for one in rates)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _rates(sizes: Sequence[Size]) -> str:
    rows = []
    for size in sizes:
        for name, rates in (("spread", size.spread), ("one product", size.one_product)):
            if rates:
                rows.append([f"{size.orders:,}", name, *_figures(rates)])
    head = [
        "orders",
        "products",
        "answered/s",
        "ready/s",
        "p50 ms",
        "p99 ms",
        "PostgreSQL ms",
        "all CPU ms",
        "others",
    ]
    return "## Rates\n\n" + _table(head, rows) if rows else ""


def _figures(rates: Sequence[Rate]) -> list[str]:
    def middle(of: Sequence[float]) -> float:
        return statistics.median(of)

    return [
        f"{middle([one.answered for one in rates]):.1f}",
        f"{middle([one.shipped for one in rates]):.1f}",
        f"{1000 * middle([one.p50 for one in rates]):.0f}",
        f"{1000 * middle([one.p99 for one in rates]):.0f}",
        f"{median(rates, 'postgres'):.1f}",
        f"{middle([sum(one.cpu.values()) for one in rates]):.0f}",
        f"{100 * max(one.elsewhere for one in rates):.0f} %",
    ]


def _plans(sizes: Sequence[Size]) -> str:
    lines = []
    for size in sizes:
        if size.judged is None or size.without_index is None:
            continue
        whole = ", ".join(f"{table} {count}" for table, count in sorted(size.read_whole.items()) if count)
        lines.append(
            f"- {size.orders:,} orders: {size.judged.statements} statements; read as a whole meanwhile: "
            f"{whole or 'none'}; "
            f"too small to be judged: {', '.join(size.judged.small) or 'none'}"
        )
        for kind, judged in (("", size.judged), ("has no index: ", size.without_index)):
            lines += [f"  - {kind}{one.what}: `{' '.join(one.statement.split())}`" for one in judged.findings]
    return "## Plans\n\n" + "\n".join(lines) if lines else ""


def _paths(sizes: Sequence[Size]) -> str:
    told = [size for size in sizes if size.took]
    if not told:
        return ""
    paths = [path for path in told[0].took if all(path in size.took for size in told)]
    rows = [[f"`{path}`", *(f"{1000 * size.took[path]:.0f}" for size in told)] for path in paths]
    return "## Requests, ms\n\n" + _table(["path", *(f"{size.orders:,}" for size in told)], rows)


def _weights(sizes: Sequence[Size]) -> str:
    weighed = [size for size in sizes if size.weights]
    if not weighed:
        return ""
    size = weighed[-1]
    rows: list[Sequence[object]] = [
        [
            one.table,
            f"{one.rows:.2f}",
            f"{one.row_bytes:.0f}",
            f"{one.index_bytes:.0f}",
            "yes" if one.for_good else "no",
        ]
        for one in size.weights
        if one.total >= LITTLE
    ]
    for name, chosen in (("all", size.weights), ("for good", [one for one in size.weights if one.for_good])):
        total = [sum(one.row_bytes for one in chosen), sum(one.index_bytes for one in chosen)]
        rows.append([f"**{name}**", "", *(f"{figure:.0f}" for figure in total), f"{sum(total):.0f}"])
    head = ["table", "rows of an order", "bytes", "bytes of indexes", "for good"]
    json = [f"- `{name}`: {value:.0f} of the {row:.0f} bytes of a row" for name, (value, row) in size.json.items()]
    return f"## Bytes of an order, of {size.orders:,}\n\n" + _table(head, rows) + "\n\n" + "\n".join(json)


def _parking(parking: Parking | None) -> str:
    if parking is None:
        return ""
    parked, woken = parking.parked, parking.woken
    rows = [
        [
            name,
            f"{parked.before[name] / MEGABYTE:.0f}",
            f"{parked.after[name] / MEGABYTE:.0f}",
            f"{parked.of_one(name):.0f}",
        ]
        for name in (*PROCESSES, "temporal's file")
    ]
    cpu = ", ".join(f"{name} {used:.1f}" for name, used in woken.cpu.items())
    return (
        f"## {parked.orders:,} orders that wait for their parcel\n\n"
        + _table(["process", "MB before", "MB with them", "bytes an order"], rows)
        + f"\n\n{woken.orders:,} woken by the carrier's news in {woken.seconds:.1f} s "
        f"({woken.orders / woken.seconds:.1f}/s); CPU of an order in ms: {cpu}"
    )
