"""Admission control: how many checkouts this process takes on, so that those it took on are answered in time.

An overloaded shop that takes on everything answers nobody: each order waits behind all the others. Here a checkout
too many is refused before anything is stored, which costs little and loses nothing. It is too many when

- as many checkouts as the limit says are in flight in this process (`in_flight`). The limit is `most` at first; it
  falls when orders wait for more than a second until a worker has them, and grows again while they do not; or
- an order has waited for a worker for longer than `longest` seconds (`waiting`): its checkout was answered "pending",
  and it is still PLACED. Then a few at a time go on, which find out when workers take orders again.

A repeat of an order that is stored has a turn of its own (`Turn`): it is never told that there is no order.

What waits for somebody else does not count: an order that left PLACED waits for its customer or for Stripe, however
long; one that never got a workflow was not handed to a worker; and one that others overtook stands still for a reason
of its own. Webhooks, reads and cancels are never refused, and checkouts leave them a part of the database pool.

Each process decides by what it handed over itself, so that a decision costs nothing, and at most twice a second a
look at the rows of the orders that it waits for. Why so, and not by the oldest PLACED row: decision 0019.
The limit rises by one and falls by a factor, as TCP's window does (RFC 5681, section 3.1), but by the time in the
queue (RFC 8289, section 3.1), since the time at Stripe says nothing about this machine.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.settings import Settings
from domain.errors import Unavailable
from domain.order_states import OrderStatus
from services.orders.placement import taken_by_workers

LOOK_EVERY = 0.5  # seconds
LOOK_TIMEOUT = 1.0  # seconds
LOCAL_ATTEMPT = 5.0  # seconds; a checkout that is RESERVED and older than the worker's first attempt waits for Stripe
FOLLOWED = 100  # orders that wait for a worker; the oldest one decides, so that no more are looked at
GOOD_WAIT = 1.0  # seconds until a worker has an order; more means that there are too many
LEAST = 5  # checkouts in flight, however slow the machine is
PROBES = 3  # checkouts in flight while an order waits for a worker for too long
SMALLEST_CUT, LARGEST_CUT = 0.9, 0.5  # what is left of the limit when orders waited too long
LONGEST_LINE = 2.0  # seconds that a checkout waits in line; then it is refused
POOL_SHARE = 0.75  # of the database pool, for checkouts

Look = Callable[[Collection[str]], Awaitable[set[str]]]
"""Which of these orders a worker has taken: they are no longer PLACED."""

log = structlog.get_logger()


class Shed(StrEnum):
    """Why a checkout was refused."""

    IN_FLIGHT = "in_flight"
    WAITING = "waiting"


class Turn(StrEnum):
    """How a checkout goes on."""

    NEW = "new"  # as usual
    REPEAT = "repeat"  # too many: but its order is stored, and maybe no workflow was ever started for it
    LOOK = "look"  # too many: its order is stored and carried on, so that it is answered from the row at once


@dataclass(eq=False)
class Checkout:
    """One that is in flight. Times are the clock's, in seconds."""

    order_id: str
    turn: Turn
    since: float  # its first request
    counts: bool = True  # False once it waits for somebody else


class Admission:
    """Of one API process. `look` asks the database; `shed` is told of each refusal."""

    def __init__(
        self,
        look: Look,
        *,
        most: int,
        longest: float,
        connections: int = 20,
        shed: Callable[[Shed], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        longest_line: float = LONGEST_LINE,
    ) -> None:
        self._ask, self._most, self._longest, self._tell, self._clock = look, most, longest, shed, clock
        self._longest_line = longest_line
        self._limit, self._cut_at = float(most), clock()
        self._in_flight: set[Checkout] = set()
        self._pending: dict[str, float] = {}  # orders whose checkouts were answered "pending": since when
        self._placed: set[str] = set()  # those that were still PLACED at the last look
        self._share = asyncio.Semaphore(max(1, int(POOL_SHARE * connections)))
        self._looked_at = -LOOK_EVERY
        self._looking = asyncio.Lock()
        self._line: deque[asyncio.Event] = deque()  # who waits for a place, the first one first

    @property
    def in_flight(self) -> int:
        """Checkouts that wait here for their answer."""
        return len(self._in_flight)

    @property
    def limit(self) -> int:
        """How many may wait at a time."""
        return int(self._limit)

    @property
    def in_line(self) -> int:
        """Checkouts that wait for a place."""
        return len(self._line)

    async def too_many(self) -> Shed | None:
        """Why another checkout would be one too many; None when it may begin."""
        return Shed.IN_FLIGHT if self._line else await self._reason()

    async def wait_in_line(self, reason: Shed) -> Shed | None:
        """Waits for a place if the `reason` is that there is none; then as `too_many`."""
        if reason is not Shed.IN_FLIGHT or len(self._line) >= self.limit:
            return reason
        turn = asyncio.Event()
        self._line.append(turn)
        try:
            async with asyncio.timeout(self._longest_line):
                while self._line[0] is not turn or await self._reason() is Shed.IN_FLIGHT:
                    await _set_or_some_time(turn)
            return await self._reason()
        except TimeoutError:
            return Shed.IN_FLIGHT
        finally:
            self._line.remove(turn)
            self._next()

    def _next(self) -> None:
        """Tells the first in line to look whether there is a place."""
        if self._line:
            self._line[0].set()

    async def _reason(self) -> Shed | None:
        await self._look()
        counted = sum(checkout.counts and checkout.turn is Turn.NEW for checkout in self._in_flight)
        if counted >= self.limit:
            return Shed.IN_FLIGHT
        now = self._clock()
        oldest = min((self._pending[order_id] for order_id in self._placed & self._pending.keys()), default=now)
        return Shed.WAITING if counted >= PROBES and now - oldest > self._longest else None

    def refusal(self, reason: Shed, **order: Any) -> Unavailable:
        """The answer to one too many, to be raised; it is counted. `order` is what to tell of one that is stored."""
        self._tell(reason)
        stored = "your order is stored and goes on" if order else "nothing was stored"
        detail = f"more checkouts than can be served now; {stored}: send the same request again later"
        return Unavailable("overloaded", detail, **order)

    def turn_of_repeat(self, order_id: str, status: OrderStatus) -> Turn | None:
        """Of one too many whose order is stored; None where it has to come again later.

        A PLACED order that this process did not hand over may have no workflow, and a repeat is what starts it: as
        many of these as the limit says go on at a time. Hundreds come back after an outage.
        """
        if status is not OrderStatus.PLACED or order_id in self._pending:
            return Turn.LOOK
        is_tried = any(checkout.order_id == order_id for checkout in self._in_flight)
        repeats = sum(checkout.turn is Turn.REPEAT for checkout in self._in_flight)
        return Turn.REPEAT if not is_tried and repeats < self.limit else None

    @contextmanager
    def take_on(self, order_id: str, turn: Turn = Turn.NEW) -> Iterator[Checkout]:
        """A checkout is in flight inside the block."""
        checkout = Checkout(order_id, turn, self._pending.get(order_id, self._clock()))
        self._in_flight.add(checkout)
        try:
            yield checkout
        finally:
            self._in_flight.discard(checkout)
            self._next()

    def database(self) -> AbstractAsyncContextManager[None]:
        """Around what a checkout does with the database: the rest of the pool is left to everything else."""
        return self._share

    def taken(self, checkout: Checkout, elsewhere: float) -> None:
        """A worker took its order, which then was for `elsewhere` seconds at Stripe."""
        self._forget({checkout.order_id: checkout.since})
        self._waited(checkout, self._clock() - checkout.since - elsewhere)

    def pending(self, checkout: Checkout) -> None:
        """Its client was told "pending": its order has a workflow, and no worker has taken it yet."""
        if len(self._pending) < FOLLOWED:
            self._pending.setdefault(checkout.order_id, checkout.since)
        self._waited(checkout, self._clock() - checkout.since)

    def _waited(self, checkout: Checkout, seconds: float) -> None:
        if seconds <= GOOD_WAIT:
            self._limit = min(self._most, self._limit + 1 / self._limit)
        elif checkout.since > self._cut_at:  # once for all that were in flight together
            self._cut_at = self._clock()
            left = min(SMALLEST_CUT, max(LARGEST_CUT, GOOD_WAIT / seconds))
            self._limit = max(min(LEAST, self._most), self._limit * left)

    async def _look(self) -> None:
        """Asks the database, at most twice a second and only where orders wait; one request asks for all."""
        async with self._looking:
            if self._clock() < self._looked_at + LOOK_EVERY:
                return
            self._looked_at = self._clock()
            late = [one for one in self._in_flight if one.counts and self._clock() - one.since > LOCAL_ATTEMPT]
            asked = {one.order_id: one.since for one in late} | self._pending
            if not asked:
                return
            try:
                async with asyncio.timeout(LOOK_TIMEOUT):
                    taken = await self._ask(asked.keys())
            except Exception as error:  # a database that is away is no overload: its own 503 says so
                log.warning("admission_not_readable", error=type(error).__name__)
                self._placed = set()
                return
            for checkout in late:
                checkout.counts = checkout.order_id not in taken
            self._placed = asked.keys() - taken
            self._forget({order_id: asked[order_id] for order_id in taken})

    def _forget(self, taken: dict[str, float]) -> None:
        """Those that a worker has taken, and those that they overtook by so much that no queue explains it."""
        if not self._pending or not taken:
            return
        latest = max(taken.values())
        for order_id, since in list(self._pending.items()):
            if order_id in taken or since < latest - self._longest:
                del self._pending[order_id]


async def _set_or_some_time(turn: asyncio.Event) -> None:
    """A place can also come free because an order turns out to wait for somebody else: who is first looks again."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK_EVERY):
            await turn.wait()
    turn.clear()


def admission_of(settings: Settings, reads: AsyncEngine, shed: Callable[[Shed], None]) -> Admission:
    """By the settings, asking the database."""
    return Admission(
        partial(taken_by_workers, reads),
        most=settings.max_checkouts,
        longest=settings.max_checkout_wait,
        connections=settings.database_pool_size,
        shed=shed,
    )
