"""Where reading goes on: after the position that was kept, unless the stream is not the one that it was kept of."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from adapters.bus.port import Broker, BusAway, Head, Incoming
from adapters.bus.shared_reading import closing
from domain.routing import Wanted
from events.consumer import Consumer, Received, parse, routed
from services.consumers.positions import Place

PATIENCE = 5.0  # seconds for an event that the broker says it has


class Rewound(StrEnum):
    """Why a partition is read again from its first event; repeats are known by their sequence or id."""

    REBUILT = "rebuilt"  # the stream was made anew
    TAIL_LOST = "tail_lost"  # it ends before our position, or has another event there
    EXPIRED = "expired"  # it begins after our position: events were dropped that this consumer never read


class Resumed(NamedTuple):
    place: Place
    why: Rewound | None


async def resume(broker: Broker, partition: int, place: Place | None) -> Resumed:
    """The place to read on from. Raises BusAway.

    A stream that lost its tail may have got new events since, so nobody knows where it was cut: it is read from its
    first event.
    """
    head = await broker.head(partition)
    if place is None:
        return Resumed(Place(head.incarnation, head.first - 1), None)
    first = replace(place, incarnation=head.incarnation, position=head.first - 1, event_id=None)
    if head.incarnation != place.incarnation:
        return Resumed(first, Rewound.REBUILT)
    if place.position < head.first - 1:
        return Resumed(first, Rewound.EXPIRED if place.event_id else None)
    if place.position > max(head.last, head.first - 1) or await _is_another(broker, partition, place, head):
        return Resumed(first, Rewound.TAIL_LOST)
    return Resumed(place, None)


async def _is_another(broker: Broker, partition: int, place: Place, head: Head) -> bool:
    if place.event_id is None or not head.first <= place.position <= head.last:
        return False
    try:
        events = broker.read(partition, place.position - 1, most=1)
        async with asyncio.timeout(PATIENCE), closing(events) as batches:
            async for batch in batches:
                # Where the partitions of a broker share its positions, another one may have got ours since the cut.
                return batch[0].position != place.position or parse(batch[0].body)[0].id != place.event_id
    except TimeoutError:
        raise BusAway("the broker does not show an event that it says it has") from None
    return False


def is_still(head: Head, place: Place) -> bool:
    """Whether the stream may be the one that the place is of, by what it holds now."""
    return head.incarnation == place.incarnation and place.position <= max(head.last, head.first - 1)


def taken(
    consumer: Consumer, rule: Wanted, partition: int, batch: list[Incoming], place: Place
) -> tuple[list[Received], Place]:
    """What of a batch the consumer gets, and the place after it."""
    received = []
    last_id = place.event_id
    for one in batch:
        event, fault = parse(one.body)
        wanted, fault = routed(consumer, rule, event, fault)
        if wanted:
            received.append(Received(event, one.body, partition, one.at, fault))
        last_id = event.id
    return received, replace(place, position=batch[-1].position, event_id=last_id)
