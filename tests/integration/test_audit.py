"""The audit on the real database: what the API writes, what nobody can change, and what a change would look like."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.settings import Settings
from api.app import create_app
from domain.identities import Role
from services.audit.audit import seal
from tests.support.command import Command, served
from tests.support.identities import Anybody, token
from tests.support.orders import Shop


@pytest.fixture
async def bare(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield client


async def test_tells_who_did_what(bare: httpx.AsyncClient, shop: Shop) -> None:
    """Changes, and reads by who sees others' rows; a customer's look at their own order is nobody's business."""
    order = await shop.put(await shop.product())
    path = f"/api/orders/{order.order_id}"
    customer = Anybody(Role.CUSTOMER, customer_id=order.customer_id)
    assert (await bare.get(path, auth=customer)).status_code == 200
    assert (await bare.get(path, auth=Anybody(Role.SUPPORT, subject="susan"))).status_code == 200
    assert (await bare.post(f"{path}/cancel", json={"no": 1}, auth=customer)).status_code == 422
    assert (await bare.get(path, auth=Anybody(Role.SUPPLIER))).status_code == 403

    query = {"after": "0", "about": path}
    told = (await bare.get("/api/audit", params=query, auth=Anybody(Role.AUDITOR))).json()["entries"]
    assert [(one["by"], one["method"], one["route"], one["status"]) for one in told] == [
        ("susan", "GET", "/api/orders/{orderId}", 200)
    ]
    cancels = {"after": "0", "about": f"{path}/cancel"}
    (refused,) = (await bare.get("/api/audit", params=cancels, auth=Anybody(Role.AUDITOR))).json()["entries"]
    assert (refused["by"], refused["subject"], refused["status"]) == ("customer", order.customer_id, 422)
    newest = (await bare.get("/api/audit", params={"limit": "5"}, auth=Anybody(Role.AUDITOR))).json()["entries"]
    assert newest[0]["id"] > newest[-1]["id"]


async def test_a_name_in_the_body_is_not_believed(bare: httpx.AsyncClient, shop: Shop) -> None:
    """422 names the field; nothing was done."""
    order = await shop.put(await shop.product())
    desk = Anybody(Role.OPERATIONS, subject="anna")
    url = f"/api/orders/{order.order_id}/cancel"
    refused = await bare.post(url, json={"by": "finance-director"}, auth=desk)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "by")
    assert "anna" in refused.json()["errors"][0]["message"]
    for path, body in (("brake/release", {"note": "x"}), ("repairs/1/resolve", {"decision": "retry"})):
        answer = await bare.post(f"/api/{path}", json={**body, "by": "saga"}, auth=desk)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "by")


@pytest.mark.parametrize("statement", ["UPDATE audit SET by = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
async def test_nothing_is_changed_afterwards(engine: AsyncEngine, statement: str) -> None:
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError, match="only added"):
            await connection.execute(text(statement))


ADD = text("""
    INSERT INTO audit (at, issuer, subject, by, method, route, about, status, request_id, times)
    SELECT now() - interval '2 minutes', 'i', 's', 'ann', 'POST', '/r', '/r/' || n, 200, 'q', 1
      FROM generate_series(1, 1500) AS n
""")
FORGE = """
    ALTER TABLE audit DISABLE TRIGGER audit_keeps_rows;
    UPDATE audit SET by = 'bob' WHERE about = '/r/700';
    ALTER TABLE audit ENABLE TRIGGER audit_keeps_rows
"""


@pytest.mark.slow
async def test_the_command_verifies_what_the_relay_has_sealed(
    own: Settings, own_engine: AsyncEngine, tmp_path: Path
) -> None:
    """The tables' owner can change a row; the chain tells it."""
    each_alone = own_engine.execution_options(isolation_level="AUTOCOMMIT")
    async with each_alone.connect() as connection:
        await connection.execute(ADD)
    assert [await seal(each_alone) for _ in range(3)] == [1000, 500, 0]

    app = create_app(own)
    async with app.router.lifespan_context(app), served(app) as url:
        command = Command(tmp_path, {"ORDERSAGA_API_URL": url})
        verified = await command("audit", "verify", "--json")
        assert (verified.code, verified.document["entries"], verified.document["seals"]) == (0, 1500, 2)
        exported = [json.loads(line) for line in (await command("audit", "export")).out.splitlines()]
        assert sum("seal" in one for one in exported) == 2
        listed = await command("audit", "list", "--by", "ann", "--limit", "3", "--json", ORDERSAGA_TOKEN=token())
        assert [one["about"] for one in listed.document["entries"]] == ["/r/1500", "/r/1499", "/r/1498"]
        assert "/r/1500" in (await command("audit", "list", "--about", "/r/1500")).out

        async with each_alone.connect() as connection:
            for statement in FORGE.split(";"):
                await connection.execute(text(statement))
        forged = await command("audit", "verify", "--json")
        assert (forged.code, forged.failure["code"]) == (1, "audit_broken")
        assert "seal 1" in forged.failure["detail"]
