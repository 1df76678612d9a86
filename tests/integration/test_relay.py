"""The relay: woken by notifications, looking by itself, sharing the work with others; and an API without loops."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import col
from temporalio.client import Client

from adapters.clock import now
from adapters.postgres.database import Sessions, create_engine, dispose
from adapters.postgres.notifications import Listener, notify
from adapters.settings import Settings
from api.app import create_app
from devstack.stack.stack import Stack
from domain.webhooks import Arrived
from events.inbox import Inbox
from events.inbox_pruning import InboxPruning
from events.refund_starts import RefundSweep
from events.relay import Relay
from services.inbox.arrivals import Arrivals
from services.inbox.claims import Claims, EventKey
from services.inbox.inbox import LEASE
from services.inbox.pruning import OldEvents
from services.inbox.tables import InboxEvent
from tests.support.waiting import until
from tests.support.webhooks import Hooks, swept

HOUR = 3600.0
KEPT = timedelta(days=3650)  # so that a relay of this file touches no other test's events


class Looks:
    """Notes what it was asked to look at, at once; `held` makes it wait."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.held = asyncio.Event()
        self.held.set()

    async def is_urgent(self, object_id: str) -> bool:
        return True

    async def look(self, object_id: str) -> None:
        self.seen.append(object_id)
        await self.held.wait()

    async def count(self) -> int:
        return len(self.seen)


@pytest.fixture
def writes(engine: AsyncEngine) -> AsyncEngine:
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@pytest.fixture
def source() -> str:
    """Of the test's own: what others store is left alone."""
    return f"source-{secrets.token_hex(4)}"


RunRelay = Callable[[Looks, float, float], AbstractAsyncContextManager[Relay]]


@pytest.fixture
def running(writes: AsyncEngine, settings: Settings, temporal_client: Client, source: str) -> RunRelay:
    """A relay that listens, by what it looks with, its shortest and its longest pause."""

    @asynccontextmanager
    async def run(looks: Looks, shortest: float, longest: float) -> AsyncIterator[Relay]:
        paced = settings.model_copy(update={"sweep_interval": longest})
        inbox = Inbox(Claims(writes), {source: looks})
        pruning = InboxPruning(OldEvents(writes, KEPT))
        async with Relay(paced, inbox, RefundSweep(writes, temporal_client, paced), pruning, shortest) as relay:
            await asyncio.wait_for(relay.listening.wait(), 60)
            yield relay

    return run


def arrived(source: str, object_id: str) -> Arrived:
    return Arrived(source, f"evt_{secrets.token_hex(8)}", "x", object_id)


async def test_a_notification_wakes_it(writes: AsyncEngine, source: str, running: RunRelay) -> None:
    """By itself it would look once an hour: each event is followed up because its arrival woke the relay."""
    looks, arrivals = Looks(), Arrivals(writes)
    async with running(looks, HOUR, HOUR):
        for number in range(3):
            assert await arrivals.take_in(arrived(source, f"obj_{number}"))
            await until(looks.count, number + 1)
    assert looks.seen == ["obj_0", "obj_1", "obj_2"]


async def test_a_lost_notification_only_delays(
    hooks: Hooks, writes: AsyncEngine, source: str, running: RunRelay
) -> None:
    """Nobody is notified of what is stored here: a relay that looks often finds it by itself."""
    looks = Looks()
    async with running(looks, 0.05, 0.1):
        for number in range(2):
            await hooks.leave_behind(source, f"obj_{number}")
            await until(looks.count, number + 1)


async def test_what_came_while_no_relay_ran_is_followed_up_at_its_start(
    writes: AsyncEngine, source: str, running: RunRelay
) -> None:
    """Without waiting for a notification or a pause."""
    looks = Looks()
    await Arrivals(writes).take_in(arrived(source, "obj"))
    async with running(looks, HOUR, HOUR):
        await until(looks.count, 1)


async def test_two_relays_follow_each_event_up_once(writes: AsyncEngine, source: str, running: RunRelay) -> None:
    """Both are woken by every notification, and look all the time."""
    both, arrivals = (Looks(), Looks()), Arrivals(writes)
    events = [arrived(source, f"obj_{number}") for number in range(60)]

    async def all_seen() -> int:
        return sum(len(looks.seen) for looks in both)

    async with running(both[0], 0.01, 0.02), running(both[1], 0.01, 0.02):
        await asyncio.gather(*(arrivals.take_in(event) for event in events))
        await until(all_seen, len(events))
    assert sorted(both[0].seen + both[1].seen) == sorted(str(event.object_id) for event in events)


async def test_the_events_of_a_relay_that_died_are_taken_over_after_its_lease(
    hooks: Hooks, writes: AsyncEngine, engine: AsyncEngine, source: str
) -> None:
    """As long as it lives it renews the lease, however long its look takes."""
    event_id = await hooks.leave_behind(source, "obj")
    stuck, claims = Looks(), Claims(writes)
    stuck.held.clear()
    dying, other = Inbox(claims, {source: stuck}), Inbox(Claims(writes), {source: Looks()})
    assert await dying.take() == 1
    await until(stuck.count, 1)
    row = await hooks.row(source, event_id)
    assert row is not None

    assert await swept(other) == 0
    await _age(engine, event_id, LEASE)
    await claims.renew([EventKey(source, event_id)])
    assert await swept(other) == 0
    await _age(engine, event_id, LEASE)
    assert await swept(other) == 1

    processed = await hooks.row(source, event_id)
    assert processed is not None and processed.processed_at is not None
    stuck.held.set()
    await dying.drain(60)
    assert await hooks.row(source, event_id) == processed  # it comes too late, and writes nothing


async def _age(engine: AsyncEngine, event_id: str, by: timedelta) -> None:
    statement = update(InboxEvent).where(col(InboxEvent.event_id) == event_id)
    async with engine.begin() as connection:
        await connection.execute(statement.values(attempted_at=col(InboxEvent.attempted_at) - by))


async def test_a_relay_that_stops_gives_back_what_it_could_not_finish(
    hooks: Hooks, writes: AsyncEngine, source: str
) -> None:
    """Another one need not wait for the end of the lease."""
    event_id = await hooks.leave_behind(source, "obj")
    stuck = Looks()
    stuck.held.clear()
    stopping = Inbox(Claims(writes), {source: stuck})
    assert await stopping.take() == 1
    await until(stuck.count, 1)

    await stopping.drain(0)

    assert stopping.held == 0
    assert await swept(Inbox(Claims(writes), {source: Looks()})) == 1
    row = await hooks.row(source, event_id)
    assert row is not None and row.processed_at is not None


async def test_a_relay_deletes_what_is_long_done_with(
    hooks: Hooks, writes: AsyncEngine, source: str, running: RunRelay
) -> None:
    """By itself, while it runs; what was followed up lately stays."""
    old, young = [await hooks.leave_behind(source, "obj") for _ in range(2)]
    for event_id, ago in ((old, KEPT + timedelta(days=1)), (young, timedelta(days=1))):
        ended = update(InboxEvent).where(col(InboxEvent.event_id) == event_id).values(processed_at=now() - ago)
        async with writes.connect() as connection:
            await connection.execute(ended)

    async def is_there() -> bool:
        return await hooks.row(source, old) is not None

    async with running(Looks(), 0.05, 0.1):
        await until(is_there, False)
    assert await hooks.row(source, young) is not None


async def test_claims_no_more_than_it_can_work_on(
    hooks: Hooks, writes: AsyncEngine, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is above is left to other processes."""
    monkeypatch.setattr("events.inbox.MOST", 2)
    for number in range(3):
        await hooks.leave_behind(source, f"obj_{number}")
    looks = Looks()
    looks.held.clear()
    inbox = Inbox(Claims(writes), {source: looks})
    assert [await inbox.take(), await inbox.take()] == [2, 0]
    looks.held.set()
    await inbox.drain(60)
    assert await swept(inbox) == 1


async def test_a_relay_listens_again_after_postgresql_was_away(tmp_path: Path, base_settings: Settings) -> None:
    """It was killed and came back: the connection is a new one, and what may have been missed is looked for."""
    heard = 0

    def hear() -> None:
        nonlocal heard
        heard += 1

    async def counted() -> int:
        return heard

    async def listens() -> bool:
        return listener.listening.is_set()

    async with Stack(tmp_path, parts={"postgres"}, migrate=False) as stack:
        settings = base_settings.model_copy(update={"database_url": SecretStr(stack.urls.database_url)})
        listener = Listener(settings, "news", hear)
        listening = asyncio.create_task(listener.listen_forever())
        await asyncio.wait_for(listener.listening.wait(), 60)
        assert heard == 1  # by itself, since it has just begun
        await stack.stop_part("postgres")
        await until(listens, False)
        await stack.start_part("postgres")
        await asyncio.wait_for(listener.listening.wait(), 60)
        assert heard == 2
        engine = create_engine(settings)
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await notify(connection, "news")
            await until(counted, 3)
        await dispose(engine)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_an_api_process_only_answers_requests(
    app: FastAPI, api: httpx.AsyncClient, settings: Settings, sessions: Sessions, own_inbox: None
) -> None:
    """No task of it outlives a request, and a webhook is stored as one that nobody has claimed."""
    hooks = Hooks(api, settings, sessions)
    before = asyncio.all_tasks()

    answer = await hooks.carrier("shp_of_nobody")
    await api.get("/readyz")

    assert asyncio.all_tasks() == before
    row = await hooks.row("carrier", answer.json()["eventId"])
    assert row is not None
    assert (row.processed_at, row.attempted_at < now() - LEASE) == (None, True)


async def test_the_start_of_an_api_process_begins_no_loop(settings: Settings) -> None:
    """Whatever its sweep interval."""
    before, app = asyncio.all_tasks(), create_app(settings.model_copy(update={"sweep_interval": 0.01}))
    async with app.router.lifespan_context(app):
        assert asyncio.all_tasks() == before


async def test_a_notification_that_fails_disturbs_nobody() -> None:
    """The event is stored by then, and a relay finds it by itself."""

    class Broken:
        async def execute(self, *arguments: object) -> None:
            raise OSError("the connection broke")

    await notify(cast(AsyncConnection, Broken()), "news")
