"""Old events leave the inbox: in batches, never a young one, whoever dies meanwhile; late duplicates are harmless."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import select

from adapters.postgres.database import Sessions
from devstack.stack.stack import Stack
from domain.order_states import OrderStatus
from events.inbox_pruning import BATCH, InboxPruning
from services.inbox.pruning import OldEvents
from services.payments.tables import Payment
from services.tables import METADATA
from tests.support.databases import connection, database
from tests.support.orders import Shop
from tests.support.waiting import until
from tests.support.webhooks import Hooks

KEPT = timedelta(days=30)
OLD = BATCH + 200

_FILL = """
    INSERT INTO webhook_inbox (source, event_id, type, object_id, received_at, attempted_at, processed_at)
    SELECT source, name || '_' || n, 'x', 'object', received_at, received_at, processed_at
      FROM generate_series(1, $1::int) AS n,
           LATERAL (VALUES
               ('stripe', 'old', now() - interval '31 days', now() - n * interval '1 min' - interval '30 days', $1),
               ('stripe', 'young', now() - interval '1 year', now() + n * interval '1 min' - interval '30 days', 50),
               ('carrier', 'waits', now() - interval '1 year', NULL, 50)
           ) AS kinds (source, name, received_at, processed_at, most)
     WHERE n <= most
"""
_LEFT = "SELECT split_part(event_id, '_', 1), count(*) FROM webhook_inbox GROUP BY 1 ORDER BY 1"
_KILL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE wait_event = 'PgSleep' AND datname = current_database()
"""
STAY = {"waits": 50, "young": 50}


@pytest.fixture
async def url(stack: Stack) -> AsyncIterator[str]:
    """A database of its own, whose inbox has old, young and waiting events."""
    async with database(stack) as url:
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.begin() as made:
            await made.run_sync(METADATA.create_all)
        await engine.dispose()
        async with connection(url) as mine:
            await mine.execute(_FILL, OLD)
        yield url


@pytest.fixture
async def books(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), isolation_level="AUTOCOMMIT")
    yield engine
    await engine.dispose()


async def left(url: str) -> dict[str, int]:
    async with connection(url) as mine:
        return {row[0]: row[1] for row in await mine.fetch(_LEFT)}


async def test_only_what_was_followed_up_long_ago_leaves(url: str, books: AsyncEngine) -> None:
    """However long ago an event came: one that waits stays, and so does one that was followed up late."""
    told = list[int]()
    assert await InboxPruning(OldEvents(books, KEPT), told.append, rest=0).prune() == OLD
    assert told == [BATCH, OLD - BATCH]
    assert await left(url) == STAY
    assert await InboxPruning(OldEvents(books, KEPT), told.append).prune() == 0


async def test_two_relays_share_the_work(url: str, books: AsyncEngine) -> None:
    """No event is counted twice, and neither waits for the other's locks."""
    both = [InboxPruning(OldEvents(books, KEPT), rest=0) for _ in range(2)]
    assert sum(await asyncio.gather(*(one.prune() for one in both))) == OLD
    assert await left(url) == STAY


async def test_does_not_wait_for_what_another_one_has_locked(url: str, books: AsyncEngine) -> None:
    """The rest leaves; what was locked leaves the next time."""
    async with connection(url) as other:
        async with other.transaction():
            await other.execute("SELECT FROM webhook_inbox WHERE event_id IN ('old_1', 'old_2') FOR UPDATE")
            assert await asyncio.wait_for(InboxPruning(OldEvents(books, KEPT), rest=0).prune(), 30) == OLD - 2
        assert await InboxPruning(OldEvents(books, KEPT)).prune() == 2


async def test_a_relay_that_dies_in_the_middle_of_a_batch_leaves_it_whole(url: str, books: AsyncEngine) -> None:
    """Its session is killed after the rows were deleted and before the commit; the next look goes on."""
    async with connection(url) as mine:
        await mine.execute("""
            CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql
                AS 'BEGIN PERFORM pg_sleep(600); RETURN NULL; END';
            CREATE TRIGGER hangs AFTER DELETE ON webhook_inbox FOR EACH STATEMENT EXECUTE FUNCTION hang()
        """)
        dying = asyncio.create_task(InboxPruning(OldEvents(books, KEPT)).prune())
        await until(lambda: mine.fetchval(_KILL), True, 60)
        with pytest.raises((DBAPIError, OSError)):
            await dying
        assert await left(url) == STAY | {"old": OLD}
        await mine.execute("DROP TRIGGER hangs ON webhook_inbox")
    assert await InboxPruning(OldEvents(books, KEPT), rest=0).prune() == OLD
    assert await left(url) == STAY


@pytest.mark.parametrize("source", ["stripe", "carrier"])
async def test_a_duplicate_after_its_row_has_left_does_no_harm(
    hooks: Hooks, shop: Shop, sessions: Sessions, worker: None, source: str
) -> None:
    """It is stored as if it were new, followed up once more, and changes nothing of the order."""
    order = await shop.put(await shop.product())
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    shipment, event_id = await shop.shipment_id(order.order_id), f"evt_{order.order_id}"
    async with sessions() as session:
        mine = select(Payment.payment_intent_id).where(Payment.order_id == order.order_id)
        payment_id = (await session.exec(mine)).one()

    async def told() -> None:
        send = (
            hooks.stripe(payment_id, event_id=event_id)
            if source == "stripe"
            else hooks.carrier(shipment, event_id=event_id)
        )
        assert (await hooks.processed(await send, source)).last_error is None

    await told()
    before = (await shop.timeline(order.order_id), await shop.books(order.order_id), await shop.order(order.order_id))
    async with sessions() as session, session.begin():
        leaves = text("DELETE FROM webhook_inbox WHERE event_id = :event_id")
        await (await session.connection()).execute(leaves, {"event_id": event_id})
    await told()
    after = (await shop.timeline(order.order_id), await shop.books(order.order_id), await shop.order(order.order_id))
    assert after == before
