"""A partition that is read again from the archive, after a reset: what the broker no longer has is there, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.routing import Wanted
from events.consumer import Consumer, Received, routed
from events.consumer_intake import Chunk
from services.archive import archive
from services.consumers.positions import Place, Replay

PAGE = 200


async def replayed(
    consumer: Consumer, rule: Wanted, engine: AsyncEngine, partition: int, place: Place
) -> AsyncIterator[Chunk]:
    """What is left of a replay; nothing where there is none. After the last chunk the stream goes on where it was."""
    while (replay := place.replay) is not None:
        after = archive.Cursor(*replay.after) if replay.after else None
        async with engine.connect() as connection:
            events = await archive.read(connection, after, since=replay.since, partition=partition, most=PAGE)
        read_up_to = Replay(replay.since, archive.Cursor.of(events[-1])) if events else None
        place = replace(place, replay=read_up_to)
        received = []
        for event in events:
            wanted, fault = routed(consumer, rule, event, None)
            if wanted:
                received.append(Received(event, event.to_json(), partition, fault=fault))
        yield Chunk(partition, received, place, len(events))
