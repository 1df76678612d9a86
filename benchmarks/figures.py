"""From measurements to figures: percentiles, the median over rounds with its spread, ratios within one round."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Measurement:
    """One contender under one load in one round. Times in seconds, CPU in seconds by process."""

    contender: str
    at_once: int
    round: int
    orders: int
    seconds: float
    latencies: Sequence[float]
    cpu: Mapping[str, float]
    events: float
    elsewhere: float  # share of the machine's CPU that others took meanwhile, 0 to 1
    late: int = 0  # orders whose answer was no more than "pending"
    refused: int = 0  # answers that put an order off
    wall: float = 0.0  # seconds until nothing was left to do: the time of `cpu`

    @property
    def rate(self) -> float:
        """Orders per second."""
        return self.orders / self.seconds


@dataclass(frozen=True)
class Spread:
    """The median over the rounds, with the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        all_of_them = list(values)
        return cls(statistics.median(all_of_them), min(all_of_them), max(all_of_them))


@dataclass(frozen=True)
class Row:
    """A contender under a load over all rounds. Latencies and CPU in milliseconds, CPU per order."""

    contender: str
    at_once: int
    orders: int  # of all rounds
    rate: Spread
    ratio: Spread | None  # of its rate to the baseline's in the same round
    latency: Mapping[int, Spread]
    cpu: Mapping[str, Spread]
    cpu_total: Spread
    events: float


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that `percent` of all values do not exceed (nearest rank): one that really was."""
    if not values:
        raise ValueError("no values, no percentile")
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def rows(measurements: Sequence[Measurement], baseline: str) -> list[Row]:
    """One row per load and contender, in the order in which they first appear."""
    grouped: dict[tuple[int, str], list[Measurement]] = {}
    for one in measurements:
        grouped.setdefault((one.at_once, one.contender), []).append(one)
    base = {(one.at_once, one.round): one.rate for one in measurements if one.contender == baseline}
    return [_row(group, base) for group in grouped.values()]


def _row(group: Sequence[Measurement], base: Mapping[tuple[int, int], float]) -> Row:
    first = group[0]
    ratios = [one.rate / base[one.at_once, one.round] for one in group if (one.at_once, one.round) in base]
    return Row(
        contender=first.contender,
        at_once=first.at_once,
        orders=sum(one.orders for one in group),
        rate=Spread.of(one.rate for one in group),
        ratio=Spread.of(ratios) if ratios else None,
        latency={p: Spread.of(1000 * percentile(one.latencies, p) for one in group) for p in PERCENTILES},
        cpu={name: Spread.of(1000 * one.cpu[name] / one.orders for one in group) for name in first.cpu},
        cpu_total=Spread.of(1000 * sum(one.cpu.values()) / one.orders for one in group),
        events=statistics.median(one.events for one in group),
    )
