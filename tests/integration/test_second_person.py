"""Large sums need two people."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.settings import Settings
from api.app import create_app
from domain.commands import Attention
from domain.errors import Conflict, Forbidden
from domain.identities import Kind, Principal, Role
from services.identities.approvals import ask, needs_two
from services.orders.book import OrderBook
from services.tickets.book import open_ticket
from tests.support.identities import Anybody
from tests.support.orders import Shop
from tests.support.refunds import RefundSteps


def person(name: str, kind: Kind = Kind.PERSON) -> Principal:
    return Principal("issuer", name, kind, frozenset({Role.OPERATIONS}))


async def asked(engine: AsyncEngine, order_id: str, by: Principal, what: str = "refund") -> str:
    """The names, or who is waited for."""
    each_alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with each_alone.connect() as connection:
        try:
            return await ask(connection, order_id, what, by)
        except Conflict as refused:
            return str(refused.members["asked_by"])


@pytest.mark.parametrize(
    ("amount", "limit", "two"), [("500", "500", True), ("499.99", "500", False), ("9999", None, False)]
)
def test_so_much_needs_two(amount: str, limit: str | None, two: bool) -> None:
    assert needs_two(Decimal(amount), Decimal(limit) if limit else None) is two


async def test_two_people_are_two(engine: AsyncEngine) -> None:
    """The first one alone is not enough, however often; then everybody gets the same answer."""
    order = secrets.token_hex(16)
    assert [await asked(engine, order, person("anna")) for _ in range(2)] == ["anna", "anna"]
    assert await asked(engine, order, person("bob")) == "anna and bob"
    assert [await asked(engine, order, person(name)) for name in ("anna", "carol")] == ["anna and bob"] * 2
    assert await asked(engine, order, person("bob"), "another refund") == "bob"


async def test_of_two_at_once_one_is_first(engine: AsyncEngine) -> None:
    order = secrets.token_hex(16)
    told = await asyncio.gather(*(asked(engine, order, person(name)) for name in ("anna", "bob")))
    assert sorted(told, key=len)[1] in ("anna and bob", "bob and anna")


async def test_a_wish_ends_after_a_day(engine: AsyncEngine) -> None:
    order = secrets.token_hex(16)
    await asked(engine, order, person("anna"))
    async with engine.begin() as connection:
        aged = text("UPDATE approvals SET at = at - interval '25 hours' WHERE order_id = :order_id")
        await connection.execute(aged, {"order_id": order})
    assert await asked(engine, order, person("bob")) == "bob"
    assert await asked(engine, order, person("anna")) == "bob and anna"


async def test_a_program_is_nobody(engine: AsyncEngine) -> None:
    with pytest.raises(Forbidden):
        await asked(engine, secrets.token_hex(16), person("script", Kind.SERVICE))


@pytest.fixture
async def careful(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """An API that wants two people for 5.00 and more."""
    app = create_app(settings.model_copy(update={"second_person_from": Decimal("5.00")}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.test") as client,
    ):
        yield client


def who(name: str) -> Anybody:
    return Anybody(Role.OPERATIONS, subject=name)


async def test_a_large_refund_is_given_by_two(careful: httpx.AsyncClient, refunds: RefundSteps, worker: None) -> None:
    """409 for the first, the refund for the second, with both names; a small one needs nobody else."""
    order_id = await refunds.captured()
    path, body = f"/api/orders/{order_id}/refunds", {"amount": "5.00", "reason": "dented"}
    large, small = {"Idempotency-Key": "large"}, {"Idempotency-Key": "small"}
    first = await careful.post(path, json=body, headers=large, auth=who("anna"))
    assert (first.status_code, first.json()["code"], first.json()["askedBy"]) == (409, "second_person_needed", "anna")
    assert (await careful.post(path, json=body, headers=large, auth=who("anna"))).status_code == 409
    second = await careful.post(path, json=body, headers=large, auth=who("bob"))
    assert (second.status_code, second.json()["by"]) == (201, "anna and bob")
    assert (await careful.post(path, json=body, headers=large, auth=who("anna"))).json() == second.json()
    given = await careful.post(path, json={**body, "amount": "1.00"}, headers=small, auth=who("anna"))
    assert (given.status_code, given.json()["by"]) == (201, "anna")
    unknown = await careful.post(f"/api/orders/{'0' * 32}/refunds", json=body, headers=large, auth=who("anna"))
    assert unknown.status_code == 404


async def test_a_large_write_off_is_decided_by_two(careful: httpx.AsyncClient, shop: Shop) -> None:
    """By the order's total; nothing is written before."""
    order_id = (await shop.put(await shop.product())).order_id
    about = Attention(order_id=order_id, step="ship_order", kind="scan_after_void", detail="why")
    async with OrderBook(shop.sessions).locked(order_id) as order:
        ticket = await open_ticket(order, about)
    path, body = f"/api/repairs/{ticket}/resolve", {"decision": "write_off"}
    first = await careful.post(path, json=body, auth=who("anna"))
    assert (first.status_code, first.json()["code"]) == (409, "second_person_needed")
    listed = (await careful.get("/api/repairs", params={"orderId": order_id}, auth=who("bob"))).json()["tickets"]
    assert [one["askedBy"] for one in listed] == ["anna"]
    assert (await careful.post(path, json=body, auth=who("anna"))).status_code == 409
    second = await careful.post(path, json=body, auth=who("bob"))
    assert second.status_code == 200, second.text
    tried = {"after": "0", "about": path}
    audit = (await careful.get("/api/audit", params=tried, auth=Anybody(Role.AUDITOR))).json()["entries"]
    assert [(one["by"], one["status"]) for one in audit] == [("anna", 409), ("anna", 409), ("bob", 200)]
    trail = (await careful.get(f"/api/repairs/{ticket}", auth=who("bob"))).json()["actions"]
    assert [(row["action"], row["by"]) for row in trail] == [("opened", "saga"), ("write_off", "anna and bob")]
