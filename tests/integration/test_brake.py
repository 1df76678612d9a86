"""The brake: when too many orders would end by our own fault, none is turned back before a person says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from commandline.doctor.checks import check_brake
from commandline.places import Place
from domain.brake import EndsByOurFault
from domain.commands import FulfillOrder
from domain.errors import ParametersDrifted, PaymentDeclined
from domain.order_states import OrderStatus
from services.brake import brake
from services.brake.brake import BrakeRule
from services.brake.tables import BrakePull
from tests.support.command import Command, served
from tests.support.fakes import StepFaults
from tests.support.identities import token
from tests.support.orders import Books, Handle, Shop
from tests.support.repairs import Desk
from tests.support.scrape import Scrape
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

DRIFTED = ParametersDrifted("an idempotency key was used with other parameters")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    small = {"brake_orders": 3, "brake_share": 0.0, "fault_retry": timedelta(seconds=0.2)}
    return settings.model_copy(update=small)


@pytest.fixture(autouse=True)
async def fresh(sessions: Sessions) -> AsyncIterator[None]:
    """What ended before counts no more, and nothing is held after the test."""
    async with sessions() as session, session.begin():
        session.add(BrakePull(why="a test begins", released_at=now(), released_by="the test"))
    yield
    async with sessions() as session, session.begin():
        await brake.release(session, "the test", "over")


async def fails(shop: Shop, faults: StepFaults) -> tuple[FulfillOrder, Handle]:
    """An order whose authorization our mistake stops."""
    faults.fail("authorize_payment", DRIFTED)
    order = await shop.put(await shop.product())
    return order, await shop.start(order)


async def turned_back(shop: Shop, faults: StepFaults, count: int) -> None:
    for _ in range(count):
        order, handle = await fails(shop, faults)
        assert await handle.result() is OrderStatus.REJECTED
        assert ((await shop.order(order.order_id)).refusal or {})["code"] == "parameters_drifted"


async def held(api: httpx.AsyncClient) -> int:
    """How many orders the brake holds; -1 while it is off."""
    state = (await api.get("/api/brake")).json()
    return int(state["held"]) if state["on"] else -1


async def test_holds_orders_until_it_is_released_and_then_they_try_again(
    shop: Shop, faults: StepFaults, api: httpx.AsyncClient
) -> None:
    """The third would be too many: it is held with one ticket for all, and goes on once the fault is mended."""
    await turned_back(shop, faults, 2)
    third, _ = await fails(shop, faults)
    await until(lambda: held(api), 1)
    fourth, _ = await fails(shop, faults)
    await until(lambda: held(api), 2)
    tickets = (await api.get("/api/repairs", params={"kind": "brake"})).json()["tickets"]
    assert [(one["step"], "ordersaga brake release" in one["detail"]) for one in tickets] == [("turn_back", True)]
    assert Scrape((await api.get("/metrics")).text).value("ordersaga_brake_on") == 1.0

    released = await api.post("/api/brake/release", json={"by": "alice", "note": "the old deploy is back"})
    assert (released.status_code, released.json()["on"]) == (200, False)
    for order in (third, fourth):
        await until(lambda order=order: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)  # type: ignore[misc]
        assert await shop.authorizations(order.order_id) == 1
    assert (await api.get("/api/repairs", params={"kind": "brake"})).json()["tickets"] == []
    again = await api.post("/api/brake/release", json={"by": "alice", "note": "once more"})
    assert (again.status_code, again.json()["code"]) == (409, "brake_not_on")


async def test_its_ticket_releases_it_as_well(shop: Shop, faults: StepFaults, api: httpx.AsyncClient) -> None:
    """Whoever settles the ticket at the repair desk has said what the command asks for."""
    await turned_back(shop, faults, 2)
    order, _ = await fails(shop, faults)
    await until(lambda: held(api), 1)
    (ticket,) = (await api.get("/api/repairs", params={"kind": "brake"})).json()["tickets"]
    await Desk(api).settle(ticket, "mark_done", evidence="deploy 4711")
    state = (await api.get("/api/brake")).json()
    assert (state["on"], state["releasedBy"], state["note"]) == (False, "alice", "deploy 4711")
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)


async def test_a_customer_cancels_an_order_that_is_held(
    shop: Shop, faults: StepFaults, api: httpx.AsyncClient
) -> None:
    """Holding is for our faults, not for what a customer wants."""
    await turned_back(shop, faults, 2)
    order, handle = await fails(shop, faults)
    await until(lambda: held(api), 1)
    await handle.signal(OrderFulfillment.cancel_order)
    assert await handle.result() is OrderStatus.CANCELED
    assert await shop.books(order.order_id) == Books(status="CANCELED", payment_status="Pending", on_hand=10)
    assert await held(api) == 0


async def test_a_refusal_of_the_customers_bank_is_never_held(
    shop: Shop, faults: StepFaults, api: httpx.AsyncClient
) -> None:
    """A decline is an answer, and so is an empty shelf, also while the brake is on."""
    await turned_back(shop, faults, 2)
    await fails(shop, faults)
    await until(lambda: held(api), 1)
    declined = await shop.put(await shop.product(), payment_method="pm_card_chargeDeclined")
    assert await (await shop.start(declined)).result() is OrderStatus.REJECTED
    faults.fail("authorize_payment", PaymentDeclined("insufficient_funds", "no money"))
    empty = await shop.put(await shop.product(), quantity=11)
    assert await (await shop.start(empty)).result() is OrderStatus.REJECTED
    assert await held(api) == 1


async def test_an_order_that_fails_again_after_the_release_is_counted_anew(
    shop: Shop, faults: StepFaults, api: httpx.AsyncClient
) -> None:
    """Released too early: it tries again, and one alone is not too many any more."""
    await turned_back(shop, faults, 2)
    _, handle = await fails(shop, faults)
    await until(lambda: held(api), 1)
    faults.fail("authorize_payment", DRIFTED)
    await api.post("/api/brake/release", json={"by": "alice", "note": "I think so"})
    assert await handle.result() is OrderStatus.REJECTED
    assert await held(api) == -1


async def test_a_repeated_question_counts_an_order_once(shop: Shop, sessions: Sessions) -> None:
    """The engine may ask again when an answer was lost, and orders may ask at the same time."""
    rule = BrakeRule(2, 0.0, timedelta(minutes=10))
    first, second = [await shop.put(await shop.product()) for _ in range(2)]

    async def asks(order: FulfillOrder) -> tuple[bool, bool]:
        end = EndsByOurFault(order_id=order.order_id, turn=1, step="authorize_payment", code="our_fault")
        async with sessions() as session, session.begin():
            asked = await brake.ask(session, rule, end)
            return asked.on, asked.held

    assert [await asks(first) for _ in range(3)] == [(False, False)] * 3
    assert [await asks(second), await asks(first)] == [(True, True), (True, True)]
    async with sessions() as session, session.begin():
        assert await brake.release(session, "alice", "mended") is not None
    assert [await asks(second), await asks(first)] == [(False, True), (False, True)]


async def test_few_among_many_do_not_pull_it(shop: Shop, sessions: Sessions) -> None:
    """Two of a shop's orders of ten minutes, and that is not more than every one of them."""
    rule = BrakeRule(1, 1.0, timedelta(minutes=10))
    orders = [await shop.put(await shop.product()) for _ in range(2)]
    for order in orders:
        end = EndsByOurFault(order_id=order.order_id, turn=1, step="authorize_payment", code="our_fault")
        async with sessions() as session, session.begin():
            assert not (await brake.ask(session, rule, end)).on


async def test_the_command_shows_and_releases_it(
    app: FastAPI, tmp_path: Path, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For people and as JSON; a release says by whom and why, and there has to be something to release."""
    async with sessions() as session, session.begin():
        session.add(BrakePull(why="12 orders would end by our own fault"))
    monkeypatch.setenv("ORDERSAGA_TOKEN", token())
    async with served(app) as url:
        command = Command(tmp_path, {"ORDERSAGA_API_URL": url})
        shown = await command("brake")
        assert (shown.code, "12 orders would end" in shown.out) == (0, True)
        assert (await command("brake", "--json")).document["on"] is True
        (check,) = await check_brake(Place(url, "the test"))
        assert (check.state, "12 orders would end" in check.found, "brake release" in check.mend) == (
            "fail",
            True,
            True,
        )
        words = ("brake", "release", "--by", "alice", "--note", "the key is right again")
        released = await command(*words, "--json")
        assert (released.code, released.document["on"], released.document["releasedBy"]) == (0, False, "alice")
        again = await command(*words)
        assert (again.code, "brake_not_on" in again.err) == (1, True)
        assert [check.state for check in await check_brake(Place(url, "the test"))] == ["ok"]
