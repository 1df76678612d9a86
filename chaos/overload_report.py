"""What an overload run came to: figures, a table, and what fell short."""

from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from chaos.bystanders import Bystanders
from chaos.offered_load import UNANSWERED, Phase, percentile
from chaos.report import Document

SLOWER, LESS = 2.0, 0.85
"""What may become of the 99th percentile of the answers, and of the confirmed orders a second, against full load."""

EXPECTED = frozenset(["201", "202", "503"])
NUMBERS = ("offered/s", "confirmed/s", "p50", "p99", "refused p99", "generator", "elsewhere")


def figures(phase: Phase) -> Document:
    """Times in seconds; CPU as a share of one core."""
    took = [one.took for one in phase.taken_on]
    cpu = {name: round(seconds / phase.lasted, 3) for name, seconds in phase.cpu.groups.items()}
    return {
        "name": phase.name,
        "seconds": phase.seconds,
        "offeredPerSecond": round(len(phase.answers) / phase.seconds, 1),
        "confirmedPerSecond": round(phase.goodput, 2),
        "statuses": {str(status): count for status, count in sorted(Counter(_statuses(phase)).items())},
        "p50": round(percentile(took, 0.5), 3),
        "p99": round(phase.p99(), 3),
        "refusedP99": round(percentile([one.took for one in phase.shed], 0.99), 3),
        "refusedWithoutRetryAfter": sum(one.retry_after is None for one in phase.shed),
        "refusedForAnotherReason": sum(one.code != "overloaded" for one in phase.shed),
        "cpu": cpu,
        "cpuElsewhere": round(phase.cpu.elsewhere / phase.lasted, 3),
    }


def _statuses(phase: Phase) -> list[int]:
    return [one.status for one in phase.answers]


def bystander_figures(bystanders: Bystanders, webhook_lag: float) -> Document:
    return {
        "reads": len(bystanders.reads),
        "readP99": round(percentile(bystanders.reads, 0.99), 3),
        "cancels": len(bystanders.cancels),
        "cancelP99": round(percentile(bystanders.cancels, 0.99), 3),
        "unserved": dict(Counter(bystanders.unserved)),
        "webhookLagP99": round(webhook_lag, 3),
    }


def p99_of(phases: Iterable[Phase]) -> float:
    """Of all that was taken on in these phases, in seconds."""
    return round(percentile([one.took for phase in phases for one in phase.taken_on], 0.99), 3)


def shortcomings(document: Document) -> list[str]:
    """What is not as it must be, in words; empty when all is right."""
    others, full = document["bystanders"], document["fullLoadP99"]
    found = [words for _, under in document["rounds"] for words in _wrong_answers(under)]
    kept = median(_kept(full, under) for full, under in document["rounds"])
    if document["overloadP99"] > SLOWER * full:
        found.append(f"p99 {document['overloadP99']} s, more than {SLOWER} times the {full} s of full load")
    if kept < LESS:
        found.append(f"{kept:.0%} of the orders that full load confirms, less than {LESS:.0%}")
    if others["unserved"] or max(others["readP99"], others["cancelP99"]) > SLOWER * max(full, 1.0):
        found.append(f"reads and cancels did not go on: {others}")
    if document["violations"]:
        found.append(f"{len(document['violations'])} violations, the first: {document['violations'][0]}")
    if left := document["unsettled"].keys() - document["attended"].keys():
        found.append(f"{len(left)} orders are left")
    return found


def _kept(full: Document, under: Document) -> float:
    return float(under["confirmedPerSecond"] / full["confirmedPerSecond"]) if full["confirmedPerSecond"] else 0.0


def _wrong_answers(under: Document) -> Iterator[str]:
    if not under["statuses"].get("503"):
        yield "nothing was refused: that was no overload"
    if unknown := under["statuses"].keys() - EXPECTED:
        yield f"answers that nobody expects ({UNANSWERED} is none at all): {sorted(unknown)}"
    if under["refusedWithoutRetryAfter"] or under["refusedForAnotherReason"]:
        yield "a refusal is not `overloaded` with Retry-After"


def show(out: Console, document: Document) -> None:
    table = Table(title="Checkouts", title_justify="left")
    table.add_column("phase")
    for column in NUMBERS:
        table.add_column(column, justify="right")
    table.add_column("answers")
    for one in (*document["ramp"], *(phase for pair in document["rounds"] for phase in pair)):
        table.add_row(*_cells(one))
    out.print(table)
    out.print("generator, elsewhere: cores that the load took, and programs that are not ours.", highlight=False)
    kept = median(_kept(full, under) for full, under in document["rounds"])
    out.print(
        f"Overload: {kept:.0%} of the orders that full load confirms (median of the rounds); p99 "
        f"{document['overloadP99']} s, at full load {document['fullLoadP99']} s.",
        highlight=False,
    )
    others = document["bystanders"]
    out.print(
        f"Meanwhile: {others['reads']} reads, p99 {others['readP99']} s; {others['cancels']} cancels, p99 "
        f"{others['cancelP99']} s; webhooks followed up within {others['webhookLagP99']} s (p99).",
        highlight=False,
    )
    outcomes = ", ".join(f"{count} {status}" for status, count in document["outcomes"].items())
    out.print(f"Orders: {outcomes}. Violations: {len(document['violations'])}.", highlight=False)


def _cells(one: dict[str, Any]) -> list[str]:
    answers = ", ".join(f"{count} x {status}" for status, count in one["statuses"].items())
    return [
        one["name"],
        f"{one['offeredPerSecond']:.1f}",
        f"{one['confirmedPerSecond']:.1f}",
        f"{one['p50']:.2f} s",
        f"{one['p99']:.2f} s",
        f"{one['refusedP99']:.2f} s" if one["refusedP99"] else "",
        f"{one['cpu']['controller']:.2f}",
        f"{one['cpuElsewhere']:.2f}",
        answers,
    ]
