"""`ordersaga carts`, as people and as programs call it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.support.command import Command, served
from tests.support.orders import Shop


@pytest.fixture
async def command(app: FastAPI, tmp_path: Path) -> AsyncIterator[Command]:
    """The command for the test's own API."""
    async with served(app) as url:
        yield Command(tmp_path, {"ORDERSAGA_API_URL": url})


async def test_shows_carts_and_lists_them(command: Command, api: httpx.AsyncClient, shop: Shop) -> None:
    """Of a customer, by id, and all open ones of a customer; with what has changed since it was put in."""
    customer, lamp = await shop.customer(), await shop.product(price="24.50")
    added = await api.post(f"/cart/{customer}/add", json={"productId": lamp, "quantity": 2})
    cart_id = added.json()["cartId"]
    await api.patch(f"/api/products/{lamp}", json={"price": "27.00"})

    shown = await command("carts", "of", customer)
    assert (shown.code, shown.err) == (0, "")
    assert all(said in shown.out for said in (cart_id, "54.00 USD", "27.00 (was 24.50)", "in_stock"))
    by_id = await command("carts", "show", cart_id, "--json")
    assert (by_id.code, by_id.document["total"]) == (0, "54.00")
    listed = await command("carts", "list", "--customer", customer)
    assert all(said in listed.out for said in (cart_id, customer))
    ordered = await command("carts", "list", "--customer", customer, "--state", "ordered", "--json")
    assert ordered.document == {"carts": [], "nextCursor": None}

    missing = await command("carts", "show", "0" * 32, "--json")
    assert (missing.code, missing.failure["code"]) == (1, "no_such_cart")
