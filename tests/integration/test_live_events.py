"""An order's events as server-sent events, over real servers: from the placement to the delivery, and what breaks."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import Receive, Scope, Send

from adapters.postgres.database import Sessions
from adapters.postgres.hints import Hints, subjects_of
from adapters.postgres.notifications import Listener
from adapters.settings import Settings
from api.app import create_app
from api.orders import live as live_module
from devstack.stack.ports import LOOPBACK, free_port
from devstack.stack.stack import Stack
from domain.order_states import OrderStatus as S
from services.orders.book import OrderBook
from tests.support.command import Command, served
from tests.support.identities import Anybody
from tests.support.orders import Shop
from tests.support.waiting import until
from tests.support.webhooks import Hooks
from tests.support.worker_process import Start

STREAM = {"Accept": "text/event-stream"}


@asynccontextmanager
async def api_by(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The API behind a real socket."""
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        served(app) as url,
        httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, auth=Anybody()) as client,
    ):
        yield client


@pytest.fixture
async def front(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """It polls so seldom that every row has to come by a notification."""
    monkeypatch.setattr(live_module, "FIRST_POLL", 1e6)
    async with api_by(settings) as client:
        yield client


class Watcher:
    """A client that reads an order's stream, and resumes behind its last event."""

    def __init__(self, http: httpx.AsyncClient, order_id: str) -> None:
        self._http, self._path = http, f"/api/orders/{order_id}/events"
        self.ids: list[int] = []
        self.rows: list[dict[str, Any]] = []

    async def read(self, enough: int = 10**6, until_state: str = "") -> int:
        """Until the stream ends, so many rows are there, or the order is in a state; the answer's status."""
        headers = STREAM | ({"Last-Event-ID": str(self.ids[-1])} if self.ids else {})
        async with self._http.stream("GET", self._path, headers=headers) as response:
            lines = aiter(response.aiter_lines())
            while len(self.rows) < enough and until_state not in self.states:
                if (line := await anext(lines, None)) is None:
                    break
                if line.startswith("id: "):
                    self.ids.append(int(line[4:]))
                elif line.startswith("data: "):
                    self.rows.append(json.loads(line[6:]))
            return response.status_code

    @property
    def states(self) -> list[str]:
        return [row["to"] for row in self.rows]


async def test_an_order_is_watched_from_its_placement_to_its_delivery(
    front: httpx.AsyncClient, shop: Shop, worker: None, hooks: Hooks
) -> None:
    """Each row once, without polling, as the JSON has it; then the stream ends, and its client need not come back."""
    order = await shop.put(await shop.product())
    watcher = Watcher(front, order.order_id)
    watching = asyncio.create_task(watcher.read())
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), S.READY_TO_SHIP)
    for status in ("in_transit", "delivered"):
        await shop.parcel(order.order_id, status)
        await hooks.carrier(await shop.shipment_id(order.order_id))
    assert await asyncio.wait_for(watching, 60) == 200
    document = (await front.get(f"/api/orders/{order.order_id}/events")).json()
    assert watcher.rows == document["events"]
    assert watcher.ids == [row["sequence"] for row in document["events"]]
    assert watcher.states[-1] == "DELIVERED"
    assert await watcher.read() == 204


@pytest.mark.slow
async def test_a_killed_worker_makes_no_gap_and_no_repeat(front: httpx.AsyncClient, shop: Shop, start: Start) -> None:
    """Another worker takes the order over; who watches it sees each row once."""
    await shop.fault("carrier", "shipments.buy", "slow", delay_seconds=1.5)
    order = await shop.put(await shop.product())
    watcher = Watcher(front, order.order_id)
    watching = asyncio.create_task(watcher.read(until_state="READY_TO_SHIP"))
    first = await start(ORDERSAGA_TASK_QUEUE=shop.settings.task_queue)
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), S.CONFIRMED)
    first.send(signal.SIGKILL)
    await first.ended()
    await start(ORDERSAGA_TASK_QUEUE=shop.settings.task_queue)
    assert await asyncio.wait_for(watching, 60) == 200
    assert watcher.ids == list(range(1, len(watcher.ids) + 1))


@pytest.mark.slow
async def test_a_restart_of_the_api_ends_the_streams_at_once_and_their_clients_resume(
    stack: Stack, shop: Shop, sessions: Sessions, start: Start
) -> None:
    """The server would wait a minute for its answers to end. What is written meanwhile comes behind the restart."""
    order = await shop.put(await shop.product())
    port = free_port()
    serve = ("-m", "uvicorn", "--factory", "api.app:create_app", "--port", str(port))
    running = f"Uvicorn running on http://{LOOPBACK}:{port} (Press CTRL+C to quit)"  # the port is bound only now
    async with httpx.AsyncClient(
        base_url=f"http://{LOOPBACK}:{port}", timeout=60, trust_env=False, auth=Anybody()
    ) as http:
        process = await start(*serve, "--timeout-graceful-shutdown", "60")
        await process.says(running)
        watcher = Watcher(http, order.order_id)
        watching = asyncio.create_task(watcher.read())
        await until(lambda: seen(watcher), ["PLACED"])
        began = time.monotonic()
        process.send(signal.SIGTERM)
        assert await asyncio.wait_for(watching, 60) == 200
        await process.ended()
        assert time.monotonic() - began < 30
        async with OrderBook(sessions).locked(order.order_id) as locked:
            locked.move(S.RESERVED, "stock reserved")
        process = await start(*serve)
        await process.says(running)
        await watcher.read(enough=2)
        assert (watcher.ids, watcher.states) == ([1, 2], ["PLACED", "RESERVED"])


async def seen(watcher: Watcher) -> list[str]:
    return watcher.states


async def test_timeline_and_stream_answer_without_workers_broker_and_temporal(settings: Settings, shop: Shop) -> None:
    """They are read from the books alone."""
    order = await shop.put(await shop.product())
    async with api_by(settings.model_copy(update={"temporal_address": f"{LOOPBACK}:9"})) as alone:
        document = (await alone.get(f"/api/orders/{order.order_id}/events")).json()
        watcher = Watcher(alone, order.order_id)
        await watcher.read(enough=1)
        assert watcher.rows == document["events"]


async def test_refuses_what_cannot_be_streamed(settings: Settings, shop: Shop) -> None:
    """By a problem that names what is wrong; JSON is answered however many streams there are."""
    order_id = (await shop.put(await shop.product())).order_id
    path = f"/api/orders/{order_id}/events"
    async with api_by(settings.model_copy(update={"max_listeners": 1})) as api:
        refused = [
            await api.get(path, headers=STREAM | {"Last-Event-ID": "x1"}),
            await api.get(path, headers=STREAM | {"Last-Event-ID": "2"}),
            await api.get(path, headers=STREAM, params={"after": 2}),
        ]
        assert [answer.status_code for answer in refused] == [422] * 3
        named = [answer.json()["errors"][0] for answer in refused]
        assert [error["field"] for error in named] == ["Last-Event-ID", "Last-Event-ID", "after"]
        assert "the last one of this order is 1" in named[1]["message"]
        nowhere = await api.get(f"/api/orders/{'0' * 32}/events", headers=STREAM)
        assert (nowhere.status_code, nowhere.json()["code"]) == (404, "no_such_order")
        async with api.stream("GET", path, headers=STREAM) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert (response.headers["x-accel-buffering"], response.headers["cache-control"]) == ("no", "no-store")
            lines = response.aiter_lines()  # kept: the connection ends with it
            await anext(lines)
            full = await api.get(path, headers=STREAM)
            assert (full.status_code, full.json()["code"]) == (503, "too_many_listeners")
            assert int(full.headers["retry-after"]) > 0
            assert (await api.get(path)).json()["events"][0]["to"] == "PLACED"
            assert "ordersaga_listeners 1.0" in (await api.get("/metrics")).text

        async def streams() -> bool:  # a client that has gone is noticed, and makes room
            answer = await Watcher(api, order_id).read(enough=1)
            return answer == 200

        await until(streams, True)


async def test_the_command_watches_an_api_that_has_no_streams(settings: Settings, shop: Shop, tmp_path: Path) -> None:
    """An older one answers JSON whatever it is asked for."""
    app = create_app(settings)

    async def older(scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"accept"]
        await app(scope, receive, send)

    order = await shop.put(await shop.product())
    async with app.router.lifespan_context(app), served(older) as url:
        watching = asyncio.create_task(
            Command(tmp_path, {"ORDERSAGA_API_URL": url})("orders", "watch", order.order_id)
        )
        async with OrderBook(shop.sessions).locked(order.order_id) as locked:
            locked.move(S.REJECTED, "refused by the test")
        ran = await watching
    assert ran.code == 0, ran.err
    assert [line.split()[2] for line in ran.out.splitlines()] == ["PLACED", "REJECTED"]


async def test_hints_of_a_process_are_sent_together(settings: Settings, engine: AsyncEngine) -> None:
    """The first at once, those that come meanwhile by one statement; who begins to listen is told to look at all."""
    channel, said, heard = f"test_{secrets.token_hex(4)}", list[str](), asyncio.Event()
    listener = Listener(settings, channel, heard.set, said.append)
    listening = asyncio.create_task(listener.listen_forever())
    await asyncio.wait_for(heard.wait(), 60)
    hints = Hints(engine)
    hints.give(channel, "a")
    await until(lambda: heard_of(said), ["a"])
    for number in range(1000):
        hints.give(channel, f"order-{number}")
    await hints.aclose()
    hints.give(channel, "too late")
    await until(lambda: heard_of(said), ["a", *(f"order-{number}" for number in range(1000))])
    assert len(said) == 3
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def heard_of(said: list[str]) -> list[str]:
    return [subject for payload in said for subject in subjects_of(payload)]
