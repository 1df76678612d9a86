"""Commands in a shop whose tax depends on an address: they take one, and say so where it is missing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.support.command import Command, served
from tests.support.order_files import SMALL_SHOP, Files
from tests.support.orders import Shop
from tests.support.scenarios import ILLINOIS, rates_of_the_scenarios

TO_ILLINOIS = [word for name, value in ILLINOIS.items() for word in ("--ship-to", f"{name}={value}")]
TO_LONDON = [
    word
    for part in ("street1=1 High Street", "city=London", "zip=N1 1AA", "country=GB")
    for word in ("--ship-to", part)
]


@pytest.fixture
async def command(app: FastAPI, tmp_path: Path) -> AsyncIterator[Command]:
    async with served(app) as url:
        yield Command(tmp_path, {"ORDERSAGA_API_URL": url})


async def test_places_an_order_with_an_address(
    command: Command, api: httpx.AsyncClient, shop: Shop, worker: None
) -> None:
    """Two lamps at 24.50 to Illinois: 49.00 + 5.95 + 4.04 + 0.49; without the address the field is named."""
    words = (
        "orders",
        "place",
        "--customer",
        await shop.customer(),
        "--item",
        f"{await shop.product(price='24.50')}=2",
    )
    async with rates_of_the_scenarios(api, shop):
        refused = await command(*words, "--json")
        placed = await command(*words, *TO_ILLINOIS, "--shipping-option", "ground", "--json")
        nowhere = await command(*words, *TO_ILLINOIS, "--shipping-option", "by-air", "--json")
    assert (refused.code, refused.failure["errors"][0]["field"]) == (1, "shippingAddress")
    assert "--ship-to" in refused.failure["mend"]
    assert (placed.code, placed.document["totalAmount"]) == (0, "59.48"), placed.err
    assert (nowhere.code, nowhere.failure["errors"][0]["field"]) == (1, "shippingOption")


async def test_imports_orders_to_an_address(
    command: Command, api: httpx.AsyncClient, shop: Shop, tmp_path: Path, worker: None
) -> None:
    """Tax that the prices contain leaves each total as the file has it; without an address nothing is placed."""
    files = Files(tmp_path)
    file, report = files.write(*SMALL_SHOP), tmp_path / "report.json"
    words = ("import-orders", file, "--report", report, "--json")
    tax = {"country": "GB", "rate": "20", "inclusive": True, "validFrom": "2026-01-01"}
    async with rates_of_the_scenarios(api, shop, {"taxRates": [tax]}):
        refused = await command(*words)
        assert (refused.code, refused.failure["code"]) == (2, "address_needed")
        assert not report.exists()
        done = await command(*words, *TO_LONDON)
    assert (done.code, done.document["balanced"]) == (0, True), done.err
    placed = json.loads(report.read_text())["placed"]
    assert [(one["invoice"], one["total"]) for one in placed] == [("1", "22.50"), ("2", "12.75"), ("3", "4.25")]
    row = await shop.order(placed[0]["orderId"])
    assert row.shipping_address is None and row.address_sealed is not None
    view = (await api.get(f"/api/orders/{placed[0]['orderId']}")).json()
    assert view["taxes"] == [{"rate": "20", "amount": "3.75", "inclusive": True}]
