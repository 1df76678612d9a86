"""Follows up the webhooks of the inbox: claims them, looks at what they are about, notes the end; a crash loses none.

Following up never trusts the event: it looks at the current state at the far end (`payment_follow_up.py`,
`parcel_follow_up.py`), so that doubles, old news and two processes at once do no harm. What our books say already
(`services/inbox/echoes.py`) has ended by then and is not looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

import structlog

from adapters.clock import now
from domain.errors import OurMistake
from services.inbox.arrivals import SETTLING
from services.inbox.claims import Claimed, Claims, EventKey
from services.inbox.inbox import LEASE

AT_ONCE = 8  # looks of one process at a time
MOST = 1000  # events that one process has claimed at a time; the others are left to other processes, or for later
BATCH = 100  # events claimed by one statement
RENEW_EVERY = LEASE.total_seconds() / 3
LOOK_TIMEOUT = 60.0  # seconds; every call of a look has a shorter limit of its own


class FollowUp(Protocol):
    """Follows up events about one kind of object at a far end."""

    async def is_urgent(self, object_id: str) -> bool:
        """Whether somebody waits for this news, so that it is worth a look before it has settled."""
        ...

    async def look(self, object_id: str) -> None:
        """Looks at the object's current state and tells the order's workflow what is new to it."""
        ...


class Subject(NamedTuple):
    """What events are about. One look answers all events about it that have arrived."""

    source: str
    object_id: str


FollowedUp = Callable[[str, float], None]
"""Told once of every event that was followed up: its source, and the seconds since it arrived."""

log = structlog.get_logger()


def _unheard(source: str, seconds: float) -> None: ...


class Inbox:
    """The events that this process follows up."""

    def __init__(
        self, claims: Claims, follow_ups: Mapping[str, FollowUp], followed_up: FollowedUp = _unheard
    ) -> None:
        """`follow_ups` by source; events of other sources are left alone."""
        self._claims = claims
        self._follow_ups = follow_ups
        self._followed_up = followed_up
        self._held: set[EventKey] = set()
        self._settling: dict[Subject, list[EventKey]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    @property
    def held(self) -> int:
        """How many events this process has claimed and not ended."""
        return len(self._held)

    async def take(self) -> int:
        """Claims what is due and begins to follow it up; how many events. Raises what the database raises."""
        limit = min(BATCH, MOST - len(self._held))
        if limit <= 0:
            return 0
        claimed = await self._claims.claim(self._follow_ups.keys(), limit)
        for event in claimed:
            if event.is_echo:
                self._followed_up(event.key.source, max(0.0, (now() - event.received_at).total_seconds()))
            else:
                self._begin(event)
        return len(claimed)

    async def keep_claims(self) -> None:
        """Renews the leases of what is under way, until it is canceled."""
        while True:
            await asyncio.sleep(RENEW_EVERY)
            if self._held:
                try:
                    await self._claims.renew(self._held)
                except Exception as error:
                    log.warning("claims_not_renewed", error=type(error).__name__)

    async def drain(self, seconds: float) -> None:
        """Waits until everything claimed is followed up; what is not by then is given back to the other processes."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._held:
            try:
                await self._claims.give_back(self._held)
            except Exception as error:
                log.warning("claims_not_given_back", error=type(error).__name__)
            self._held.clear()

    def _begin(self, event: Claimed) -> None:
        subject = Subject(event.key.source, event.object_id)
        self._held.add(event.key)
        if (settling := self._settling.get(subject)) is not None:
            settling.append(event.key)
            return
        self._settling[subject] = [event.key]
        task = asyncio.create_task(self._settle(subject, event.received_at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, subject: Subject, received_at: datetime) -> None:
        """Waits until an echo of our own step has become old news, unless the event is urgent."""
        try:
            if _pause(received_at) and not await self._is_urgent(subject):
                await asyncio.sleep(_pause(received_at))
        finally:
            events = self._settling.pop(subject)
        await self._follow_up(subject, events)
        self._held.difference_update(events)

    async def _is_urgent(self, subject: Subject) -> bool:
        try:
            async with self._room, asyncio.timeout(LOOK_TIMEOUT):
                return await self._follow_ups[subject.source].is_urgent(subject.object_id)
        except Exception:
            return False  # the look that follows meets the same trouble, and notes it

    async def _follow_up(self, subject: Subject, events: list[EventKey]) -> None:
        async with self._room:
            try:
                note = await self._look(subject)
                for source, seconds in await self._claims.note_processed(events, note):
                    self._followed_up(source, seconds)
            except Exception as error:
                about = {"source": subject.source, "object_id": subject.object_id}
                log.warning("follow_up_failed", **about, error=type(error).__name__)
                await self._note_failure(subject.source, events, error)

    async def _look(self, subject: Subject) -> str | None:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                await self._follow_ups[subject.source].look(subject.object_id)
        except OurMistake as error:  # e.g. an object that the far end does not know: asking again cannot help
            return _words(error)
        return None

    async def _note_failure(self, source: str, events: list[EventKey], error: Exception) -> None:
        try:
            await self._claims.note_failure(events, _words(error))
        except Exception as second:
            log.warning("inbox_not_updated", source=source, error=type(second).__name__)


def _pause(received_at: datetime) -> float:
    """Seconds until what arrived then has settled."""
    return min(SETTLING, max(0.0, SETTLING - (now() - received_at).total_seconds()))


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
