"""The loops beside requests: webhooks are followed up, old rows leave, refunds are started, events are published."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import structlog

from adapters.postgres.notifications import Listener
from adapters.settings import Settings
from events.cart_upkeep import CartUpkeep
from events.inbox import BATCH, Inbox
from events.inbox_pruning import InboxPruning
from events.outbox_relay import OutboxRelay
from events.pace import Pace
from events.refund_starts import BATCH as REFUND_BATCH
from events.refund_starts import RefundSweep
from services.inbox.arrivals import CHANNEL
from services.outbox.waiting import CHANNEL as OUTBOX

FIRST_LOOK = 0.05  # seconds from the end of some work to the next look for more
LAST_CLAIM = 5.0  # seconds for a claim that is under way when the relay stops: what it got is followed up, too
DRAIN = 10.0  # seconds that running follow-ups get to finish
PRUNE_EVERY = 3600.0  # seconds at most between two looks for events that may leave
CARTS_EVERY = 300.0  # the same for carts that nobody touches
LAST_TURN = 5.0  # seconds for what is being published when the relay stops
SPACING = 0.005  # seconds after a turn that published: what is committed meanwhile shares the next one
OUTBOX_PAUSES = (0.02, 1.0)  # seconds between two looks at the outbox: after work that no hint told of, and when idle
OUTAGE_PAUSES = (0.1, 5.0)  # seconds between two tries while the broker is away

log = structlog.get_logger()


class Relay:
    """The loops of one process, which run inside `async with`. Several processes share the work by claims.

    The inbox is looked at whenever PostgreSQL notifies, and by itself every `sweep_interval`; while no notifications
    arrive also soon after work, then ever later. So a lost notification delays and loses nothing.
    """

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        refunds: RefundSweep,
        pruning: InboxPruning,
        first_look: float = FIRST_LOOK,
        outbox: OutboxRelay | None = None,
        carts: CartUpkeep | None = None,
    ) -> None:
        """`first_look`: seconds from the end of some work to the next look for more.

        Without `outbox` nothing is published, without `carts` none expires.
        """
        self._inbox, self._refunds, self._pruning = inbox, refunds, pruning
        self._publishing = OutboxLoop(settings, outbox) if outbox is not None else None
        self._pace = Pace(first_look, settings.sweep_interval)
        self._refund_pace = Pace(settings.sweep_interval, settings.sweep_interval)
        self._pruning_pace = Pace(settings.sweep_interval, PRUNE_EVERY)
        self._carts = carts
        self._cart_pace = Pace(settings.sweep_interval, max(settings.sweep_interval, CARTS_EVERY))
        self._listener = Listener(settings, CHANNEL, self._pace.wake)
        self._turned_at = time.monotonic()
        self._stopping = False
        self._loops: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._turned_at = time.monotonic()
        loops = (
            self._follow_up_until_stopped(),
            self._inbox.keep_claims(),
            self._listener.listen_forever(),
            self._start_refunds_forever(),
            self._prune_forever(),
            *((self._keep_carts_forever(self._carts),) if self._carts else ()),
            *(self._publishing.loops() if self._publishing else ()),
        )
        self._loops = [asyncio.create_task(loop) for loop in loops]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Claims nothing any more, and gives what is under way its time."""
        self._stopping = True
        self._pace.wake()
        if self._publishing is not None:
            await self._publishing.stop()
        following, keeping, *others = self._loops
        await asyncio.wait({following}, timeout=LAST_CLAIM)
        await _end(following, *others)
        await self._inbox.drain(DRAIN)
        await _end(keeping)

    @property
    def listening(self) -> asyncio.Event:
        """Set while notifications arrive."""
        return self._listener.listening

    @property
    def held(self) -> int:
        """How many events are being followed up here."""
        return self._inbox.held

    @property
    def broker_answers(self) -> bool | None:
        """None where there is no broker."""
        return self._publishing.broker_answers if self._publishing else None

    @property
    def silence(self) -> float:
        """Seconds since this relay last looked at the inbox, whether or not the database answered."""
        return time.monotonic() - self._turned_at

    async def run_until(self, stop: asyncio.Event, *others: asyncio.Task[None]) -> None:
        """Comes back when it is told to stop. Raises the error of a loop that broke, which no loop should.

        `others` are loops of the process that are not the relay's own.
        """
        told = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({told, *self._loops, *others}, return_when=asyncio.FIRST_COMPLETED)
            for loop in done - {told}:
                loop.result()
        finally:
            told.cancel()

    async def _follow_up_until_stopped(self) -> None:
        while not self._stopping:
            self._turned_at = time.monotonic()
            taken = await _guarded("inbox_not_read", self._inbox.take())
            if taken != BATCH and not self._stopping:
                # Where notifications arrive there is nothing to find soon after work that did not wake us.
                await self._pace.pause(worked=taken > 0 and not self.listening.is_set())

    async def _start_refunds_forever(self) -> None:
        while True:
            await self._refund_pace.pause(worked=False)
            while await _guarded("refund_sweep_failed", self._refunds.sweep()) == REFUND_BATCH:
                pass

    async def _prune_forever(self) -> None:
        worked = False
        while True:
            await self._pruning_pace.pause(worked=worked)
            worked = await _guarded("inbox_not_pruned", self._pruning.prune()) > 0

    async def _keep_carts_forever(self, carts: CartUpkeep) -> None:
        worked = False
        while True:
            await self._cart_pace.pause(worked=worked)
            worked = await _guarded("carts_not_kept", carts.keep()) > 0


class OutboxLoop:
    """Publishes until it is stopped: woken by hints, by itself soon after work, then ever later."""

    def __init__(self, settings: Settings, outbox: OutboxRelay) -> None:
        self._outbox = outbox
        self._pace, self._outage = Pace(*OUTBOX_PAUSES), Pace(*OUTAGE_PAUSES)
        self._listener = Listener(settings, OUTBOX, self._pace.wake)
        self._stopping = False
        self._stopped = asyncio.Event()

    @property
    def broker_answers(self) -> bool:
        """Whether the broker took what was sent last."""
        return self._outbox.broker_answers

    @property
    def listening(self) -> asyncio.Event:
        """Set while hints arrive."""
        return self._listener.listening

    def loops(self) -> Iterable[Coroutine[Any, Any, None]]:
        """What has to run for it."""
        return (self._publish_until_stopped(), self._listener.listen_forever())

    async def stop(self) -> None:
        """Gives the turn that is under way its time, and then lanes and broker back."""
        self._stopping = True
        for pace in (self._pace, self._outage):
            pace.wake()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), LAST_TURN)
        await self._outbox.aclose()

    async def _publish_until_stopped(self) -> None:
        failed = False
        while not self._stopping:
            try:
                turn = await self._outbox.turn()
            except Exception as error:
                log.warning("outbox_not_read", error=type(error).__name__)
                turn = None
            if turn is None or turn.failure is not None:
                await self._outage.pause(worked=not failed or bool(turn and turn.acknowledged))
                failed = True
                continue
            failed = False
            if turn.following or self._stopping:
                continue
            if turn.taken:
                await asyncio.sleep(SPACING)
            if self._outbox.has_unnoted and self.listening.is_set():
                await self._pace.pause_once()  # mostly a hint ends it, and the next turn notes these, too
            else:
                # Where hints arrive there is nothing to find soon after work that did not wake us.
                await self._pace.pause(worked=bool(turn.taken) and not self.listening.is_set())
        self._stopped.set()


async def _guarded(event: str, work: Coroutine[Any, Any, int]) -> int:
    """What the work took, or 0 where it failed: it is tried again."""
    try:
        return await work
    except Exception as error:
        log.warning(event, error=type(error).__name__)
        return 0


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
