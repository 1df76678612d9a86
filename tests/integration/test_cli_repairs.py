"""`ordersaga repairs` and `ordersaga cancel`, as operators and their scripts call them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from adapters.settings import Settings
from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from tests.support.command import Command, engine_of, served
from tests.support.orders import Shop
from tests.support.repairs import Desk
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment


@pytest.fixture
async def command(app: FastAPI, settings: Settings, tmp_path: Path) -> AsyncIterator[Command]:
    """The command for the test's own API."""
    async with served(app) as url:
        yield Command(tmp_path, {"ORDERSAGA_API_URL": url} | engine_of(settings))


async def lost_parcel(shop: Shop, api: httpx.AsyncClient) -> tuple[str, str]:
    """An order and its ticket."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.FAILURE)
    ticket = await Desk(api).called(order.order_id, "parcel_failure")
    return order.order_id, ticket["ticketId"]


async def test_an_operator_finds_a_ticket_and_settles_it(
    command: Command, shop: Shop, api: httpx.AsyncClient, worker: None
) -> None:
    """List, show, resolve; the trail names who did it."""
    order_id, ticket = await lost_parcel(shop, api)
    listed = await command("repairs", "list", "--order", order_id)
    assert ticket in listed.out and "parcel_failure" in listed.out and order_id in listed.out
    shown = await command("repairs", "show", ticket)
    assert "mark_done" in shown.out and "the order is DELIVERED" in shown.out and "opened" in shown.out

    words = ("mark_done", "--by", "alice", "--evidence", "receipt 17")
    resolved = await command("repairs", "resolve", ticket, *words)

    assert (resolved.code, resolved.err) == (0, "")
    assert "Accepted" in resolved.out
    await until(lambda: shop.status(order_id), OrderStatus.DELIVERED)
    document = (await command("repairs", "show", ticket, "--json")).document
    assert [(row["action"], row["by"]) for row in document["actions"]] == [("opened", "saga"), ("mark_done", "alice")]
    assert (await command("repairs", "list", "--order", order_id, "--json")).document["tickets"] == []
    everything = await command("repairs", "list", "--order", order_id, "--status", "all", "--json")
    assert [one["status"] for one in everything.document["tickets"]] == ["resolved"]


async def test_an_operator_is_told_what_was_wrong(
    command: Command, shop: Shop, api: httpx.AsyncClient, worker: None
) -> None:
    """Exit code 1 and the API's own words: missing evidence, a ticket that is resolved, none of this number."""
    _, ticket = await lost_parcel(shop, api)
    missing = await command("repairs", "resolve", ticket, "mark_done", "--by", "alice")
    assert missing.code == 1 and "evidence: needed for mark_done" in missing.err
    await command("repairs", "resolve", ticket, "write_off", "--by", "alice")
    again = await command("repairs", "resolve", ticket, "write_off", "--by", "bob", "--json")
    assert (again.code, again.failure["code"], again.failure["detail"]) == (
        1,
        "ticket_resolved",
        "alice has settled it",
    )
    nobody = await command("repairs", "show", "999999999", "--json")
    assert (nobody.code, nobody.failure["code"]) == (1, "no_such_ticket")


async def orders_of_one_product(shop: Shop, count: int) -> tuple[str, list[str]]:
    """Confirmed orders that ship tomorrow."""
    product, order_ids = await shop.product(on_hand=50), []
    for _ in range(count):
        order = await shop.put(product)
        await shop.start(order, ship_in=timedelta(days=1))
        order_ids.append(order.order_id)
    for order_id in order_ids:
        await until(lambda order_id=order_id: shop.status(order_id), OrderStatus.CONFIRMED)  # type: ignore[misc]
    return product, order_ids


async def test_a_bulk_cancel_only_tells_until_it_is_to_be_done(command: Command, shop: Shop, worker: None) -> None:
    """The dry run counts by state and adds up the money; the real one cancels, and again joins."""
    product, order_ids = await orders_of_one_product(shop, 3)
    words = ("cancel", "--product", product, "--rate", "50", "--json")

    dry = await command(*words)
    assert (dry.code, dry.document["dryRun"]) == (0, True)
    assert (dry.document["byStatus"], dry.document["goesBack"]) == ({"CONFIRMED": 3}, {"USD": "60.00"})
    assert {await shop.status(order_id) for order_id in order_ids} == {OrderStatus.CONFIRMED}

    done = await command(*words, "--execute", "--reason", "recalled", "--by", "alice")
    assert done.code == 0, done.err
    assert done.document["outcomes"]["accepted"] == 3
    for order_id in order_ids:
        await until(lambda order_id=order_id: shop.status(order_id), OrderStatus.CANCELED)  # type: ignore[misc]
        assert (await shop.books(order_id)).held == 0
    assert any("recalled" in row.what and row.by == "alice" for row in await shop.timeline(order_ids[0]))

    again = await command(*words, "--yes")
    assert (again.code, again.document["outcomes"]["joined"], again.document["outcomes"]["accepted"]) == (0, 3, 0)


async def test_a_bulk_cancel_tells_which_orders_the_carrier_refused(
    command: Command, shop: Shop, worker: None
) -> None:
    """The parcel was scanned: exit code 1, the order and its rule; the others are canceled."""
    product, (waiting,) = await orders_of_one_product(shop, 1)
    gone = await shop.put(product)
    await shop.start(gone)
    await until(lambda: shop.status(gone.order_id), OrderStatus.READY_TO_SHIP)
    await shop.parcel(gone.order_id, "in_transit")

    told = await command("cancel", "--product", product, "--execute", "--rate", "50")

    assert told.code == 1
    assert "1 accepted" in told.out and "1 refused" in told.out
    assert gone.order_id in told.out and "already_shipped" in told.out
    await until(lambda: shop.status(waiting), OrderStatus.CANCELED)


async def test_a_bulk_cancel_takes_a_visibility_query(command: Command, shop: Shop, worker: None) -> None:
    """What Temporal lists is looked up in the books; a query that is none is told as such."""
    _, (order_id,) = await orders_of_one_product(shop, 1)
    query = f"OrderStatus = 'CONFIRMED' AND WorkflowId = 'order-{order_id}'"

    async def listed() -> int:
        return (await shop.client.count_workflows(query)).count

    await until(listed, 1)
    assert (await command("cancel", "--query", query, "--json")).document["orders"] == 1
    ran = await command("cancel", "--query", query, "--yes", "--json")
    assert (ran.code, ran.document["outcomes"]["accepted"]) == (0, 1)
    await until(lambda: shop.status(order_id), OrderStatus.CANCELED)
    wrong = await command("cancel", "--query", "Nonsense ~ 1", "--json")
    assert (wrong.code, wrong.failure["code"]) == (1, "query_failed")


@pytest.mark.parametrize("words", [(), ("--query", "x", "--product", "001"), ("--product", "1", "--rate", "0")])
async def test_a_bulk_cancel_without_a_clear_selection_is_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    """Exit code 2, before anything is asked."""
    ran = await Command(tmp_path, {"ORDERSAGA_API_URL": "http://127.0.0.1:1"})("cancel", *words, "--json")
    assert (ran.code, ran.failure["code"]) == (2, "usage")
