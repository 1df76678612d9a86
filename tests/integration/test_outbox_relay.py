"""The relay of the outbox over a broker with faults: at least once, in order per subject, nothing lost."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.bus.port import partition_of
from adapters.postgres.database import create_sessions
from adapters.postgres.hints import Hints
from adapters.postgres.partition_locks import PartitionLocks
from adapters.settings import Settings
from domain.repairs import EVENT_PARKED, RepairDecision, Resolution
from events import relay as loops
from events.relay import OutboxLoop
from services.outbox import parking
from services.outbox.waiting import CHANNEL, LANES
from services.repairs.desk import settle_about_no_order
from tests.support.fake_broker import FakeBroker, PausedConnection
from tests.support.outbox import (
    END_THE_OTHERS,
    Counts,
    Outbox,
    applied,
    drained,
    first_deliveries,
    told,
    until_lanes,
)
from tests.support.waiting import until

HOUR = timedelta(hours=1)


async def test_an_event_is_published_as_a_cloud_event(outbox: Outbox) -> None:
    """With everything that its row says, in the partition of its subject, under its own id."""
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    (event_id,) = await outbox.write("o1", traceparent=traceparent, data={"totalAmount": "1.00", "items": []})
    broker, counts = FakeBroker(), Counts()
    await drained(outbox.relay(broker, counts=counts))

    (kept,) = broker.kept[partition_of("o1")]
    (row,) = await outbox.rows()
    assert kept.message_id == event_id
    (event,) = told(broker)
    assert (event.id, event.type, event.source) == (event_id, "ordersaga.order.placed.v1", "/orders")
    assert (event.subject, event.sequence, event.traceparent) == ("o1", 1, traceparent)
    assert (event.time, event.data) == (row.time, {"totalAmount": "1.00", "items": []})
    assert row.published_at is not None
    assert len(counts.lags) == 1


@pytest.mark.parametrize("seed", range(5))
async def test_first_deliveries_are_in_order_whatever_fails(outbox: Outbox, seed: int) -> None:
    """Three relays that share nothing send at once, and the broker loses answers and goes away."""
    chance = random.Random(seed)
    broker = FakeBroker(remembers=False)
    broker.loses_answers = lambda event: chance.random() < 0.1
    relays = [outbox.relay(broker) for _ in range(3)]
    subjects = [f"s{number}" for number in range(7)]

    async def publish(number: int) -> None:
        while await outbox.waiting():
            broker.away = chance.random() < 0.2
            await relays[number].turn()

    for _ in range(3):
        await outbox.write(*(chance.choice(subjects) for _ in range(40)))
        await asyncio.gather(*(publish(number) for number in range(3)))
    written = {subject: [row.sequence for row in await outbox.rows(f"subject = '{subject}'")] for subject in subjects}
    assert first_deliveries(broker) == written
    assert applied(broker) == written
    assert len(broker.all) > 120  # it was worth the trouble: some were sent twice


async def test_a_paused_relay_that_lost_its_lanes_only_repeats(outbox: Outbox, own: Settings) -> None:
    """It goes on where it was stopped, after another one has published the same events and later ones.

    From its next look on it is a peer again, and the other one leaves half of the lanes to it: so what comes later is
    published by the two together, and by neither alone.
    """
    broker = FakeBroker(remembers=False)
    connection = PausedConnection(broker)
    locks, others = (PartitionLocks(own, "paused", LANES, check_every=0) for _ in range(2))
    paused, other = outbox.relay(connection, lanes=locks), outbox.relay(broker, lanes=others)
    await until_lanes(locks)
    await outbox.write(*["o1", "o2"] * 5)
    stopped = asyncio.create_task(paused.turn())
    await asyncio.wait_for(connection.sends.wait(), 60)
    await outbox.change(END_THE_OTHERS)
    await until_lanes(others)
    await outbox.write("o1", "o2")
    await drained(other)
    assert len(broker.all) == 12

    connection.goes_on.set()
    await stopped
    assert len(broker.all) == 22
    await outbox.write("o1", "o2")

    async def left() -> int:
        await asyncio.gather(paused.turn(), other.turn())
        return await outbox.waiting()

    await until(left, 0)
    assert applied(broker) == first_deliveries(broker) == {one: list(range(1, 8)) for one in ("o1", "o2")}
    await others.aclose()
    await locks.aclose()


async def test_an_outage_loses_and_parks_nothing(outbox: Outbox) -> None:
    """However often it is tried, the broker's absence is nobody's fault but the broker's."""
    broker, counts = FakeBroker(), Counts()
    relay = outbox.relay(broker, counts=counts)
    await outbox.write(*(f"o{number}" for number in range(20)))
    broker.away = True
    for _ in range(10):
        assert (await relay.turn()).failure is not None
        assert not relay.broker_answers
    assert (counts.failures, counts.parked, await outbox.waiting()) == (200, 0, 20)

    broker.away = False
    await drained(relay)
    assert relay.broker_answers
    assert len(broker.all) == 20
    assert await outbox.waiting() == 0


async def test_one_subject_that_fails_does_not_stop_the_others(outbox: Outbox) -> None:
    """Its next events wait for the one that failed; nobody else's do."""
    broker = FakeBroker(remembers=False)
    failing = {"bad"}
    broker.fails = lambda event: event.subject in failing
    relay = outbox.relay(broker)
    await outbox.write("bad", "good", "bad", "good", "good")
    assert (await relay.turn()).failure is not None
    assert first_deliveries(broker) == {"good": [1, 2, 3]}
    failing.clear()
    await drained(relay)
    assert applied(broker) == {"good": [1, 2, 3], "bad": [1, 2]}


async def test_a_refused_event_holds_back_its_own_subject_only(outbox: Outbox) -> None:
    """It is parked with the reason, a ticket and a count; what its subject writes later waits behind it."""
    broker, counts = FakeBroker(), Counts()
    poison: set[str] = set()
    broker.refuses = lambda event: event.message_id in poison
    relay = outbox.relay(broker, counts=counts)
    ids = await outbox.write("bad", "good", "bad", "good", "bad")
    poison.add(ids[2])
    await drained(relay)
    await outbox.write("bad", "good")
    await drained(relay)
    assert first_deliveries(broker) == {"bad": [1], "good": [1, 2, 3]}
    assert counts.parked == 1

    async with outbox.writes.connect() as connection:
        (parked,) = await parking.parked(connection)
        query = text("SELECT kind, detail FROM tickets WHERE subject = :id AND resolved_at IS NULL")
        (ticket,) = (await connection.execute(query, {"id": ids[2]})).all()
    assert (parked.event_id, parked.because, parked.subject) == (ids[2], "too large", "bad")
    assert ticket.kind == EVENT_PARKED
    assert "too large" in ticket.detail

    await outbox.relay(broker).turn()  # whose upkeep marks what came later
    async with outbox.writes.connect() as connection:
        (parked,) = await parking.parked(connection)
        assert parked.behind == 2
        poison.clear()
        assert await parking.unpark(connection, ids[2]) == 3
        assert await parking.unpark(connection, ids[2]) == 0
    await drained(relay)
    assert first_deliveries(broker) == {"bad": [1, 2, 3, 4], "good": [1, 2, 3]}


async def test_a_person_who_settles_the_ticket_has_the_event_sent_again(
    outbox: Outbox, own_engine: AsyncEngine
) -> None:
    broker = FakeBroker()
    broker.refuses = lambda event: True
    await outbox.write("o1")
    await drained(outbox.relay(broker))
    broker.refuses = lambda event: False
    (row,) = await outbox.rows()
    async with create_sessions(own_engine)() as session, session.begin():
        connection = await session.connection()
        find = text("SELECT id FROM tickets WHERE subject = :id AND resolved_at IS NULL")
        ticket_id = (await connection.execute(find, {"id": row.event_id})).scalar_one()
        done = Resolution(ticket_id=ticket_id, decision=RepairDecision.MARK_DONE, by="ann", evidence_id="t1")
        assert (await settle_about_no_order(session, done)).accepted
    await drained(outbox.relay(broker))
    assert applied(broker) == {"o1": [1]}


async def test_what_was_acknowledged_long_ago_leaves_the_outbox(outbox: Outbox) -> None:
    """What waits or is parked stays, however old it is."""
    broker = FakeBroker()
    broker.refuses = lambda event: event.subject == "parked"
    await outbox.write("old", "young", "parked", "parked")
    await drained(outbox.relay(broker, kept=HOUR))
    await outbox.change("UPDATE outbox SET published_at = now() - interval '61 minutes' WHERE subject = 'old'")
    await outbox.change("UPDATE outbox SET time = now() - interval '1 year'")
    await outbox.relay(broker, kept=HOUR).turn()
    assert [row.subject for row in await outbox.rows()] == ["young", "parked", "parked"]


async def test_a_hint_wakes_an_idle_relay(outbox: Outbox, own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself it would look once an hour."""
    monkeypatch.setattr(loops, "OUTBOX_PAUSES", (3600.0, 3600.0))
    broker = FakeBroker()
    loop = OutboxLoop(own, outbox.relay(broker))
    tasks = [asyncio.create_task(one) for one in loop.loops()]
    hints = Hints(outbox.engine)
    await asyncio.wait_for(loop.listening.wait(), 60)

    async def published() -> int:
        return len(broker.all)

    for number in range(1, 4):
        await outbox.write("o1")
        hints.give(CHANNEL)
        await until(published, number)
    await hints.aclose()
    await loop.stop()
    for task in tasks:
        task.cancel()
    assert broker.closed


def test_the_partition_of_a_subject_is_part_of_the_contract() -> None:
    """CRC-32 modulo 8: whoever computes it in another language gets these."""
    assert [partition_of(subject) for subject in ("123456789", "", "o1", "Gr\u00fc\u00dfe")] == [6, 0, 5, 1]
    assert {partition_of(f"o{number}") for number in range(100)} == set(range(8))


async def test_what_was_published_is_noted_by_the_next_turn(outbox: Outbox) -> None:
    """Not sent again by this relay, also where more was written, and noted at the latest when it stops."""
    broker = FakeBroker(remembers=False)
    relay = outbox.relay(broker)
    await outbox.write("o1", "o2")
    await relay.turn()
    assert relay.has_unnoted
    await outbox.write("o1")
    await relay.turn()
    assert len(broker.all) == 3
    await relay.aclose()
    assert not relay.has_unnoted
    assert await outbox.waiting() == 0


async def test_what_a_dead_relay_did_not_note_is_only_repeated(outbox: Outbox) -> None:
    broker = FakeBroker(remembers=False)
    await outbox.write("o1", "o1", "o2")
    await outbox.relay(broker).turn()  # and never again
    assert await outbox.waiting() == 3
    await outbox.write("o1")
    await drained(outbox.relay(broker))
    assert first_deliveries(broker) == applied(broker) == {"o1": [1, 2, 3], "o2": [1]}
    assert await outbox.waiting() == 0
