"""What a customer's wait is made of: far ends' calls, and what this service adds to them, by stretch."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import percentile

AIM = 2.3  # of Stripe's calls, in the median of the checkout's answer


@dataclass(frozen=True)
class OrderTimes:
    """One order, in Unix time; `stripe` are the seconds of the calls that its answer waited for."""

    asked: float
    answered: float
    placed: float
    reserved: float
    confirmed: float
    ready: float
    stripe: Sequence[float]

    @property
    def answer(self) -> float:
        return self.answered - self.asked

    @property
    def beyond(self) -> float:
        """What its answer took beyond Stripe's own calls."""
        return self.answer - sum(self.stripe)

    def stretches(self) -> dict[str, float]:
        """Seconds of each part of the wait for the answer; they add up to it."""
        return {
            "Stripe's calls": sum(self.stripe),
            "API: until the order is stored": self.placed - self.asked,
            "engine and worker: until the stock is held": self.reserved - self.placed,
            "worker: the payment, but for Stripe's calls": self.confirmed - self.reserved - sum(self.stripe),
            "worker, engine, API: until the answer": self.answered - self.confirmed,
        }


@dataclass(frozen=True)
class Wait:
    """The orders of one load. Seconds; `call` is the simulated median of a call to Stripe, `drawn` all calls."""

    at_once: int
    orders: Sequence[OrderTimes]
    call: float
    drawn: Sequence[float]
    carrier: float  # seconds of the carrier's and Stripe's calls after the answer, per order
    busy: float  # share of the machine's CPU meanwhile, 0 to 1
    refused: int = 0  # times that a checkout was put off (503)
    connections: int = 0  # to Stripe

    def answer(self, percent: float) -> float:
        return percentile([order.answer for order in self.orders], percent)

    def ready(self, percent: float) -> float:
        return percentile([order.ready - order.asked for order in self.orders], percent)

    def calls_alone(self, percent: float) -> float:
        """What the two calls took by themselves: no service could answer sooner."""
        return percentile([sum(order.stripe) for order in self.orders], percent)

    def beyond(self, percent: float) -> float:
        """What the service added to them."""
        return percentile([order.beyond for order in self.orders], percent)

    @property
    def mean_call(self) -> float:
        return statistics.fmean(self.drawn)

    @property
    def met(self) -> bool:
        return self.answer(50) <= AIM * self.call

    @property
    def repeated(self) -> int:
        """Orders that sent more than their two calls: a first attempt was given up."""
        return sum(len(order.stripe) > 2 for order in self.orders)

    def breakdown(self) -> dict[str, float]:
        """Mean seconds of each stretch: means add up, medians do not."""
        stretches = [order.stretches() for order in self.orders]
        return {name: statistics.fmean(one[name] for one in stretches) for name in stretches[0]}

    @property
    def after_confirmed(self) -> float:
        """Mean seconds from CONFIRMED to READY_TO_SHIP that are not the far ends'."""
        return statistics.fmean(order.ready - order.confirmed for order in self.orders) - self.carrier
