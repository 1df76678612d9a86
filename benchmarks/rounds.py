"""The measurements of one run: every contender under every load, round by round, in rotating order."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.contenders import FURTHER, Entry
from benchmarks.figures import Measurement
from benchmarks.processes import CpuMeter, StationProcess
from benchmarks.teller import Teller

PAUSE = 0.2  # seconds between measurements, for what the servers do after they have answered
REST = 2.0  # seconds in which the servers are watched doing nothing
FEWER_ALONE = 5  # with one order at once, one in so many of the orders is placed


Columns = Callable[[Mapping[str, float], Entry], dict[str, float]]  # of a table, from CPU seconds by group


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    rounds: int
    orders: int
    at_once: tuple[int, ...]
    entries: tuple[Entry, ...]
    seed: int

    def orders_of(self, at_once: int) -> int:
        return self.orders if at_once > 1 else max(1, self.orders // FEWER_ALONE)


class Bench:
    """The measurements of one run on a stack that is there already."""

    def __init__(
        self,
        plan: Plan,
        stations: Mapping[str, StationProcess],
        groups: Mapping[str, list[int]],
        teller: Teller,
        columns: Columns | None = None,
    ) -> None:
        """`groups` are the processes of the run, `columns` what is shown of them."""
        self._plan, self._stations, self._tell = plan, stations, teller
        self._begun = 0  # measurements: a contender may come twice in a round, its orders may not
        self._columns = columns or of_interest
        self._meter = CpuMeter(groups)

    async def at_rest(self) -> dict[str, float]:
        before = self._meter.read()
        await asyncio.sleep(REST)
        return {name: seconds / REST for name, seconds in self._meter.read().since(before).groups.items()}

    async def warm_up(self) -> None:
        """As a round, without being counted: connections, caches, compiled statements."""
        most = max(self._plan.at_once)
        for entry in self._plan.entries:
            self._tell.doing(f"warm-up, {entry.name}")
            await self._measure(entry, most, min(self._plan.orders, 2 * most), 0)

    async def rounds(self, after: int = 0) -> list[Measurement]:
        """As many as the plan says; `after` is the number of the last one before."""
        found = []
        for number in range(after + 1, after + self._plan.rounds + 1):
            for at_once in self._plan.at_once:
                for entry in rotated(self._plan.entries, number + self._plan.seed):
                    self._tell.doing(f"round {number}, {at_once} at once, {entry.name}")
                    both = await self._measure(entry, at_once, self._plan.orders_of(at_once), number)
                    found += both
                    self._tell.done(both)
        return sorted(found, key=lambda one: (one.round, one.at_once, self._place_of(one)))

    def _place_of(self, one: Measurement) -> int:
        names = [entry.name for entry in self._plan.entries]
        return names.index(one.contender) if one.contender in names else len(names)

    async def _measure(self, entry: Entry, at_once: int, orders: int, number: int) -> list[Measurement]:
        station = self._stations[entry.station]
        self._begun += 1
        prefix = f"bench-{self._plan.seed}-{entry.name.replace(' ', '_')}-{at_once}-{number}-{self._begun}"
        order_ids = [f"{prefix}-{order}" for order in range(orders)]
        cpu, began = self._meter.read(), time.perf_counter()
        shifts = [await station.tell("place", kind=entry.kind, order_ids=order_ids, at_once=at_once)]
        shifts += await station.tell("settle")
        await asyncio.sleep(PAUSE)
        spent, wall = self._meter.read().since(cpu), time.perf_counter() - began
        events = await station.tell("look")
        return [
            Measurement(
                contender=name,
                at_once=at_once,
                round=number,
                orders=orders,
                seconds=shift["seconds"],
                latencies=shift["latencies"],
                cpu=self._columns(spent.groups, entry),
                events=events,
                elsewhere=spent.elsewhere / wall / (os.cpu_count() or 1),
                late=shift["late"],
                refused=shift["refused"],
                wall=wall,
            )
            for name, shift in zip((entry.name, *FURTHER), shifts, strict=False)
        ]


def groups_of(pids: Mapping[str, int], stations: Mapping[str, StationProcess]) -> dict[str, list[int]]:
    """The processes of a run of the service and of what it is compared with."""
    return {
        "Temporal": [pids["temporal"]],
        "PostgreSQL": [pids["postgres"]],
        "service's worker": [pids["worker"]],
        "engine worker": [stations["worker"].pid],
        "API": [pids["api"]],
        "relay": [pids["relay"]],
        "simulators": [pids["stripe"], pids["carrier"]],
        "load generator": [stations["load"].pid],
    }


def of_interest(groups: Mapping[str, float], entry: Entry) -> dict[str, float]:
    """By process; the worker is the one that works for this contender, the other one idles."""
    idle = "engine worker" if entry.kind == "service" else "service's worker"
    busy = "service's worker" if entry.kind == "service" else "engine worker"
    names = {name: "worker" if name == busy else name for name in groups if name not in (idle, "controller")}
    return {shown: groups[name] for name, shown in names.items()}


def rotated(entries: Sequence[Entry], by: int) -> list[Entry]:
    """Another one first in every round: whoever comes after a heavy one is not always the same."""
    start = by % len(entries)
    return [*entries[start:], *entries[:start]]
