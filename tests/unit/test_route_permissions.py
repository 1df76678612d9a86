"""Deny by default: every route names the one permission that it needs, or is one of the few that are public."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.settings import Settings
from api.app import create_app
from api.http.authentication import PUBLIC, is_public
from devstack.role_table import GuardedRoute, markdown_table, routes
from domain.identities import ROLES, Permission, Role

ALL = routes()
APP = create_app(Settings(identity_jwks="none", more_hosts="api.test"))


def named(route: GuardedRoute) -> str:
    return f"{route.method} {route.path}"


def test_the_walk_sees_the_routes() -> None:
    """A walk that sees a few of them would prove nothing."""
    assert len(ALL) > 35
    assert {"POST /api/orders", "POST /api/repairs/{ticketId}/resolve", "GET /healthz"} <= set(map(named, ALL))


@pytest.mark.parametrize("route", ALL, ids=named)
def test_each_route_needs_one_permission_or_is_public(route: GuardedRoute) -> None:
    assert len(route.permissions) == (0 if is_public(route.path) else 1)


def test_nothing_is_public_that_is_not_there() -> None:
    """An address that once was public does not stay so for whatever comes to be there."""
    assert {route.path for route in ALL} >= PUBLIC


def test_each_permission_is_asked_for_and_had_by_somebody() -> None:
    asked = {permission for route in ALL for permission in route.permissions}
    had = {permission for role in Role for permission in ROLES[role]}
    assert had == set(Permission)
    assert asked == set(Permission)


@pytest.mark.parametrize("route", [one for one in ALL if one.permissions], ids=named)
async def test_answers_401_without_reading_the_body(route: GuardedRoute) -> None:
    """The identity is settled first: a body that never comes keeps nobody waiting."""

    async def never() -> Any:
        raise AssertionError("the body was read")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"api.test"), (b"content-type", b"application/json"), (b"content-length", b"10")]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": route.method,
    }
    scope |= {"path": route.path, "raw_path": b"", "query_string": b"", "headers": headers, "scheme": "http"}
    await APP(scope | {"server": ("api.test", 80), "client": None, "root_path": ""}, never, send)

    assert sent[0]["status"] == 401
    answered = dict(sent[0]["headers"])
    assert answered[b"www-authenticate"] == b'Bearer realm="ordersaga"'
    assert answered[b"connection"] == b"close"
    assert b'"code": "unauthenticated"' in sent[1]["body"]


async def test_an_address_that_leads_nowhere_says_nothing_either() -> None:
    """Who is nobody does not learn which addresses there are."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://localhost") as client:
        assert (await client.get("/api/nothing")).status_code == 401
        assert (await client.get("/healthz")).status_code == 200


def test_the_openapi_document_says_who_needs_what() -> None:
    paths = APP.openapi()["paths"]
    assert paths["/healthz"]["get"]["security"] == []
    cancel = paths["/api/orders/{orderId}/cancel"]["post"]
    assert cancel["security"] == [{"bearer": []}]
    assert {"401", "403"} <= set(cancel["responses"])


def test_the_docs_hold_the_table() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "security.md"
    assert markdown_table() in page.read_text()
