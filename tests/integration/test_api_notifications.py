"""Which messages customers want, and in which language, over HTTP and by the command."""

from __future__ import annotations

import secrets
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

from adapters.clock import now
from domain.notifications import MessageKind
from services.customers.tables import Customer


@pytest.fixture
def customer() -> dict[str, Any]:
    return {"customerId": f"t-{secrets.token_hex(4)}", "name": "Alice Johnson", "email": "alice@example.com"}


async def test_a_customer_says_which_messages_are_wanted(
    api: httpx.AsyncClient, customer: dict[str, Any], engine: AsyncEngine
) -> None:
    """What is not named is wanted, in the shop's language; each PUT replaces what was said before."""
    await api.post("/api/customers", json=customer)
    path = f"/api/customers/{customer['customerId']}/notifications"
    kinds = dict.fromkeys(MessageKind, True)
    assert (await api.get(path)).json() == {"customerId": customer["customerId"], "locale": None, "kinds": kinds}

    answer = await api.put(path, json={"locale": "de-AT", "kinds": {"shipped": False, "placed": True}})
    assert answer.status_code == 200, answer.text
    assert answer.json() == (await api.get(path)).json()
    assert (answer.json()["locale"], answer.json()["kinds"]) == ("de-AT", kinds | {"shipped": False})

    answer = await api.put(path, json={"kinds": {"refunded": False}})
    assert (answer.json()["locale"], answer.json()["kinds"]) == (None, kinds | {"refunded": False})

    async with engine.begin() as connection:
        await connection.execute(update(Customer).where(*_is(customer)).values(erased_at=now()))
    assert (await api.get(path)).status_code == (await api.put(path, json={})).status_code == 404


def _is(customer: dict[str, Any]) -> list[Any]:
    return [col(Customer.customer_id) == customer["customerId"]]


@pytest.mark.parametrize(
    ("body", "field", "exists"),
    [
        ({"kinds": {"shiped": False}}, "kinds", "'shipped'"),
        ({"kinds": {"shipped": "no"}}, "kinds.shipped", "boolean"),
        ({"locale": "xx"}, "locale", "en"),
        ({"language": "de"}, "language", ""),
    ],
    ids=repr,
)
async def test_refuses_messages_that_do_not_exist_with_those_that_do(
    api: httpx.AsyncClient, customer: dict[str, Any], body: dict[str, Any], field: str, exists: str
) -> None:
    await api.post("/api/customers", json=customer)
    answer = await api.put(f"/api/customers/{customer['customerId']}/notifications", json=body)
    assert answer.status_code == 422
    (bad,) = answer.json()["errors"]
    assert bad["field"].startswith(field)
    assert exists in bad["message"]


async def test_messages_of_a_customer_who_does_not_exist_are_not_found(api: httpx.AsyncClient) -> None:
    for customer_id in ("nobody", "no one"):
        path = f"/api/customers/{customer_id}/notifications"
        assert (await api.get(path)).status_code == (await api.put(path, json={})).status_code == 404
