"""How fast the service went on after each fault, read from the timelines."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from chaos.books import Books, by
from chaos.faults import Happened

WORKED_ON = frozenset(["PLACED", "RESERVED", "CONFIRMED", "CANCELING"])
"""States in which the service itself is busy with an order: it waits neither for its customer nor for the carrier."""


@dataclass
class Recovery:
    """Of all faults of one name; seconds."""

    faults: int = 0
    ready: list[float] = field(default_factory=list)  # of each killed part, until it answered ready again
    in_hand: list[float] = field(default_factory=list)  # of each order in hand, until it went on


def recoveries(happened: Sequence[Happened], books: Books) -> dict[str, Recovery]:
    """By the fault's name, sorted."""
    steps = order_steps(books)
    found: dict[str, Recovery] = defaultdict(Recovery)
    for one in happened:
        recovery = found[one.name]
        recovery.faults += 1
        if one.ready_after is not None:
            recovery.ready.append(one.ready_after)
        recovery.in_hand += in_hand(steps, one.at)
    return dict(sorted(found.items()))


def order_steps(books: Books) -> Mapping[str, list[tuple[float, str]]]:
    """Each order's timeline: Unix times and the states that were reached."""
    rows = by(books.timeline, "order_id")
    return {order: [(row["at"].timestamp(), row["to_status"]) for row in own] for order, own in rows.items()}


def in_hand(steps: Mapping[str, list[tuple[float, str]]], at: float) -> list[float]:
    """For each order that the service was busy with at a time, the seconds until its next step was written down."""
    waited = []
    for own in steps.values():
        following = bisect_right(own, at, key=lambda step: step[0])
        if 0 < following < len(own) and own[following - 1][1] in WORKED_ON:
            waited.append(own[following][0] - at)
    return waited


def p50_and_worst(seconds: Sequence[float]) -> tuple[float, float] | None:
    return (median(seconds), max(seconds)) if seconds else None
