"""This service beside the toy saga of the same run: the ratios that are aimed at, each taken within one round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.contenders import BASELINE, SHIPPED
from benchmarks.figures import Measurement, Spread, percentile

SERVICE = "service"
EAGER = "ours, eager start"
OURS = ("worker", "API", "relay", "Temporal", "PostgreSQL")
"""The processes of which an order's CPU is compared; far ends and load generator are none of the service's."""

Figure = Callable[[Measurement], float]


@dataclass(frozen=True)
class Ratio:
    """A figure of one contender, divided by the toy's. `at_most` says which way is better."""

    name: str
    says: str
    value: Spread
    aim: float
    at_most: bool

    @property
    def met(self) -> bool:
        return self.value.median <= self.aim if self.at_most else self.value.median >= self.aim


def rate(one: Measurement) -> float:
    return one.rate


def median_latency(one: Measurement) -> float:
    return percentile(one.latencies, 50)


def cpu_per_order(one: Measurement) -> float:
    """Seconds of CPU of service, engine and database."""
    return sum(one.cpu.get(name, 0.0) for name in OURS) / one.orders


def cpu_without_rest(at_rest: Mapping[str, float]) -> Figure:
    """The same without what these processes take while nothing is asked of them."""

    def figure(one: Measurement) -> float:
        idle = sum(_share(at_rest, name, one) for name in OURS if name in one.cpu) * one.wall
        return max(0.0, cpu_per_order(one) - idle / one.orders)

    return figure


def _share(at_rest: Mapping[str, float], name: str, one: Measurement) -> float:
    if name != "worker":
        return at_rest.get(name, 0.0)
    return at_rest.get("service's worker" if one.contender.startswith(SERVICE) else "engine worker", 0.0)


def ratios(measurements: Sequence[Measurement], at_rest: Mapping[str, float]) -> list[Ratio]:
    """Those for which the run has measured both sides, under its smallest or its largest load."""
    loads = sorted({one.at_once for one in measurements})
    few, many = loads[0], loads[-1]
    rest = cpu_without_rest(at_rest)
    wanted = [
        ("rate", f"orders ready to ship per second, {many} at once", SHIPPED, many, rate, 0.6, False),
        ("answer", f"the checkout's answer, p50, {few} at once", SERVICE, few, median_latency, 0.8, True),
        ("CPU", f"CPU per order of {', '.join(OURS)}, {many} at once", SERVICE, many, cpu_per_order, 1.3, True),
        ("CPU, busy", "the same without what they take at rest", SERVICE, many, rest, 1.3, True),
        ("eager", f"the same three steps with eager start, orders/s, {few} at once", EAGER, few, rate, 2.7, False),
        ("eager, many", f"the same, {many} at once", EAGER, many, rate, 2.7, False),
    ]
    found = []
    for name, says, contender, at_once, figure, aim, at_most in wanted:
        value = within_rounds(measurements, contender, at_once, figure)
        if value is not None:
            found.append(Ratio(name, says, value, aim, at_most))
    return found


def within_rounds(measurements: Sequence[Measurement], contender: str, at_once: int, figure: Figure) -> Spread | None:
    """Of a contender's figure to the toy's in the same round; None where a round with both is missing.

    One that was measured twice in a round counts with its mean.
    """

    def by_round(name: str) -> dict[int, float]:
        found: dict[int, list[float]] = {}
        for one in measurements:
            if (one.contender, one.at_once) == (name, at_once):
                found.setdefault(one.round, []).append(figure(one))
        return {number: fmean(values) for number, values in found.items()}

    ours, toys = by_round(contender), by_round(BASELINE)
    both = [ours[number] / toys[number] for number in ours if toys.get(number)]
    return Spread.of(both) if both else None
