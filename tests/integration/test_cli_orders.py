"""`ordersaga orders` and `inventory`, as people and as programs call them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI

from adapters.clock import now
from adapters.settings import Settings
from domain.order_states import OrderStatus
from tests.support.command import Command, engine_of, served
from tests.support.orders import Shop
from tests.support.waiting import until


@pytest.fixture
async def command(app: FastAPI, settings: Settings, tmp_path: Path) -> AsyncIterator[Command]:
    """The command for the test's own API."""
    async with served(app) as url:
        yield Command(tmp_path, {"ORDERSAGA_API_URL": url} | engine_of(settings))


async def place(command: Command, shop: Shop, *more: str) -> str:
    """An order of two lamps at 10.00; its id."""
    product, customer = await shop.product(), await shop.customer()
    ran = await command("orders", "place", "--customer", customer, "--item", f"{product}=2", *more, "--json")
    assert ran.code == 0, ran.err
    order_id: str = ran.document["orderId"]
    return order_id


def later() -> str:
    return (now() + timedelta(days=1)).isoformat()


async def test_places_an_order_and_shows_its_story(command: Command, shop: Shop, worker: None) -> None:
    """The whole answer of the API as JSON; for people its state, lines and timeline."""
    lamp, chair, customer = await shop.product(), await shop.product(price="2.50"), await shop.customer()
    items = ("--item", f"{lamp}=2", "--item", chair)
    placed = await command("orders", "place", "--customer", customer, *items, "--json")

    assert (placed.code, placed.err) == (0, "")
    order = placed.document
    assert [(item["productId"], item["quantity"]) for item in order["items"]] == [(lamp, 2), (chair, 1)]
    assert (order["totalAmount"], order["paymentStatus"]) == ("22.50", "Authorized")
    shown = await command("orders", "show", order["orderId"])
    assert shown.code == 0
    for said in (order["orderId"], "22.50 USD", lamp, "stock reserved", "payment authorized"):
        assert said in shown.out


async def test_places_an_order_once_for_one_key(command: Command, shop: Shop, worker: None) -> None:
    """The second call gives the same order; another body under that key is refused, with exit code 1."""
    product, customer = await shop.product(), await shop.customer()
    words = ("orders", "place", "--customer", customer, "--idempotency-key", "k1", "--json", "--item")
    first, second = await command(*words, f"{product}=2"), await command(*words, f"{product}=2")
    assert first.document["orderId"] == second.document["orderId"]
    other = await command(*words, f"{product}=3")
    assert (other.code, other.out, other.failure["code"]) == (1, "", "idempotency_key_reused")


async def test_tells_a_decline_with_the_order_it_belongs_to(command: Command, shop: Shop, worker: None) -> None:
    """Exit code 1, nothing on standard output, and for people the detail and the order's state."""
    product, customer = await shop.product(), await shop.customer()
    words = (
        "orders",
        "place",
        "--customer",
        customer,
        "--item",
        product,
        "--payment-method",
        "pm_card_chargeDeclined",
    )
    told, as_json = await asyncio.gather(command(*words), command(*words, "--json"))
    assert (told.code, told.out) == (1, "")
    assert "the card was declined" in told.err and "is REJECTED" in told.err
    assert (as_json.code, as_json.out, as_json.failure["status"]) == (1, "", 402)
    assert as_json.failure["orderStatus"] == "REJECTED"


async def test_prints_each_bad_field(command: Command, shop: Shop) -> None:
    """As the API names them, on standard error."""
    words = ("orders", "place", "--customer", "nobody", "--item", "nothing=2")
    told, as_json = await asyncio.gather(command(*words), command(*words, "--json"))
    assert (told.code, as_json.code) == (1, 1)
    assert "items[0].productId: there is no product of this id" in told.err
    fields = {error["field"] for error in as_json.failure["errors"]}
    assert fields == {"customerId", "items[0].productId"}


async def test_lists_orders_by_every_filter_of_the_api(command: Command, shop: Shop, worker: None) -> None:
    """Newest first, page by page; a filter that fits nothing gives an empty list."""
    customer, product = await shop.customer(), await shop.product()
    for _ in range(2):
        await command("orders", "place", "--customer", customer, "--item", product, "--ship-not-before", later())
    mine = ("orders", "list", "--customer", customer, "--json")

    first = (await command(*mine, "--limit", "1")).document
    second = (await command(*mine, "--limit", "1", "--cursor", first["nextCursor"])).document
    assert first["orders"][0]["createdAt"] > second["orders"][0]["createdAt"]
    fits = (
        "--status",
        "confirmed",
        "--product",
        product,
        "--from",
        "2020-01-01",
        "--to",
        "2999-01-01T00:00:00+02:00",
    )
    fitting, other, told = await asyncio.gather(
        command(*mine, *fits), command(*mine, "--status", "DELIVERED"), command(*mine[:-1], *fits)
    )
    assert len(fitting.document["orders"]) == 2
    assert other.document["orders"] == []
    assert told.out.count(first["orders"][0]["orderId"]) == 1 and "CONFIRMED" in told.out


async def test_cancels_an_order_with_reason_and_name(command: Command, shop: Shop, worker: None) -> None:
    """The decision at once; the timeline keeps who and why; once more is the same answer, after the end too."""
    order_id = await place(command, shop, "--ship-not-before", later())
    ran = await command("orders", "cancel", order_id, "--reason", "ordered twice", "--by", "ann", "--json")
    assert (ran.code, ran.document["accepted"], ran.document["code"]) == (0, True, "cancel_accepted")
    await until(lambda: shop.status(order_id), OrderStatus.CANCELED)
    assert any("ordered twice" in row.what and row.by == "ann" for row in await shop.timeline(order_id))
    again = await command("orders", "cancel", order_id)
    assert again.code == 0 and "already_canceled" in again.out


async def test_tells_the_rule_that_refused_a_cancel(command: Command, shop: Shop, worker: None) -> None:
    """An order that has ended cannot be canceled: exit code 1 and the rule's code."""
    product, customer = await shop.product(on_hand=1), await shop.customer()
    placed = await command("orders", "place", "--customer", customer, "--item", f"{product}=2", "--json")
    ran = await command("orders", "cancel", placed.failure["orderId"], "--json")
    assert (ran.code, ran.failure["code"], ran.failure["orderStatus"]) == (1, "already_rejected", "REJECTED")


async def test_watches_an_order_until_it_is_over(command: Command, shop: Shop, worker: None) -> None:
    """Each row as it comes, through a cancel; as JSON all of them in one document."""
    order_id = await place(command, shop, "--ship-not-before", later())
    watching = asyncio.gather(command("orders", "watch", order_id), command("orders", "watch", order_id, "--json"))
    await asyncio.sleep(1)
    await command("orders", "cancel", order_id)
    told, as_json = await watching
    assert (told.code, as_json.code) == (0, 0)
    said = [line.split()[2] for line in told.out.splitlines()]
    assert (said[:3], said[-1]) == (["PLACED", "RESERVED", "CONFIRMED"], "CANCELED")
    events = as_json.document["events"]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert (as_json.document["status"], len(events)) == ("CANCELED", len(said))


async def test_gives_a_watch_up_after_its_time(command: Command, shop: Shop, worker: None) -> None:
    """With what the order is then; an unknown order is told at once."""
    order_id = await place(command, shop, "--ship-not-before", later())
    watched, unknown = await asyncio.gather(
        command("orders", "watch", order_id, "--timeout", "0.1", "--json"), command("orders", "watch", "0" * 32)
    )
    assert (watched.code, watched.failure["code"], watched.failure["orderStatus"]) == (
        1,
        "still_running",
        "CONFIRMED",
    )
    assert (unknown.code, "no_such_order" in unknown.err) == (1, True)


async def test_ships_a_waiting_order_at_once(command: Command, shop: Shop, worker: None) -> None:
    """For an order that waits no more, and for one that is none, it is refused; the timeline tells who it was."""
    order_id = await place(command, shop, "--ship-not-before", later())
    ran = await command("orders", "ship-now", order_id, "--json")
    assert (ran.code, ran.document["status"]) == (0, "CONFIRMED")
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    assert [line.by for line in await shop.timeline(order_id) if line.what == "to be shipped at once"] == [
        "operations"
    ]
    late, unknown = await asyncio.gather(
        command("orders", "ship-now", order_id, "--json"),
        command("orders", "ship-now", "0" * 32, "--json"),
    )
    assert (late.code, late.failure["code"], late.failure["orderStatus"]) == (1, "nothing_to_hurry", "READY_TO_SHIP")
    assert (unknown.code, unknown.failure["code"]) == (1, "no_such_order")


async def test_shows_and_changes_stock(command: Command, shop: Shop) -> None:
    """`inventory PRODUCT` is short for `show`; a difference may be below zero."""
    product = await shop.product(on_hand=10)
    assert (await command("inventory", product, "--json")).document["available"] == 10
    assert (await command("inventory", "change", product, "-4", "--json")).document["onHand"] == 6
    assert (await command("inventory", "set", product, "25", "--json")).document["onHand"] == 25
    told, all_of_it, none = await asyncio.gather(
        command("inventory", "show", product),
        command("inventory", "--json", "--limit", "5"),
        command("inventory", "no-such"),
    )
    assert told.out.split()[-4:] == [product, "25", "0", "25"]
    assert {"name", "price", "reserved"} <= set(all_of_it.document["products"][0])
    assert (none.code, "no_such_product" in none.err) == (1, True)


async def test_never_takes_stock_that_orders_hold(command: Command, shop: Shop, worker: None) -> None:
    """409 is exit code 1, with the API's words."""
    product, customer = await shop.product(on_hand=10), await shop.customer()
    await command("orders", "place", "--customer", customer, "--item", f"{product}=3", "--ship-not-before", later())
    ran = await command("inventory", "set", product, "2")
    assert (ran.code, "orders hold 3 pieces" in ran.err) == (1, True)
