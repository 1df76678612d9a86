"""Where reading goes on, told by what the broker shows of the partition."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.bus.port import Head, Incoming
from adapters.clock import now
from events.consumer_stream import Resumed, Rewound, resume
from services.consumers.positions import Place
from tests.support.consumers import order_event
from tests.support.unreliable_broker import UnreliableBroker


class SharedPositions(UnreliableBroker):
    """As JetStream has them: one row of numbers for all partitions, so that those of one have gaps."""

    def __init__(self, *positions: int) -> None:
        super().__init__()
        self._there = [Incoming(one, order_event("a", one).to_json(), now()) for one in positions]

    async def head(self, partition: int) -> Head:
        return Head("stream", self._there[0].position, self._there[-1].position)

    async def read(self, partition: int, after: int, *, most: int = 100) -> AsyncIterator[list[Incoming]]:
        yield [one for one in self._there if one.position > after][:most]


def _place(position: int) -> Place:
    """After the event that was read at this position."""
    return Place("stream", position, f"a-{position}")


async def test_goes_on_where_the_event_is_the_one_that_was_read() -> None:
    """Gaps before and after it are other partitions' events."""
    assert await resume(SharedPositions(3, 7, 12), 0, _place(7)) == Resumed(_place(7), None)


@pytest.mark.parametrize("positions", [(3, 5, 12), (3, 12), (3, 6)])
async def test_a_position_that_went_to_another_partition_is_a_lost_tail(positions: tuple[int, ...]) -> None:
    """The stream was cut before it and has grown since: what came to this partition meanwhile must not be missed."""
    resumed = await resume(SharedPositions(*positions), 0, _place(7))
    assert resumed == Resumed(Place("stream", 2), Rewound.TAIL_LOST)
