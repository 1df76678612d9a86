"""`ordersaga import-orders` on small files: what it does in the shop."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from temporalio.client import Client

from adapters.temporal.client import workflow_id
from benchmarks.order_books import faults
from commandline.failures import Failure
from devstack.stack.stack import Stack
from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from services.catalogue.tables import Product
from services.customers.customers import read_customer
from services.customers.tables import Customer
from services.inventory.tables import Stock
from tests.support.command import Command, served
from tests.support.order_files import SMALL_SHOP, Files, imported, run
from tests.support.orders import Shop
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
async def url(app: FastAPI) -> AsyncIterator[str]:
    async with served(app) as address:
        yield address


async def test_replays_a_file_and_runs_again_to_the_same_report(
    url: str, shop: Shop, stack: Stack, files: Files, worker: None
) -> None:
    """Orders, a cancel and reasons as planned, every book equal; a second run writes the same bytes, and no order."""
    file = files.write(*SMALL_SHOP)
    command = Command(files.folder, {"ORDERSAGA_API_URL": url})
    words = ("import-orders", file, "--report", file.with_suffix(".report.json"))
    first = await command(*words)

    assert first.code == 0, first.err
    assert "invoices: 4 of 4" in first.err and "balanced" in first.out
    report = json.loads(file.with_suffix(".report.json").read_text())
    assert [line["outcome"] for line in report["lines"]] == [
        "ordered", "ordered", "ordered", "skipped", "ordered", "ordered", "canceled", "skipped", "skipped",
    ]  # fmt: skip
    assert [one["code"] for one in report["skipped"]] == ["no_price", "not_goods", "partial_return"]
    assert [(order["invoice"], order["total"], order["canceled"]) for order in report["placed"]] == [
        ("1", "22.50", False), ("2", "12.75", True), ("3", "4.25", False),
    ]  # fmt: skip
    assert await faults(
        report, stripe=stack.urls.stripe, carrier=stack.urls.carrier, database_url=stack.urls.database_url
    ) == []  # fmt: skip
    written = file.with_suffix(".report.json").read_bytes()
    second = await command(*words, "--json")
    assert (second.code, second.err, second.document["balanced"]) == (0, "", True)
    assert file.with_suffix(".report.json").read_bytes() == written
    assert len(await imported(shop, file)) == 3


async def test_makes_a_product_of_each_price_and_customers_of_numbers(
    url: str, shop: Shop, files: Files, worker: None
) -> None:
    """One per stock code and price, in GBP; somebody unknown is the customer `guest`."""
    await run(url, files.write(*SMALL_SHOP))
    async with shop.sessions() as session:
        lamps = [await session.get_one(Product, files.product("LAMP", price)) for price in ("2.55", "2.10")]
        stock = await session.get_one(Stock, files.product("CHAIR", "4.25"))
        connection = await session.connection()
        guest, seven = [await read_customer(connection, customer_id) for customer_id in ("guest", "7")]
    assert [(lamp.price_minor, lamp.currency, lamp.name) for lamp in lamps] == [
        (255, "GBP", "A Lamp"), (210, "GBP", "A Lamp"),
    ]  # fmt: skip
    assert (stock.on_hand, stock.reserved) == (4, 1)
    assert (guest.email, seven.email) == ("guest@example.com", "customer-7@example.com")


async def test_holds_an_order_that_the_file_cancels_until_its_cancel(
    url: str, shop: Shop, files: Files, worker: None
) -> None:
    """It waits in CONFIRMED, so that no label is bought and no money taken; the others are not held."""
    report = await run(url, files.write(*SMALL_SHOP))
    order_ids = {order["invoice"]: order["orderId"] for order in report.document["placed"]}
    story = [entry.to_status for entry in await shop.timeline(order_ids["2"])]
    assert OrderStatus.CONFIRMED in story and OrderStatus.READY_TO_SHIP not in story
    held, free = await shop.order(order_ids["2"]), await shop.order(order_ids["1"])
    assert (held.payment_status, held.ship_not_before is not None, free.ship_not_before) == ("Voided", True, None)
    assert any("invoice C4" in entry.what for entry in await shop.timeline(order_ids["2"]))


async def test_says_why_a_cancel_came_too_late(
    url: str, shop: Shop, files: Files, worker: None, temporal_client: Client
) -> None:
    """The parcel was scanned before: the order stays, its money too, and the cancellation's line is skipped."""
    file = files.write(*SMALL_SHOP)
    first = await run(url, file, limit=2)
    order_id = first.document["placed"][1]["orderId"]
    await shop.parcel(order_id, "in_transit")
    handle = temporal_client.get_workflow_handle(workflow_id(order_id))
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.IN_TRANSIT)
    await until(lambda: shop.status(order_id), OrderStatus.SHIPPED)
    second = await run(url, file)
    line = second.document["lines"][6]
    assert (line["outcome"], line["code"]) == ("skipped", "cancel_refused")
    assert "already_shipped" in line["reason"]
    assert (second.balanced, second.document["placed"][1]["canceled"]) == (True, False)


async def test_fills_up_stock_that_is_there_and_keeps_names(url: str, shop: Shop, files: Files, worker: None) -> None:
    """A product under another description and a customer under another name are taken as they are."""
    product = files.product("LAMP", "2.55")
    customer = f"c-{secrets.token_hex(4)}"
    async with shop.sessions() as session, session.begin():
        session.add(Product(product_id=product, name="Our lamp", price_minor=255, currency="GBP"))
        session.add(Customer(customer_id=customer, name="Ann", email="ann@example.com"))
        await session.flush()
        session.add(Stock(product_id=product, on_hand=2))
    report = await run(url, files.write(("1", "LAMP", 5, "2.55", customer)))
    async with shop.sessions() as session:
        stock = await session.get_one(Stock, product)
        names = (
            (await session.get_one(Product, product)).name,
            (await session.get_one(Customer, customer)).name,
        )
    assert ((stock.on_hand, stock.reserved), names, report.balanced) == ((5, 5), ("Our lamp", "Ann"), True)


async def test_stops_when_the_shop_sells_a_product_in_another_currency(url: str, shop: Shop, files: Files) -> None:
    """Nothing is placed: the file's pounds would become the shop's dollars."""
    product = files.product("LAMP", "2.55")
    async with shop.sessions() as session, session.begin():
        session.add(Product(product_id=product, name="Our lamp", price_minor=255, currency="USD"))
        await session.flush()
        session.add(Stock(product_id=product, on_hand=2))
    with pytest.raises(Failure) as caught:
        await run(url, files.write(("1", "LAMP", 5, "2.55", "7")))
    assert (caught.value.code, product in caught.value.detail) == ("product_taken", True)


async def test_refuses_a_bad_file_before_anything_is_placed(files: Files) -> None:
    """Exit code 2, with line and column; the API is not even asked."""
    file = files.write(*SMALL_SHOP)
    file.write_text(file.read_text().replace("UnitPrice", "Price"))
    ran = await Command(files.folder, {"ORDERSAGA_API_URL": "http://127.0.0.1:1"})("import-orders", file, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert (ran.failure["code"], ran.failure["line"], ran.failure["column"]) == ("bad_file", 1, "UnitPrice")
    assert sorted(path.name for path in files.folder.iterdir()) == ["orders.csv"]
