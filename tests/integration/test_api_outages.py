"""Bad days: PostgreSQL or Temporal away, at the start or in the middle. 503, and later exactly one order."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlmodel import col, func, select

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from api.app import create_app
from services.orders.tables import Order
from tests.support.identities import Anybody
from tests.support.orders import Shop
from tests.support.waiting import until

pytestmark = pytest.mark.slow

NewProduct = Callable[..., Awaitable[str]]
NewCustomer = Callable[[], Awaitable[str]]


class Line:
    """A TCP line to a server that can be cut and mended, so that the server itself goes on for other tests."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0.05)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._open |= {writer, far_writer}
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        self._open -= {writer, far_writer}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def line_to(host: str, port: int) -> AsyncIterator[Line]:
    line = Line(host, port)
    await line.mend()
    try:
        yield line
    finally:
        await line.cut()


@asynccontextmanager
async def api_with(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://api.test", auth=Anybody(subject=secrets.token_hex(4))
        ) as client:
            yield client


@pytest.fixture
async def database_line(settings: Settings) -> AsyncIterator[Line]:
    url = urlsplit(settings.database_url.get_secret_value())
    async with line_to(url.hostname or "", url.port or 0) as line:
        yield line


@pytest.fixture
async def engine_line(settings: Settings) -> AsyncIterator[Line]:
    host, _, port = settings.temporal_address.rpartition(":")
    async with line_to(host, int(port)) as line:
        yield line


@pytest.fixture
def by_database_line(settings: Settings, database_line: Line) -> Settings:
    url = urlsplit(settings.database_url.get_secret_value())
    credentials, _, _ = url.netloc.rpartition("@")
    through = url._replace(netloc=f"{credentials}@127.0.0.1:{database_line.port}").geturl()
    return settings.model_copy(update={"database_url": type(settings.database_url)(through)})


@pytest.fixture
async def body(new_product: NewProduct, new_customer: NewCustomer) -> dict[str, Any]:
    return {
        "customerId": await new_customer(),
        "items": [{"productId": await new_product(), "quantity": 1}],
        "paymentMethod": "pm_card_visa",
    }


def check_away(answer: httpx.Response, slug: str) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == f"/problems/{slug}"
    assert int(answer.headers["Retry-After"]) > 0


async def check_one_order(
    api: httpx.AsyncClient, body: dict[str, Any], headers: dict[str, str], sessions: Sessions, shop: Shop
) -> None:
    async def answered() -> bool:
        """Whether the order was confirmed within the short budget; the same request again gives the answer."""
        return (await api.post("/api/orders", json=body, headers=headers)).status_code != 202

    await until(answered, True)
    answer = await api.post("/api/orders", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    async with sessions() as session:
        query = select(func.count()).where(col(Order.customer_id) == body["customerId"])
        assert (await session.exec(query)).one() == 1
    assert await shop.authorizations(answer.json()["orderId"]) == 1


HEADERS = {"Idempotency-Key": "again"}


async def test_answers_503_while_the_engine_is_away_and_later_one_order(
    settings: Settings, engine_line: Line, body: dict[str, Any], sessions: Sessions, shop: Shop, worker: None
) -> None:
    """The API starts without Temporal; the same request gives exactly one order once it is there."""
    await engine_line.cut()
    through = settings.model_copy(update={"temporal_address": f"127.0.0.1:{engine_line.port}"})
    async with api_with(through) as api:
        check_away(await api.post("/api/orders", json=body, headers=HEADERS), "engine-away")
        check_away(await api.get("/readyz"), "not-ready")
        assert (await api.get("/healthz")).status_code == 200
        await engine_line.mend()
        await check_one_order(api, body, HEADERS, sessions, shop)
        assert (await api.get("/readyz")).json() == {"postgresql": "ok", "temporal": "ok"}


async def test_answers_503_when_the_engine_goes_away_and_later_one_order(
    settings: Settings, engine_line: Line, body: dict[str, Any], sessions: Sessions, shop: Shop, worker: None
) -> None:
    """The same for a connection that broke, within the checkout's budget and a short look."""
    through = settings.model_copy(
        update={"temporal_address": f"127.0.0.1:{engine_line.port}", "checkout_budget": 1.0}
    )
    async with api_with(through) as api:
        assert (await api.get("/readyz")).status_code == 200
        await engine_line.cut()
        async with asyncio.timeout(20):
            check_away(await api.post("/api/orders", json=body, headers=HEADERS), "engine-away")
        order_id = (await api.get("/api/orders", params={"customerId": body["customerId"]})).json()["orders"][0][
            "orderId"
        ]
        async with asyncio.timeout(20):
            check_away(await api.post(f"/api/orders/{order_id}/cancel"), "engine-away")
        await engine_line.mend()
        await check_one_order(api, body, HEADERS, sessions, shop)


async def test_answers_503_while_the_database_is_away_and_later_one_order(
    by_database_line: Settings,
    database_line: Line,
    body: dict[str, Any],
    sessions: Sessions,
    shop: Shop,
    worker: None,
) -> None:
    """Reads and writes alike; the API starts without PostgreSQL, and needs no restart when it comes."""
    await database_line.cut()
    async with api_with(by_database_line) as api:
        check_away(await api.post("/api/orders", json=body, headers=HEADERS), "database-away")
        check_away(await api.get("/api/orders"), "database-away")
        check_away(await api.get("/api/products/001"), "database-away")
        check_away(await api.get("/readyz"), "not-ready")
        assert (await api.get("/readyz")).json()["temporal"] == "ok"
        await database_line.mend()
        await check_one_order(api, body, HEADERS, sessions, shop)


async def test_outlives_a_restart_of_the_database(
    by_database_line: Settings, database_line: Line, body: dict[str, Any]
) -> None:
    """Connections that broke in the pool are replaced unseen: once the database is back nobody gets an error."""
    async with api_with(by_database_line) as api:
        answers = await asyncio.gather(*(api.get("/api/orders") for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}
        await database_line.cut()
        check_away(await api.get("/api/orders"), "database-away")
        await database_line.mend()
        for _ in range(10):
            assert (await api.get("/api/orders")).status_code == 200


async def test_gives_one_order_when_the_database_breaks_in_the_middle(
    by_database_line: Settings,
    database_line: Line,
    body: dict[str, Any],
    sessions: Sessions,
    shop: Shop,
    worker: None,
) -> None:
    """Cut at any moment of a checkout: never a 500, and the same request later gives one order."""
    async with api_with(by_database_line) as api:
        for tenth in range(8):
            request = asyncio.create_task(api.post("/api/orders", json=body, headers=HEADERS))
            await asyncio.sleep(tenth * 0.004)
            await database_line.cut()
            answer = await request
            assert answer.status_code in (201, 503), answer.text
            await database_line.mend()
        await check_one_order(api, body, HEADERS, sessions, shop)
