"""The consumers' base on PostgreSQL and a broker in memory: each event has its effect once, whatever happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.settings import Settings
from services.consumers import dead_letters
from services.consumers.dead_letters import Parked
from tests.support.consumers import Ledger, NotHolding, order_event, running
from tests.support.unreliable_broker import UnreliableBroker
from tests.support.waiting import until

New = Callable[..., Awaitable[Ledger]]


@pytest.fixture
def broker() -> UnreliableBroker:
    return UnreliableBroker(partitions=2)


@pytest.fixture
def new(engine: AsyncEngine) -> New:
    async def make(kind: type[Ledger] = Ledger) -> Ledger:
        ledger = kind()
        await ledger.make(engine)
        return ledger

    return make


async def _parked(engine: AsyncEngine, consumer: Ledger, *, resolved: bool = False) -> list[Parked]:
    async with engine.connect() as connection:
        return (await dead_letters.listed(connection, consumer.name, resolved=resolved))[::-1]


async def test_applies_each_event_once_and_in_order(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """What was there before it began and what comes live, with repeats of both."""
    ledger = await new()
    first = [order_event("a", n) for n in (1, 2, 3)]
    await broker.put(*first, first[0])

    async with running(ledger, broker, engine, settings) as one:
        await until(lambda: ledger.held(engine), [("a", 1), ("a", 2), ("a", 3)])
        await broker.put(first[1], order_event("a", 4), first[2], order_event("a", 9))
        await until(lambda: ledger.held(engine), [("a", n) for n in (1, 2, 3, 4, 9)])

    assert one.counts.repeats == 3  # and a gap in the sequence is none of its business


async def test_goes_on_where_it_was(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """The position is that of the last effect, so nothing is even read twice."""
    ledger = await new()
    await broker.put(*(order_event("a", n) for n in range(1, 51)))
    async with running(ledger, broker, engine, settings):
        await until(lambda: _count(engine, ledger), 50)

    await broker.put(order_event("a", 51))
    async with running(ledger, broker, engine, settings) as again:
        await until(lambda: _count(engine, ledger), 51)

    assert (again.counts.applied, again.counts.repeats) == (1, 0)


async def _count(engine: AsyncEngine, ledger: Ledger) -> int:
    return len(await ledger.held(engine))


async def test_a_batch_that_fails_leaves_nothing(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """What may pass is tried again with all of its batch, and no event is there twice or parked."""
    ledger = await new()
    ledger.breaks["a-2"] = TimeoutError()
    await broker.put(order_event("a", 1), order_event("a", 2))

    async with running(ledger, broker, engine, settings) as one:
        await until(lambda: ledger.held(engine), [("a", 1), ("a", 2)])

    assert one.counts.failures == 1
    assert await _parked(engine, ledger) == []


async def test_parks_what_is_refused_and_holds_its_subject(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """Other subjects go on; a retry applies the event and all that waited behind it, in their order."""
    ledger = await new()
    ledger.refuses.add("a-2")
    await broker.put(*(order_event(subject, n) for n in (1, 2, 3) for subject in "ab"))

    async with running(ledger, broker, engine, settings):
        await until(lambda: _of(engine, ledger, "b"), [1, 2, 3])
        assert await _of(engine, ledger, "a") == [1]
        await broker.put(order_event("a", 4))
        await until(lambda: _reasons(engine, ledger), ["not_this_one", "held", "held"])
        ledger.refuses.clear()
        refused = (await _parked(engine, ledger))[0]
        async with engine.begin() as connection:
            await dead_letters.ask_for_retry(connection, "ops", letter_id=refused.id)
        await until(lambda: _of(engine, ledger, "a"), [1, 2, 3, 4])
        await broker.put(order_event("a", 5))
        await until(lambda: _of(engine, ledger, "a"), [1, 2, 3, 4, 5])

    assert {row.resolution for row in await _parked(engine, ledger, resolved=True)} == {"retried"}


async def _of(engine: AsyncEngine, ledger: Ledger, subject: str) -> list[int]:
    return [sequence for of, sequence in await ledger.held(engine) if of == subject]


async def _reasons(engine: AsyncEngine, ledger: Ledger) -> list[str]:
    return [row.reason for row in await _parked(engine, ledger)]


async def test_a_retry_that_is_refused_again_stays_parked(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """And is counted; nothing behind it moves."""
    ledger = await new()
    ledger.refuses.add("a-1")
    await broker.put(order_event("a", 1), order_event("a", 2))

    async with running(ledger, broker, engine, settings):
        await until(lambda: _reasons(engine, ledger), ["not_this_one", "held"])
        async with engine.begin() as connection:
            await dead_letters.ask_for_retry(connection, "ops", consumer=ledger.name)

        async def attempts() -> list[int]:
            return [row.attempts for row in await _parked(engine, ledger) if row.retry_at is None]

        await until(attempts, [2, 2])

    assert await ledger.held(engine) == []


async def test_skipping_releases_what_was_held(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """The event is given up for good: also when it comes again."""
    ledger = await new()
    ledger.refuses.add("a-1")
    await broker.put(order_event("a", 1), order_event("a", 2))

    async with running(ledger, broker, engine, settings):
        await until(lambda: _reasons(engine, ledger), ["not_this_one", "held"])
        async with engine.begin() as connection:
            await dead_letters.skip(connection, (await _parked(engine, ledger))[0], "ops")
        await until(lambda: ledger.held(engine), [("a", 2)])
        ledger.refuses.clear()
        await broker.put(order_event("a", 1), order_event("a", 3))
        await until(lambda: ledger.held(engine), [("a", 2), ("a", 3)])


async def test_an_unknown_version_waits_and_others_go_on(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """A newer producer is no reason to stand still, nor to guess."""
    ledger = await new()
    await broker.put(order_event("a", 1, version=7), order_event("a", 2), order_event("b", 1))

    async with running(ledger, broker, engine, settings):
        await until(lambda: ledger.held(engine), [("b", 1)])
        await until(lambda: _reasons(engine, ledger), ["unknown_version", "held"])

    (parked, _) = await _parked(engine, ledger)
    assert parked.detail == "version 7 of the type; known: 1"


async def test_a_consumer_that_does_not_hold_goes_on_with_the_subject(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """It declares that a later event is worth having without the one before; retried, that one comes late."""
    ledger = await new(NotHolding)
    ledger.refuses.add("a-1")
    await broker.put(order_event("a", 1), order_event("a", 2), b"no event at all")

    async with running(ledger, broker, engine, settings):
        await until(lambda: ledger.held(engine), [("a", 2)])
        await until(lambda: _sorted_reasons(engine, ledger), ["malformed", "not_this_one"])
        ledger.refuses.clear()
        async with engine.begin() as connection:
            await dead_letters.ask_for_retry(connection, "ops", consumer=ledger.name)
        await until(lambda: ledger.held(engine), [("a", 2), ("a", 1)])
        await until(lambda: _sorted_reasons(engine, ledger), ["malformed"])


async def _sorted_reasons(engine: AsyncEngine, ledger: Ledger) -> list[str]:
    return sorted(await _reasons(engine, ledger))


async def test_effects_and_position_share_a_transaction(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, new: New
) -> None:
    """A constraint that only the commit checks refuses the event, and takes its effect back."""
    ledger = await new()
    async with engine.begin() as connection:
        await connection.execute(text(f"ALTER TABLE {ledger.table} ADD UNIQUE (subject, sequence)"))
        await connection.execute(text(f"INSERT INTO {ledger.table} (subject, sequence) VALUES ('a', 2)"))  # noqa: S608
    await broker.put(order_event("a", 1), order_event("a", 2), order_event("b", 1))

    async with running(ledger, broker, engine, settings):
        await until(lambda: _reasons(engine, ledger), ["failed"])
        await until(lambda: _of(engine, ledger, "b"), [1])

    assert await _of(engine, ledger, "a") == [2, 1]
    assert (await _parked(engine, ledger))[0].detail == IntegrityError.__name__
