"""Events that were published are published again, for a broker that lost them."""

from __future__ import annotations

from datetime import timedelta

from adapters.clock import now
from services.outbox import replays
from services.outbox.replays import Replay
from services.outbox.waiting import LANES, Waiting
from tests.support.fake_broker import FakeBroker
from tests.support.outbox import Outbox, applied, drained, told

HOUR = timedelta(hours=1)


async def test_a_replay_makes_a_broker_whole_that_lost_its_tail(outbox: Outbox) -> None:
    """Under new message ids, or its window for repeats would swallow them; event ids and order stay."""
    broker = FakeBroker()
    relay = outbox.relay(broker)
    ids = await outbox.write("o1", "o2", "o1", "o2")
    await drained(relay)
    broker.lose_tail(3)
    await outbox.write("o1")  # has not been published when the replay is asked for

    async with outbox.writes.connect() as connection:
        assert await replays.replay(connection, Replay(now() - HOUR, now() + HOUR)) == 4
    await drained(relay)
    assert applied(broker) == {"o1": [1, 2, 3], "o2": [1, 2]}
    again = [one.message_id for one in broker.all[1:]]
    assert sorted(again[:4]) == sorted(f"{one}:1" for one in ids)
    assert {event.id for event in told(broker)} == {row.event_id for row in await outbox.rows()}


async def test_a_replay_takes_what_it_names(outbox: Outbox) -> None:
    """By the time when it happened, by type, by subject."""
    relay = outbox.relay(FakeBroker())
    at = now()
    await outbox.write("o1", "o2", at=at - 2 * HOUR)
    await outbox.write("o1", "o2", at=at)
    await outbox.write("o1", at=at, kind="ordersaga.order.shipped.v1")
    await drained(relay)

    async def replayed(wanted: Replay) -> list[tuple[str, int]]:
        async with outbox.writes.connect() as connection:
            number = await replays.replay(connection, wanted)
        found = [(row.subject, row.sequence) for row in await outbox.rows("published_at IS NULL")]
        assert len(found) == number
        await drained(relay)
        return found

    whole = Replay(at - 3 * HOUR, at + HOUR)
    assert await replayed(Replay(at - HOUR, at + HOUR)) == [("o1", 2), ("o2", 2), ("o1", 3)]
    assert await replayed(Replay(at - 3 * HOUR, at)) == [("o1", 1), ("o2", 1)]
    assert await replayed(Replay(whole.since, whole.until, subject="o2")) == [("o2", 1), ("o2", 2)]
    assert await replayed(Replay(whole.since, whole.until, type="ordersaga.order.shipped.v1")) == [("o1", 3)]


async def test_a_late_acknowledgment_does_not_end_a_replay(outbox: Outbox) -> None:
    """A relay that was paused notes what it sent before the replay was asked for."""
    await outbox.write("o1")
    waiting = Waiting(outbox.writes)
    before = await waiting.read(range(LANES), 10)
    await drained(outbox.relay(FakeBroker()))
    async with outbox.writes.connect() as connection:
        assert await replays.replay(connection, Replay(now() - HOUR, now() + HOUR)) == 1
    await waiting.acknowledge(before, [], 0)
    assert await outbox.waiting() == 1
    await waiting.acknowledge(await waiting.read(range(LANES), 10), [], 0)
    assert await outbox.waiting() == 0
