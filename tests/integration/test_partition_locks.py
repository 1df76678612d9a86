"""Who owns which lanes of the outbox: one at a time, evenly shared, taken over when one ends."""

from __future__ import annotations

from adapters.postgres.partition_locks import PartitionLocks
from adapters.settings import Settings
from services.outbox.waiting import LANES
from tests.support.outbox import END_THE_OTHERS, Outbox, until_lanes
from tests.support.waiting import until


async def test_relays_share_the_lanes_evenly(own: Settings) -> None:
    """Each lane has one owner; those of a relay that ends, however it ends, go to the others."""
    first, second, third = (PartitionLocks(own, "shared", LANES, check_every=0) for _ in range(3))
    await until_lanes(first)
    await second.renew()
    await first.renew()
    await until_lanes(second, 4)
    assert len(first.held) == 4
    assert sorted([*first.held, *second.held]) == list(range(LANES))

    await third.renew()
    for locks in (first, second, third, first, second, third):
        await locks.renew()
    assert sorted(len(locks.held) for locks in (first, second, third)) == [2, 3, 3]
    assert sorted([*first.held, *second.held, *third.held]) == list(range(LANES))

    await third.aclose()
    await second.aclose()
    assert (second.held, third.held) == (frozenset(), frozenset())
    await until_lanes(first)
    await first.aclose()


async def test_lost_locks_are_noticed(own: Settings, outbox: Outbox) -> None:
    """The database ends the connection that held them; they are taken again."""
    locks = PartitionLocks(own, "lost", LANES, check_every=0)
    await until_lanes(locks)
    await outbox.change(END_THE_OTHERS)

    async def held() -> int:
        return len(locks.held)

    await until(held, 0)
    await until_lanes(locks)
    await locks.aclose()


async def test_a_process_that_stands_still_keeps_nothing(own: Settings) -> None:
    """Its connection is in order, and nobody uses it: the server ends it, and the others own everything."""
    stopped = PartitionLocks(own, "still", LANES, check_every=0, gone_after=0.3)
    other = PartitionLocks(own, "still", LANES, check_every=0)
    await until_lanes(stopped)
    await until_lanes(other)
    assert not stopped.held
    await stopped.aclose()
    await other.aclose()
