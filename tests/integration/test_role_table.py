"""The table role x route x own or foreign, asked of the real API: what `docs/security.md` says is what happens."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from devstack.role_table import GuardedRoute, routes
from domain.identities import Reach, Role
from tests.support.identities import Anybody
from tests.support.orders import Shop

GUARDED = [route for route in routes() if route.permissions]
UNKNOWN = "f" * 32
BODIES: dict[str, Any] = {
    "POST /api/orders/{orderId}/cancel": {"reason": "not mine"},
    "POST /api/orders/{orderId}/payment": {"paymentMethod": "pm_card_visa"},
    "PUT /api/customers/{customerId}/notifications": {"locale": "en"},
    "POST /api/cart/{customerId}/add": {"productId": "1", "quantity": 1},
    "DELETE /api/cart/{customerId}/remove": {"productId": "1", "quantity": 1},
}
"""Of routes that a customer may use for an order of their own: whole ones, since a foreign order is refused behind
them. Every other body is a wrong one: who may use the route is told of that, and nothing happens."""


@dataclass(frozen=True)
class Ids:
    """What the addresses are filled with."""

    customer: str
    own: str
    foreign_customer: str
    foreign: str


@pytest.fixture
async def ids(shop: Shop) -> Ids:
    product = await shop.product()
    own, foreign = await shop.put(product), await shop.put(product)
    return Ids(own.customer_id, own.order_id, foreign.customer_id, foreign.order_id)


@pytest.fixture
async def bare(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield client


def address(route: GuardedRoute, order: str, customer: str) -> str:
    filled = route.path.replace("{orderId}", order).replace("{customerId}", customer)
    return re.sub(r"\{\w+\}", "1", filled)


async def ask(client: httpx.AsyncClient, route: GuardedRoute, url: str, who: Anybody, body: Any) -> httpx.Response:
    more = {} if route.method == "GET" else {"json": body}
    return await client.request(route.method, url, auth=who, headers={"Idempotency-Key": "k"}, **more)


@pytest.mark.parametrize("role", Role)
async def test_each_role_may_what_the_table_says(bare: httpx.AsyncClient, ids: Ids, role: Role) -> None:
    """403 where the table is empty. Else the request is looked at: a wrong body is 422, what is unknown 404."""
    who = Anybody(role, customer_id=ids.customer)
    answered = {}
    for route in GUARDED:
        answer = await ask(bare, route, address(route, ids.own, ids.customer), who, {"no": "such field"})
        answered[f"{route.method} {route.path}"] = answer.status_code
    allowed = {f"{route.method} {route.path}": route.reaches[role] is not None for route in GUARDED}
    assert {name: status != 403 for name, status in answered.items()} == allowed
    assert set(answered.values()) <= {200, 202, 403, 404, 409, 422}
    forbidden = [route for route in GUARDED if route.reaches[role] is None]
    refused = await ask(bare, forbidden[0], address(forbidden[0], ids.own, ids.customer), who, {})
    assert refused.json()["needed"] == forbidden[0].permissions[0]


OWN = [route for route in GUARDED if "{orderId}" in route.path or "{customerId}" in route.path]
OWN = [route for route in OWN if route.reaches[Role.CUSTOMER] is Reach.OWN]


@pytest.mark.parametrize("route", OWN, ids=lambda route: f"{route.method} {route.path}")
async def test_what_is_foreign_is_not_there(bare: httpx.AsyncClient, ids: Ids, route: GuardedRoute) -> None:
    """404 with the very words of what does not exist: nobody learns that an id is somebody's."""
    who = Anybody(Role.CUSTOMER, customer_id=ids.customer)
    body = BODIES.get(f"{route.method} {route.path}", {})
    foreign = await ask(bare, route, address(route, ids.foreign, ids.foreign_customer), who, body)
    unknown = await ask(bare, route, address(route, UNKNOWN, "nobody"), who, body)
    assert (foreign.status_code, foreign.content) == (404, unknown.content)
    support = await ask(bare, route, address(route, ids.foreign, ids.foreign_customer), Anybody(), {"no": "such"})
    assert support.status_code != 404 or "{key}" in route.path


async def test_lists_show_a_customer_their_own(bare: httpx.AsyncClient, ids: Ids) -> None:
    """Whatever is asked for."""
    who = Anybody(Role.CUSTOMER, customer_id=ids.customer)
    for query in ({}, {"customerId": ids.foreign_customer}, {"limit": "100"}):
        page = (await bare.get("/api/orders", params=query, auth=who)).json()
        assert {order["orderId"] for order in page["orders"]} == ({ids.own} if "customerId" not in query else set())
    customers = (await bare.get("/api/customers", auth=who)).json()["customers"]
    assert [one["customerId"] for one in customers] == [ids.customer]


async def test_a_customer_orders_for_themselves_only(bare: httpx.AsyncClient, ids: Ids, shop: Shop) -> None:
    """Another customer is an unknown one, whether or not there is such a customer."""
    product = await shop.product()
    body = {"items": [{"productId": product, "quantity": 1}], "paymentMethod": "pm_card_visa"}
    who = Anybody(Role.CUSTOMER, customer_id=ids.customer)
    foreign = await bare.post("/api/orders", json={**body, "customerId": ids.foreign_customer}, auth=who)
    unknown = await bare.post("/api/orders", json={**body, "customerId": "nobody"}, auth=who)
    known = await bare.post("/api/orders", json={**body, "customerId": "nobody"}, auth=Anybody())
    assert (foreign.status_code, foreign.content, foreign.content) == (422, unknown.content, known.content)


async def test_a_key_of_somebody_else_is_another_key(
    bare: httpx.AsyncClient, ids: Ids, shop: Shop, worker: None
) -> None:
    """Who guesses a shop's Idempotency-Key gets neither its order nor its client secret, and takes no key away."""
    product, key = await shop.product(), {"Idempotency-Key": "order-1001"}
    body = {"customerId": ids.customer, "items": [{"productId": product, "quantity": 1}]}
    body["paymentMethod"] = "pm_card_visa"
    of_shop = Anybody(Role.SHOP, subject=secrets.token_hex(4))
    thief = Anybody(Role.CUSTOMER, customer_id=ids.customer)
    first = await bare.post("/api/orders", json=body, headers=key, auth=thief)
    second = await bare.post("/api/orders", json=body, headers=key, auth=of_shop)
    again = await bare.post("/api/orders", json=body, headers=key, auth=of_shop)
    assert {first.status_code, second.status_code, again.status_code} == {201}
    assert first.json()["orderId"] != second.json()["orderId"] == again.json()["orderId"]


async def test_streams_open_by_a_ticket_for_one_order(bare: httpx.AsyncClient, ids: Ids) -> None:
    """A browser's EventSource sends no header: a ticket in the address opens this stream, and nothing else."""
    who = Anybody(Role.CUSTOMER, customer_id=ids.customer)
    path = f"/api/orders/{ids.own}/events"
    made = (await bare.post(f"{path}/ticket", auth=who)).json()
    ticket = {"ticket": made["ticket"]}
    assert made["stream"].endswith(f"{path}?ticket={made['ticket']}")
    assert (await bare.get(path, params=ticket)).json()["events"][0]["to"] == "PLACED"
    elsewhere = [f"/api/orders/{ids.foreign}/events", f"/api/orders/{ids.own}", "/api/orders"]
    refused = [await bare.get(url, params=ticket) for url in elsewhere]
    refused += [await bare.post(f"/api/orders/{ids.own}/cancel", params=ticket)]
    refused += [await bare.get(path, params={"ticket": made["ticket"][:-2] + "xx"})]
    assert {answer.status_code for answer in refused} == {401}
    assert (await bare.post(f"/api/orders/{ids.foreign}/events/ticket", auth=who)).status_code == 404


async def test_api_keys_from_their_making_to_their_end(bare: httpx.AsyncClient, ids: Ids) -> None:
    """Two of an owner at a time, shown once, found by a hash; a revoked one counts no longer."""
    desk, owner = Anybody(Role.OPERATIONS), f"shop-{secrets.token_hex(4)}"
    wanted = {"owner": owner, "scopes": ["shop"], "days": 1}
    made = [await bare.post("/api/keys", json=wanted, auth=desk) for _ in range(3)]
    assert [answer.status_code for answer in made] == [201, 201, 409]
    key, key_id = made[0].json()["key"], made[0].json()["keyId"]
    assert made[0].headers["Cache-Control"] == "no-store"

    async def status_with(key: str) -> int:
        answer = await bare.get(f"/api/orders/{ids.own}", headers={"Authorization": f"Bearer {key}"})
        return answer.status_code

    assert await status_with(made[1].json()["key"]) == 200
    assert {await status_with(key[:-1] + ("1" if key[-1] == "0" else "0")), await status_with("os_x")} == {401}
    listed = (await bare.get("/api/keys", auth=desk)).text
    assert key_id in listed and key[16:80] not in listed
    revoked = await bare.post(f"/api/keys/{key_id}/revoke", auth=desk)
    assert revoked.json()["revokedBy"] == "operations"
    assert await status_with(key) == 401
    assert (await bare.post("/api/keys", json=wanted, auth=desk)).status_code == 201
    root = await bare.post("/api/keys", json={**wanted, "scopes": ["operations"]}, auth=desk)
    assert (root.status_code, root.json()["errors"][0]["field"]) == (422, "scopes")
