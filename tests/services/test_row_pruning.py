"""What consumers have written leaves when nobody needs it any more."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.database import autocommit, create_engine, dispose
from adapters.settings import Settings
from services.consumers.sequences import OldSequences
from services.notifications.old import OldMessages
from tests.support.consumers import Ledger, Running, order_event, running
from tests.support.database_roles import seen_by
from tests.support.unreliable_broker import UnreliableBroker
from tests.support.waiting import until


async def _counted(one: Running) -> tuple[int, int]:
    return one.counts.applied, one.counts.repeats


async def test_forgets_a_subject_of_which_nothing_comes_any_more(engine: AsyncEngine, settings: Settings) -> None:
    """Never one of which an event came lately, though a repeat, nor while copies may still be unread."""
    broker, ledger = UnreliableBroker(partitions=2), Ledger()
    await ledger.make(engine)
    old = OldSequences(autocommit(engine), timedelta(days=45))
    age = text("UPDATE consumer_sequences SET seen_at = now() - interval '46 days' WHERE consumer = :name")
    lag = text("UPDATE consumer_positions SET lag = :lag WHERE consumer = :name")
    known = text("SELECT subject FROM consumer_sequences WHERE consumer = :name ORDER BY subject")

    async def subjects() -> list[str]:
        async with engine.connect() as connection:
            return list((await connection.execute(known, {"name": ledger.name})).scalars())

    async def say(statement: TextClause, **values: int) -> None:
        async with engine.begin() as connection:
            await connection.execute(statement, {"name": ledger.name, **values})

    async with running(ledger, broker, engine, settings) as one:
        await broker.put(*(order_event(subject, 1) for subject in "abcd"))
        await until(lambda: _counted(one), (4, 0))
        await say(age)
        await broker.put(order_event("b", 1), order_event("c", 2))
        await until(lambda: _counted(one), (5, 1))
    await say(lag, lag=1001)
    await old.prune(500)
    assert await subjects() == ["a", "b", "c", "d"]
    await say(lag, lag=7)
    assert await old.prune(1) == 1
    await old.prune(500)
    assert await subjects() == ["b", "c"]


async def test_messages_leave_long_after_their_end(engine: AsyncEngine, settings: Settings) -> None:
    """The oldest first, a few at a time; one that is still to be sent stays, however old. The relay may do it."""
    relay = create_engine(seen_by("relay", settings))
    old = OldMessages(autocommit(relay), timedelta(days=180))
    add = text("""
        INSERT INTO notifications (event_id, order_id, customer_id, kind, event, state, attempts, due_at, created_at,
                                   ended_at)
        VALUES (:name, 'order', 'customer', 'shipped', '{}', 'sent', 1, now(), now(),
                now() - make_interval(days => :days))
    """)

    async def there() -> list[str]:
        async with engine.connect() as connection:
            return list((await connection.execute(text("SELECT event_id FROM notifications ORDER BY id"))).scalars())

    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM notifications"))
        for name, days in (("waits", None), ("old", 181), ("older", 400), ("lately", 179)):
            await connection.execute(add, {"name": name, "days": days})
    assert await old.prune(2) == 1
    assert await there() == ["waits", "older", "lately"]
    assert (await old.prune(500), await there()) == (1, ["waits", "lately"])
    assert await old.prune(500) == 0
    await dispose(relay)
