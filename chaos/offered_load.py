"""Checkouts offered to an API, each once and never again, and what became of them.

A closed loop (so many clients, each with its next order as soon as it has an answer) finds out what the machine can
do. An open loop offers orders at a rate, whether they are answered or not: as customers do.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import Any

import httpx

from benchmarks.processes import CpuReading
from chaos.journal import Journal
from chaos.wishes import Course, Wish, wishes

GOOD = {Course.GOOD: 1}
UNANSWERED = 0  # in place of a status: the connection broke, or nobody answered in time
NO_CPU = CpuReading({}, 0.0)
TIMEOUT = 60.0  # seconds; several times what a checkout may take


@dataclass(frozen=True)
class Answer:
    """Of one checkout. Times in seconds, from the beginning of its phase."""

    asked: float
    took: float
    status: int
    code: str | None = None
    retry_after: str | None = None


@dataclass
class Phase:
    """One measurement: for `seconds` orders were offered; answers that came later are in it, too."""

    name: str
    seconds: float
    began: datetime
    ended: datetime
    answers: list[Answer] = field(default_factory=list)
    cpu: CpuReading = NO_CPU

    @property
    def lasted(self) -> float:
        """Seconds until the last answer."""
        return (self.ended - self.began).total_seconds()

    @property
    def goodput(self) -> float:
        """Confirmed orders a second, by those that were confirmed before the phase's end."""
        return sum(one.status == 201 and one.asked + one.took <= self.seconds for one in self.answers) / self.seconds

    @property
    def shed(self) -> list[Answer]:
        return [one for one in self.answers if one.status == 503]

    @property
    def taken_on(self) -> list[Answer]:
        return [one for one in self.answers if one.status != 503]

    def p99(self) -> float:
        """Of what was taken on, in seconds."""
        return percentile([one.took for one in self.taken_on], 0.99)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank; 0 without values."""
    ranked = sorted(values)
    return ranked[max(0, ceil(share * len(ranked)) - 1)] if ranked else 0.0


def _phase(name: str, seconds: float) -> Phase:
    return Phase(name, seconds, datetime.now(UTC), datetime.now(UTC))


class Offer:
    """Sends checkouts and writes sent orders and answers into the journal."""

    def __init__(self, http: httpx.AsyncClient, journal: Journal, seed: int) -> None:
        self._http, self._journal, self._seed, self._drawn = http, journal, seed, 0
        self.confirmed: list[str] = []  # order ids

    async def closed_loop(self, name: str, clients: int, seconds: float) -> Phase:
        phase, began = _phase(name, seconds), time.monotonic()
        waiting = self._endless()

        async def client() -> None:
            while time.monotonic() - began < seconds:
                answer = await self._place(phase, next(waiting), began)
                if answer.retry_after is not None and answer.status == 503:
                    await asyncio.sleep(float(answer.retry_after))

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
        phase.ended = datetime.now(UTC)
        return phase

    async def open_loop(self, name: str, rate: float, seconds: float) -> Phase:
        """At random moments, `rate` a second on average; ends when all are answered."""
        phase, began = _phase(name, seconds), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for wish in self._draw(round(rate * seconds), seconds):
                await asyncio.sleep(max(0.0, began + wish.at - time.monotonic()))
                group.create_task(self._place(phase, wish, began))
        phase.ended = datetime.now(UTC)
        return phase

    async def _place(self, phase: Phase, wish: Wish, began: float) -> Answer:
        self._journal.write("sent", key=wish.key, course=wish.course)
        asked = time.monotonic()
        try:
            got = await self._http.post("/api/orders", json=wish.body, headers={"Idempotency-Key": wish.key})
        except httpx.HTTPError:
            answer = Answer(asked - began, time.monotonic() - asked, UNANSWERED)
        else:
            took, told = time.monotonic() - asked, got.json()
            answer = Answer(asked - began, took, got.status_code, told.get("code"), got.headers.get("Retry-After"))
            self._journal.write("answer", key=wish.key, status=got.status_code, **_about(told))
            if got.status_code == 201:
                self.confirmed.append(told["orderId"])
        phase.answers.append(answer)
        return answer

    def _draw(self, orders: int, seconds: float) -> list[Wish]:
        self._drawn += 1
        return wishes(self._seed * 10_000 + self._drawn, orders, seconds, GOOD)

    def _endless(self) -> Iterator[Wish]:
        while True:
            yield from self._draw(200, 1.0)


def _about(told: dict[str, Any]) -> dict[str, Any]:
    """What the journal keeps of an answer's body."""
    return {
        "orderId": told.get("orderId"),
        "orderStatus": told.get("orderStatus") or told.get("status"),
        "code": told.get("code"),
    }
