"""The event archive: keeps every event, whatever its type and version, as the source of all that is made again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.bus.port import partition_of
from domain.cloud_events import CloudEvent
from events.consumer import Consumer
from services.archive import archive


class EventArchive(Consumer):
    """A row for each event's id, so that also one that comes late, after a later one of its subject, is kept."""

    name = "event_archive"
    versions = None
    in_order = False
    holds_subject = False
    linger = 0.5

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._months: set[date] = set()  # whose partitions are there

    async def prepare(self, events: Sequence[CloudEvent]) -> None:
        if new := {archive.month_of(event) for event in events} - self._months:
            await archive.make_months(self._engine, sorted(new))
            self._months |= new

    async def apply(self, connection: AsyncConnection, events: Sequence[CloudEvent]) -> None:
        await archive.add(connection, [(partition_of(event.subject), event) for event in events])
