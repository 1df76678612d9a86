"""What the API tells Prometheus: its requests, its webhooks, and the shop's books."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from api.app import create_app
from api.metrics.routes import KEPT, REFRESH, Books
from devstack.stack.ports import LOOPBACK
from domain.order_states import FINAL, OrderStatus
from events.inbox import Inbox
from services.inbox.claims import Claims
from services.inbox.tables import InboxEvent
from services.insight import census
from services.tickets.tables import Ticket
from tests.support.identities import Anybody
from tests.support.orders import Shop
from tests.support.scrape import page
from tests.support.webhooks import swept


async def test_requests_are_counted_by_route_and_never_by_id(api: httpx.AsyncClient) -> None:
    """A label for each order, or for each address that somebody makes up, would be a series without an end."""
    order_id, nowhere = secrets.token_hex(16), secrets.token_hex(8)
    await api.get(f"/api/orders/{order_id}")
    await api.get(f"/{nowhere}")
    await api.request("BREW", f"/api/orders/{order_id}")

    seen = await page(api)

    counted = seen.labels("ordersaga_http_request_duration_seconds_count")
    assert counted == [
        {"method": "GET", "route": "/api/orders/{orderId}", "status": "404"},
        {"method": "GET", "route": "none", "status": "404"},
        {"method": "other", "route": "/api/orders/{orderId}", "status": "405"},
    ]
    assert order_id not in seen.text
    assert nowhere not in seen.text


@pytest.mark.parametrize("accept", ["application/openmetrics-text;version=abc", "text/plain;version=1.x", "\xe9"])
async def test_a_scraper_that_asks_for_nonsense_gets_the_plain_format(api: httpx.AsyncClient, accept: str) -> None:
    answer = await api.get("/metrics", headers=[(b"Accept", accept.encode("latin-1"))])
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")


async def test_an_error_inside_is_counted_as_500(app: FastAPI, api: httpx.AsyncClient) -> None:
    """It is answered behind everything that counts, and still has its count and its request id."""

    async def broken() -> None:
        raise ZeroDivisionError

    app.add_api_route("/broken/{thing}", broken)

    answer = await api.get("/broken/lamp")

    assert answer.status_code == 500
    assert len(answer.headers["X-Request-ID"]) == 16
    counted = (await page(api)).labels("ordersaga_http_request_duration_seconds_count")
    assert counted == [{"method": "GET", "route": "/broken/{thing}", "status": "500"}]


async def test_the_books_are_counted_as_the_database_has_them(
    api: httpx.AsyncClient, shop: Shop, sessions: Sessions
) -> None:
    """Orders under way by status, open tickets, and both backlogs with the age of what waits longest."""
    order = await shop.put(await shop.product())
    kind, source, old = f"kind-{secrets.token_hex(4)}", f"source-{secrets.token_hex(4)}", now() - timedelta(hours=1)
    ticket: dict[str, Any] = {"order_id": order.order_id, "kind": kind, "detail": ""}
    hook: dict[str, Any] = {"source": source, "type": "x", "object_id": "x", "received_at": old}
    waiting = [InboxEvent(event_id=name, attempted_at=now(), **hook) for name in ("a", "b")]
    done = InboxEvent(event_id="c", processed_at=now(), **hook)
    open_ticket = Ticket(step="ship order", **ticket)
    closed_ticket = Ticket(step="capture payment", resolved_at=now(), **ticket)
    of_no_order = [Ticket(step=kind, kind="drift_payment", subject=name, detail="") for name in "ab"]
    flagged = "SELECT count(DISTINCT order_id), count(*) FILTER (WHERE order_id IS NULL) FROM tickets "
    flagged += "WHERE resolved_at IS NULL"
    async with sessions() as session, session.begin():
        session.add_all([*waiting, done, open_ticket, closed_ticket, *of_no_order])
        count = "SELECT (SELECT count(*) FROM orders WHERE status = 'PLACED'), "
        count += "(SELECT count(*) FROM outbox WHERE published_at IS NULL)"
        await session.flush()
        placed, unpublished = (await (await session.connection()).execute(text(count))).one()
        orders, others = (await (await session.connection()).execute(text(flagged))).one()
        assert orders >= 1 and others >= 2

    seen = await page(api)

    assert seen.value("ordersaga_books_readable") == 1
    assert {labels["status"] for labels in seen.labels("ordersaga_orders")} == set(OrderStatus) - FINAL
    assert seen.value("ordersaga_orders", status="PLACED") == placed > 0
    assert seen.labels("ordersaga_tickets_open").count({"step": "ship order", "kind": kind}) == 1
    assert seen.value("ordersaga_tickets_open", kind=kind) == 1
    assert seen.value("ordersaga_orders_needing_attention") == orders + others
    assert seen.value("ordersaga_outbox_unpublished") == unpublished > 0
    assert seen.value("ordersaga_outbox_oldest_age_seconds") > 0
    assert seen.value("ordersaga_webhook_inbox_unprocessed", source=source) == 2
    assert 3600 <= seen.value("ordersaga_webhook_inbox_oldest_age_seconds", source=source) < 3660


async def test_scrapes_at_the_same_time_share_one_reading(app: FastAPI, api: httpx.AsyncClient) -> None:
    """However often somebody scrapes, the database is asked once in five seconds."""
    statements: list[str] = []
    engine = app.state.services.reads.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))

    pages = await asyncio.gather(*(page(api) for _ in range(10)))

    assert len([statement for statement in statements if "FROM webhook_inbox" in statement]) == 1
    assert all(one.value("ordersaga_books_readable") == 1 for one in pages)


async def test_metrics_are_there_while_the_database_is_not(settings: Settings) -> None:
    """What the process knows by itself is told; what it cannot know is missing, not 0."""
    away = settings.model_copy(update={"database_url": SecretStr(f"postgresql://x:x@{LOOPBACK}:9/x")})
    app = create_app(away)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.test", auth=Anybody()) as api,
    ):
        assert (await api.get(f"/api/orders/{secrets.token_hex(16)}")).status_code == 503
        seen = await page(api)

    assert seen.labels("ordersaga_books_readable") == [{}]
    assert seen.value("ordersaga_books_readable") == 0
    assert seen.value("ordersaga_http_request_duration_seconds_count", status="503") == 1
    assert "ordersaga_outbox_unpublished" not in seen.names


async def test_the_last_reading_is_told_while_the_database_does_not_answer(engine: AsyncEngine) -> None:
    """An alert that has begun goes on, and everybody sees how old the reading is; what is too old is told no more."""
    seconds = 1000.0
    books, away = Books(lambda: seconds), create_async_engine(f"postgresql+asyncpg://x:x@{LOOPBACK}:9/x")

    def told() -> dict[str, float]:
        return {metric.name: metric.samples[0].value for metric in books.collect() if metric.samples}

    assert told() == {"ordersaga_books_readable": 0}
    await books.refresh(engine)
    read = told()
    assert (read["ordersaga_books_readable"], read["ordersaga_books_age_seconds"]) == (1, 0)
    seconds += KEPT
    await books.refresh(away)
    assert told() == read | {"ordersaga_books_readable": 0, "ordersaga_books_age_seconds": KEPT}
    seconds += 1
    assert told() == {"ordersaga_books_readable": 0}
    seconds += REFRESH
    await books.refresh(engine)
    assert told().keys() == read.keys()
    await away.dispose()


async def test_a_count_ends_where_counting_would_take_long(engine: AsyncEngine, shop: Shop) -> None:
    """A mountain of one kind is told as `MOST`: that it is one is all that anybody has to know."""
    for _ in range(3):
        await shop.put(await shop.product())
    async with engine.connect() as connection:
        exact = await census.read(connection)
        few = await census.read(connection, most=2)
    assert exact.orders[OrderStatus.PLACED] >= 3
    assert few.orders[OrderStatus.PLACED] == 2


async def test_the_lag_of_a_webhook_is_counted_once(engine: AsyncEngine, sessions: Sessions, own_inbox: None) -> None:
    """From its arrival, by whoever followed it up, also when several processes come at the same time."""
    source, heard = f"source-{secrets.token_hex(4)}", list[tuple[str, float]]()

    class Looks:
        async def is_urgent(self, object_id: str) -> bool:
            return True

        async def look(self, object_id: str) -> None: ...

    arrived = now() - timedelta(minutes=5)
    async with sessions() as session, session.begin():
        for name in ("a", "b"):
            hook = InboxEvent(
                source=source, event_id=name, type="x", object_id="x", received_at=arrived, attempted_at=arrived
            )
            session.add(hook)
    writes = engine.execution_options(isolation_level="AUTOCOMMIT")
    inboxes = [Inbox(Claims(writes), {source: Looks()}, lambda *lag: heard.append(lag)) for _ in range(3)]
    for _ in range(2):
        await asyncio.gather(*(swept(inbox) for inbox in inboxes))

    assert [name for name, _ in heard] == [source, source]
    assert all(300 <= seconds < 360 for _, seconds in heard)
