"""A seeded schedule of faults, and who brings them about in a running stack."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import psutil

from chaos.links import LINKS, RELAYS, WORKERS, Links
from chaos.relay_faults import TABLES, kill_in_batch, pause
from devstack.stack.process import PartState
from devstack.stack.stack import Stack

SINGLE_PARTS = ("api", "temporal", "postgres", "nats", "stripe", "carrier")
GAP = (2.2, 3.0)  # seconds between two faults
LENGTH = (1.0, 3.0)  # seconds that a link stays bad
PAUSED = (4.0, 7.0)  # seconds; a relay's locks are gone after one
SLOWNESS = (0.02, 0.2)  # seconds a chunk


class FaultKind(StrEnum):
    KILL = "kill"  # SIGKILL
    DROP = "drop"  # every open connection of a link is reset
    REFUSE = "refuse"  # and new ones too, for a while
    SLOW = "slow"  # every chunk is late, for a while
    STALL = "stall"  # no byte gets through, on connections that stay open, for a while
    PAUSE = "pause"  # SIGSTOP of a relay, whose database sessions end meanwhile, and SIGCONT
    KILL_IN_BATCH = "kill in batch"  # SIGKILL of a relay whose consumer is in the middle of a transaction
    SWALLOW = "swallow"  # every byte is lost, on connections that stay open, for longer than any timeout
    ANSWERS = "answers"  # a far end answers wrongly, for a minute
    FAILOVER = "failover"  # a copy takes the database's place
    LOSE_TAIL = "lose tail"  # the broker comes back with an earlier state of its files


BAD_LINK = frozenset([FaultKind.DROP, FaultKind.REFUSE, FaultKind.SLOW, FaultKind.STALL])
SHORT = BAD_LINK | {FaultKind.KILL, FaultKind.PAUSE, FaultKind.KILL_IN_BATCH}
"""Those of `schedule`; the others are in `chaos/long_faults.py`."""


@dataclass(frozen=True)
class Fault:
    at: float  # seconds from the beginning
    kind: FaultKind
    target: str  # a part, a link, or the table that a batch is written to
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
        kind, target = self.fault.kind, self.fault.target
        target = next((peers[0] for peers in (WORKERS, RELAYS) if target in peers), target)
        return kind.value if kind in BAD_LINK | {FaultKind.SWALLOW} else f"{kind} {target}"


def schedule(seed: int, count: int) -> list[Fault]:
    """The same for the same seed; each deck of 17 has every kind of kill, and two workers' and relays' among them."""
    draw = random.Random(f"faults {seed}")
    faults: list[Fault] = []
    at, deck = draw.uniform(*GAP), list[tuple[FaultKind, str]]()
    while len(faults) < count:
        deck = deck or _deck(draw)
        kind, target = deck.pop()
        lasts = draw.uniform(*_LENGTHS[kind]) if kind in _LENGTHS else 0.0
        delay = draw.uniform(*SLOWNESS) if kind is FaultKind.SLOW else 0.0
        faults.append(Fault(at, kind, target, lasts, delay))
        at += draw.uniform(*GAP)
    return faults


_LENGTHS = dict.fromkeys((FaultKind.REFUSE, FaultKind.SLOW, FaultKind.STALL), LENGTH) | {FaultKind.PAUSE: PAUSED}


def worker_kills(seed: int, seconds: float) -> list[Fault]:
    """For as long as the seconds last, and two at least; in turn, since one that was killed is not back at once."""
    draw = random.Random(f"kills {seed}")
    faults: list[Fault] = []
    while len(faults) < 2 or faults[-1].at < seconds:
        at = (faults[-1].at if faults else 0.0) + draw.uniform(*GAP)
        faults.append(Fault(at, FaultKind.KILL, WORKERS[len(faults) % len(WORKERS)]))
    return faults


def _deck(draw: random.Random) -> list[tuple[FaultKind, str]]:
    kills = [*SINGLE_PARTS, *(draw.choice(peers) for peers in (WORKERS, WORKERS, RELAYS, RELAYS))]
    bad = [FaultKind.DROP, FaultKind.DROP, FaultKind.REFUSE, FaultKind.SLOW, FaultKind.STALL]
    deck = [(FaultKind.KILL, part) for part in kills]
    deck += [(FaultKind.PAUSE, draw.choice(RELAYS)), (FaultKind.KILL_IN_BATCH, draw.choice(TABLES))]
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
        if fault.kind in BAD_LINK:
            return fault.target in self._links.free
        if fault.kind is FaultKind.KILL_IN_BATCH:
            return any(self._runs(relay) for relay in RELAYS)
        return self._runs(fault.target)

    def _runs(self, name: str) -> bool:
        part = self._stack.parts[name]
        return part.state is PartState.READY and part.pid is not None

    def _instead(self, fault: Fault, number: int) -> Fault:
        """For a part that is not back yet, which would be no kill of the service, and for a link that swallows."""
        if fault.kind is FaultKind.PAUSE:
            others = [relay for relay in RELAYS if relay != fault.target and self._runs(relay)]
            if others:
                return replace(fault, target=others[0])
        free = self._links.free
        return Fault(fault.at, FaultKind.DROP, free[number % len(free)])

    def _bring_about(self, fault: Fault) -> None:
        happened = Happened(fault, time.time())
        self.happened.append(happened)
        self._tell(happened)
        if fault.kind is FaultKind.KILL:
            kill(self._stack, fault.target)
            self._follow(self._recovery(happened, fault.target))
        elif fault.kind is FaultKind.PAUSE:
            self._follow(pause(self._stack, self._links, fault.target, fault.seconds))
        elif fault.kind is FaultKind.KILL_IN_BATCH:
            self._follow(self._kill_in_batch(happened))
        elif fault.kind is FaultKind.DROP:
            self._links[fault.target].drop()
        else:
            self._follow(self._bad_link(fault))

    def _follow(self, course: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(course)
        self._recoveries.add(task)
        task.add_done_callback(self._recoveries.discard)

    async def _recovery(self, happened: Happened, part: str) -> None:
        await self._stack.ready(part)
        happened.ready_after = time.time() - happened.at

    async def _kill_in_batch(self, happened: Happened) -> None:
        """What is measured begins with the kill; where no batch came a relay dies all the same."""
        part = await kill_in_batch(self._stack, self._links, happened.fault.target)
        if part is None:
            part = next((relay for relay in RELAYS if self._runs(relay)), None)
            if part is None:
                return
            happened.fault = replace(happened.fault, kind=FaultKind.KILL, target=part)
            kill(self._stack, part)
        happened.at = time.time()
        await self._recovery(happened, part)

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
