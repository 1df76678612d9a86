"""The three consumers of the shop, on PostgreSQL and a broker in memory: each event has its effect once."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.bus.port import partition_of
from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from domain.events import EventName
from domain.inventory import HintKind
from events import rebuild
from events.consumer import Consumer
from events.consumers.event_archive import EventArchive
from events.consumers.notifications import Notifications
from events.consumers.stock_hints import StockHints
from services.archive import archive
from services.consumers import resets
from services.customers.tables import Customer
from services.inventory import hints
from tests.support.consumers import order_event, running, stock_event
from tests.support.unreliable_broker import UnreliableBroker
from tests.support.waiting import until

ALL = [
    EventName.ORDER_PLACED,
    EventName.PAYMENT_AUTHORIZED,
    EventName.ORDER_CONFIRMED,
    EventName.ORDER_SHIPPED,
    EventName.ORDER_DELIVERED,
]

LOSE_HINTS = text("DELETE FROM stock_hints WHERE product_id = :product")


def own(consumer: Consumer) -> Consumer:
    """The consumer under a name of the test's own: all tests share one database."""
    consumer.name = f"{consumer.name}-{secrets.token_hex(4)}"
    return consumer


@pytest.fixture
def broker() -> UnreliableBroker:
    return UnreliableBroker()


@pytest.fixture
async def customer(sessions: Sessions) -> str:
    customer_id = f"c-{secrets.token_hex(4)}"
    async with sessions() as session, session.begin():
        session.add(Customer(customer_id=customer_id, name="Alice", email="alice@example.com", locale="de"))
    return customer_id


def order_id() -> str:
    return secrets.token_hex(16)


async def _archived(engine: AsyncEngine, subject: str, source: str = "/orders") -> list[int]:
    async with engine.connect() as connection:
        return [event.sequence for event in await archive.of_subject(connection, source, subject)]


async def test_the_archive_keeps_every_event_once(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings
) -> None:
    """Of any type and version, repeats left out, and one that comes late is there in its place."""
    order = order_id()
    events = [order_event(order, n, name, version=n) for n, name in enumerate(ALL, start=1)]
    strange = order_event(order, 9).model_copy(update={"type": "ordersaga.gift.wrapped.v3"})
    await broker.put(events[0], events[2], events[1], events[0], strange)

    async with running(own(EventArchive(engine)), broker, engine, settings):
        await until(lambda: _archived(engine, order), [1, 2, 3, 9])

    async with engine.connect() as connection:
        assert await archive.of_subject(connection, "/orders", order) == [*events[:3], strange]


async def test_the_archive_is_append_only_and_parted_by_month(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings
) -> None:
    """The months are made as they come; nobody changes a row."""
    order = order_id()
    event = order_event(order, 1)
    old = {"id": f"{order}-old", "sequence": 2, "time": event.time - timedelta(400)}
    await broker.put(event, event.model_copy(update=old))

    async with running(own(EventArchive(engine)), broker, engine, settings):
        await until(lambda: _archived(engine, order), [1, 2])

    async with engine.connect() as connection:
        of = text("SELECT count(DISTINCT tableoid) FROM event_archive WHERE subject = :order")
        assert (await connection.execute(of, {"order": order})).scalar_one() == 2
        for statement in ("UPDATE event_archive SET sequence = 3", "DELETE FROM event_archive"):
            with pytest.raises(DBAPIError, match="append-only"):
                async with connection.begin_nested():
                    await connection.execute(text(f"{statement} WHERE subject = :order"), {"order": order})


async def test_stock_hints_are_told_once_each(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings
) -> None:
    """Low, back in stock, low again; and nothing for what is no crossing, for other events or for repeats."""
    product, other = f"p-{secrets.token_hex(4)}", order_id()
    changes = [(9, 7), (7, 2), (2, 0), (0, 20), (20, 3)]
    events = [stock_event(product, n, *change) for n, change in enumerate(changes, start=1)]
    await broker.put(*events, *events, order_event(other, 1))

    async def kinds() -> list[HintKind]:
        async with engine.connect() as connection:
            return [hint.kind for hint in await hints.latest(connection, product)][::-1]

    async with running(own(StockHints(low=5)), broker, engine, settings) as one:
        await until(kinds, [HintKind.LOW, HintKind.BACK_IN_STOCK, HintKind.LOW])

    assert one.counts.repeats == len(events)


async def test_a_reset_reads_the_archive_again_and_gets_to_the_same_state(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings
) -> None:
    """Also what the broker no longer has; and a state that was lost comes back."""
    product = f"p-{secrets.token_hex(4)}"
    changes = [(9, 2), (2, 0), (0, 20), (20, 3)]
    events = [stock_event(product, n, *change) for n, change in enumerate(changes, start=1)]
    partition = partition_of(product)
    kept, consumer = own(EventArchive(engine)), own(StockHints(low=5))
    await broker.put(*events)

    async def seen() -> list[hints.Hint]:
        async with engine.connect() as connection:
            return await hints.latest(connection, product)

    async def count() -> int:
        return len(await seen())

    async with running(kept, broker, engine, settings), running(consumer, broker, engine, settings):
        await until(count, 3)
        await until(lambda: _archived(engine, product, "/products"), [1, 2, 3, 4])
        before = await seen()
        await broker.expire(partition, 4)
        async with engine.begin() as connection:
            await connection.execute(LOSE_HINTS, {"product": product})
            assert await resets.to_time(connection, consumer.name, archive.ALL_TIME, kept.name) == [*range(8)]
        await until(seen, before)
        await broker.put(stock_event(product, 5, 3, 0), stock_event(product, 6, 0, 9))
        await until(count, 4)


async def test_a_reset_to_a_position_reads_the_stream_again(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings
) -> None:
    """From the event after it."""
    product = f"p-{secrets.token_hex(4)}"
    await broker.put(stock_event(product, 1, 9, 2), stock_event(product, 2, 0, 4))
    consumer = own(StockHints(low=5))

    async def kinds() -> list[str]:
        async with engine.connect() as connection:
            return [hint.kind for hint in await hints.latest(connection, product)]

    async with running(consumer, broker, engine, settings):
        await until(kinds, ["back_in_stock", "low"])
        async with engine.begin() as connection:
            await connection.execute(LOSE_HINTS, {"product": product})
            await resets.to_position(connection, consumer.name, partition_of(product), 1)
        await until(kinds, ["back_in_stock"])


async def test_the_check_finds_no_difference_until_there_is_one(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, customer: str
) -> None:
    """A row that is missing, and one that no event explains, are named."""
    product, order = f"p-{secrets.token_hex(4)}", order_id()
    await broker.put(stock_event(product, 1, 9, 2), order_event(order, 1, customerId=customer))
    stock, messages, archived = own(StockHints(low=5)), own(Notifications()), own(EventArchive(engine))

    async def both() -> tuple[int, int]:
        return len(await _archived(engine, order)), len(await _archived(engine, product, "/products"))

    async with (
        running(stock, broker, engine, settings),
        running(messages, broker, engine, settings),
        running(archived, broker, engine, settings),
    ):
        await until(both, (1, 1))
        await until(lambda: _noted(engine, order, product), (1, 1))

    assert product not in str(await _differences(engine, StockHints(low=5)))
    assert order not in str(await _differences(engine, Notifications()))
    async with engine.begin() as connection:
        statement = text("UPDATE stock_hints SET kind = 'back_in_stock' WHERE product_id = :product")
        await connection.execute(statement, {"product": product})
    found = [one for one in await _differences(engine, StockHints(low=5)) if product in one.row]
    assert {one.where for one in found} == {"missing", "unexplained"}


async def _noted(engine: AsyncEngine, order: str, product: str) -> tuple[int, int]:
    async with engine.connect() as connection:
        statement = text("SELECT count(*) FROM notifications WHERE order_id = :order")
        messages = (await connection.execute(statement, {"order": order})).scalar_one()
        return messages, len(await hints.latest(connection, product))


async def _differences(engine: AsyncEngine, consumer: Consumer) -> list[rebuild.Difference]:
    return list((await rebuild.check(engine, consumer, consumer.rule, now())).differences)
