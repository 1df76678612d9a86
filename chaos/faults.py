"""A seeded schedule of faults, and who brings them about in a running stack."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psutil

from chaos.links import LINKS, WORKERS, Links
from devstack.stack.process import PartState
from devstack.stack.stack import Stack

SINGLE_PARTS = ("api", "relay", "temporal", "postgres", "stripe", "carrier")
GAP = (2.2, 3.0)  # seconds between two faults
LENGTH = (1.0, 3.0)  # seconds that a link stays bad
SLOWNESS = (0.02, 0.2)  # seconds a chunk


class FaultKind(StrEnum):
    KILL = "kill"  # SIGKILL
    DROP = "drop"  # every open connection of a link is reset
    REFUSE = "refuse"  # and new ones too, for a while
    SLOW = "slow"  # every chunk is late, for a while
    STALL = "stall"  # no byte gets through, on connections that stay open, for a while
    SWALLOW = "swallow"  # every byte is lost, on connections that stay open, for longer than any timeout
    ANSWERS = "answers"  # a far end answers wrongly, for a minute
    FAILOVER = "failover"  # a copy takes the database's place


SHORT = frozenset([FaultKind.KILL, FaultKind.DROP, FaultKind.REFUSE, FaultKind.SLOW, FaultKind.STALL])
"""Those of `schedule`; the others are in `chaos/long_faults.py`."""


@dataclass(frozen=True)
class Fault:
    at: float  # seconds from the beginning
    kind: FaultKind
    target: str  # a part, or a link
    seconds: float = 0.0
    delay: float = 0.0


@dataclass
class Happened:
    """A fault as it came about."""

    fault: Fault
    at: float  # Unix time in seconds
    ready_after: float | None = None  # seconds, of a killed part

    @property
    def name(self) -> str:
        target = "worker" if self.fault.target in WORKERS else self.fault.target
        of_part = self.fault.kind in (FaultKind.KILL, FaultKind.ANSWERS, FaultKind.FAILOVER)
        return f"{self.fault.kind} {target}" if of_part else self.fault.kind.value


def schedule(seed: int, count: int) -> list[Fault]:
    """The same for the same seed; each deck of 13 has every kind of kill, and two workers' among them."""
    draw = random.Random(f"faults {seed}")
    faults: list[Fault] = []
    at, deck = draw.uniform(*GAP), list[tuple[FaultKind, str]]()
    while len(faults) < count:
        deck = deck or _deck(draw)
        kind, target = deck.pop()
        lasts = draw.uniform(*LENGTH) if kind in (FaultKind.REFUSE, FaultKind.SLOW, FaultKind.STALL) else 0.0
        delay = draw.uniform(*SLOWNESS) if kind is FaultKind.SLOW else 0.0
        faults.append(Fault(at, kind, target, lasts, delay))
        at += draw.uniform(*GAP)
    return faults


def worker_kills(seed: int, seconds: float) -> list[Fault]:
    """For as long as the seconds last, and two at least; in turn, since one that was killed is not back at once."""
    draw = random.Random(f"kills {seed}")
    faults: list[Fault] = []
    while len(faults) < 2 or faults[-1].at < seconds:
        at = (faults[-1].at if faults else 0.0) + draw.uniform(*GAP)
        faults.append(Fault(at, FaultKind.KILL, WORKERS[len(faults) % len(WORKERS)]))
    return faults


def _deck(draw: random.Random) -> list[tuple[FaultKind, str]]:
    kills = [*SINGLE_PARTS, draw.choice(WORKERS), draw.choice(WORKERS)]
    bad = [FaultKind.DROP, FaultKind.DROP, FaultKind.REFUSE, FaultKind.SLOW, FaultKind.STALL]
    deck = [(FaultKind.KILL, part) for part in kills]
    deck += zip(bad, draw.sample(LINKS, len(bad)), strict=True)
    draw.shuffle(deck)
    return deck


class Injector:
    """Brings faults about, one after the other; `happened` is what came of it."""

    def __init__(self, stack: Stack, links: Links, tell: Callable[[Happened], None] = lambda _: None) -> None:
        self._stack, self._links, self._tell = stack, links, tell
        self._recoveries: set[asyncio.Task[None]] = set()
        self.happened: list[Happened] = []

    async def run(self, faults: list[Fault]) -> None:
        """Comes back when every fault is over and every killed part is ready again."""
        began = time.monotonic()
        try:
            for number, fault in enumerate(faults):
                await asyncio.sleep(max(0.0, began + fault.at - time.monotonic()))
                self._bring_about(fault if self._possible(fault) else self._instead(fault, number))
        finally:
            await asyncio.gather(*self._recoveries)
            self._links.heal()

    def _possible(self, fault: Fault) -> bool:
        if fault.kind is FaultKind.KILL:
            part = self._stack.parts[fault.target]
            return part.state is PartState.READY and part.pid is not None
        return fault.target in self._links.free

    def _instead(self, fault: Fault, number: int) -> Fault:
        """For a part that is not back yet, which would be no kill of the service, and for a link that swallows."""
        free = self._links.free
        return Fault(fault.at, FaultKind.DROP, free[number % len(free)])

    def _bring_about(self, fault: Fault) -> None:
        happened = Happened(fault, time.time())
        self.happened.append(happened)
        self._tell(happened)
        if fault.kind is FaultKind.KILL:
            kill(self._stack, fault.target)
            self._follow(self._recovery(happened))
        elif fault.kind is FaultKind.DROP:
            self._links[fault.target].drop()
        else:
            self._follow(self._bad_link(fault))

    def _follow(self, course: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(course)
        self._recoveries.add(task)
        task.add_done_callback(self._recoveries.discard)

    async def _recovery(self, happened: Happened) -> None:
        await self._stack.ready(happened.fault.target)
        happened.ready_after = time.time() - happened.at

    async def _bad_link(self, fault: Fault) -> None:
        link = self._links[fault.target]
        if fault.kind is FaultKind.REFUSE:
            link.refusing = True
            link.drop()
        elif fault.kind is FaultKind.SLOW:
            link.delay = fault.delay
        else:
            link.stall()
        await asyncio.sleep(fault.seconds)
        link.heal()


def kill(stack: Stack, part: str) -> None:
    """SIGKILL to the part and then to its children: PostgreSQL's sessions are processes of their own."""
    pid = stack.pids[part]
    children = psutil.Process(pid).children(recursive=True)
    stack.kill(part)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
