"""Faults that last: links that swallow for longer than any timeout, far ends that answer wrongly; and a failover.

| fault | lasts | what |
|---|---|---|
| swallow | 35 to 45 s | a link loses every byte, on connections that stay open; neither end is told |
| answers | 54 to 66 s | Stripe or the carrier answers every request with 402, then with 400, then with nonsense |
| failover | a moment | PostgreSQL stops without a checkpoint, and a copy of its files takes its place |
| lose tail | 4 to 8 s | what NATS takes in these seconds it has lost afterwards; then an operator has it replayed |

They come beside the short ones of `faults.py`, one after the other with pauses in which orders get through; only the
carrier and the broker, without which a checkout can be answered, have their turns beside them. A simulator that is
killed meanwhile answers wrongly again as soon as it is back.
"""

import asyncio
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from chaos.faults import Fault, FaultKind, Happened
from chaos.links import LINKS, Links
from chaos.lost_tail import Operator, lose_tail
from devstack.stack.stack import Stack

SWALLOW = (35.0, 45.0)  # seconds; the longest timeout of a step is 30
ANSWERS = (18.0, 22.0)  # seconds for each kind of wrong answer
TAIL = (4.0, 8.0)  # seconds of events that the broker loses
TAILS_AT = (6.0, 110.0)  # seconds
PAUSE = (12.0, 16.0)  # seconds between two
LOOK_EVERY = 1.0  # seconds
BEGINS = 3.0  # seconds
SHORTEST = 20.0  # seconds that must be left of a run when one begins
SWALLOWS = 3  # of a run; as many links later begins the next seed's
WRONG_KINDS = ("refuse_402", "refuse_400", "nonsense")
NONSENSE = ("html", "empty", "list", "types")


def long_schedule(seed: int, seconds: float) -> list[Fault]:
    """The same for the same seed; three seeds in a row swallow nine different links."""
    draw = random.Random(f"long faults {seed}")
    every = random.Random("links").sample(LINKS, len(LINKS))
    links = [every[(seed * SWALLOWS + number) % len(every)] for number in range(SWALLOWS)]
    swallows = [Fault(0.0, FaultKind.SWALLOW, link, draw.uniform(*SWALLOW)) for link in links]
    carrier, stripe = (
        Fault(0.0, FaultKind.ANSWERS, far_end, draw.uniform(*ANSWERS) * len(WRONG_KINDS))
        for far_end in ("carrier", "stripe")
    )
    failover = Fault(0.0, FaultKind.FAILOVER, "postgres")
    tails = [Fault(at, FaultKind.LOSE_TAIL, "nats", draw.uniform(*TAIL)) for at in TAILS_AT]
    in_turn = _one_after_the_other(draw, [*swallows[:2], failover, stripe, *swallows[2:]])
    faults = [replace(carrier, at=BEGINS), *tails, *in_turn]
    return sorted((fault for fault in faults if fault.at + SHORTEST < seconds), key=lambda fault: fault.at)


def _one_after_the_other(draw: random.Random, track: list[Fault]) -> list[Fault]:
    at, placed = BEGINS, list[Fault]()
    for fault in track:
        placed.append(replace(fault, at=at))
        at += fault.seconds + draw.uniform(*PAUSE)
    return placed


@dataclass
class LongInjector:
    """Brings them about; `happened` is the run's list of what came of all faults."""

    stack: Stack
    links: Links
    happened: list[Happened]
    tell: Callable[[Happened], None] = lambda _: None
    lost: list[int] = field(default_factory=list)  # events that each lost tail had, at least; all replayed by now

    async def run(self, faults: list[Fault], seed: int) -> None:
        """Comes back when every one is over."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, fault in enumerate(faults):
                await asyncio.sleep(max(0.0, began + fault.at - time.monotonic()))
                group.create_task(self._bring_about(fault, random.Random(f"answers {seed} {number}")))

    async def _bring_about(self, fault: Fault, draw: random.Random) -> None:
        happened = Happened(fault, time.time())
        self.happened.append(happened)
        self.tell(happened)
        if fault.kind is FaultKind.SWALLOW:
            with self.links.held(fault.target) as link:
                link.swallow()
                await asyncio.sleep(fault.seconds)
        elif fault.kind is FaultKind.ANSWERS:
            await self._answer_wrongly(fault, draw)
        elif fault.kind is FaultKind.LOSE_TAIL:
            tail = await lose_tail(self.stack, partial(asyncio.sleep, fault.seconds))
            await Operator(self.stack).make_whole(tail.since)
            self.lost.append(tail.events)
        else:
            await fail_over(self.stack)
            happened.ready_after = time.time() - happened.at

    async def _answer_wrongly(self, fault: Fault, draw: random.Random) -> None:
        far_end = httpx.AsyncClient(base_url=getattr(self.stack.urls, fault.target), timeout=5, trust_env=False)
        async with far_end:
            for kind in WRONG_KINDS:
                end = time.monotonic() + fault.seconds / len(WRONG_KINDS)
                rule: dict[str, Any] = {"operation": "*", "kind": kind, "times": None}
                if kind == "nonsense":
                    rule["code"] = draw.choice(NONSENSE)
                while time.monotonic() < end:
                    await self._show(far_end, [rule])
                    await asyncio.sleep(LOOK_EVERY)
            await self.stack.ready(fault.target)
            await self._show(far_end, [])

    async def _show(self, far_end: httpx.AsyncClient, rules: list[dict[str, Any]]) -> None:
        """These and no others; a far end that has just been killed comes back without any."""
        with suppress(httpx.HTTPError):
            shown = (await far_end.get("/_control/faults")).raise_for_status().json()["rules"]
            if [one["kind"] for one in shown] != [rule["kind"] for rule in rules]:
                await far_end.delete("/_control/faults")
                for rule in rules:
                    await far_end.post("/_control/faults", json=rule)


async def fail_over(stack: Stack) -> None:
    """PostgreSQL ends at once, without a checkpoint; a copy of its files takes the place of the original.

    An immediate shutdown leaves the files as a crash does: the next server recovers from the log.
    https://www.postgresql.org/docs/current/server-shutdown.html
    """
    server, home = stack.parts["postgres"], stack.plan.postgres
    if home is None:
        raise RuntimeError("this stack's database runs elsewhere")
    usual = server.part
    server.part = replace(usual, stop_signal=signal.SIGQUIT)
    try:
        await server.stop()
    finally:
        server.part = usual
    await asyncio.to_thread(_swap, home.data)
    await server.start()


def _swap(data: Path) -> None:
    copy, former = data.with_name("data.copy"), data.with_name("data.former")
    subprocess.run(["cp", "-a", str(data), str(copy)], check=True)  # owners and modes, too
    data.rename(former)
    copy.rename(data)
    shutil.rmtree(former)
