"""An order that was stored while nothing could start it: swept, and what its customer hears who comes back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.orders import checkout
from api.orders.schemas import OrderWanted
from domain.order_states import OrderStatus
from services.orders.placement import place
from services.orders.tables import Order
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Shop
from tests.support.reconciling import reconcile, recovery_of
from tests.support.waiting import until

KEY = {"Idempotency-Key": "once"}


@pytest.fixture
async def body(
    new_product: Callable[..., Awaitable[str]], new_customer: Callable[[], Awaitable[str]]
) -> dict[str, Any]:
    return {
        "customerId": await new_customer(),
        "items": [{"productId": await new_product(), "quantity": 2}],
        "paymentMethod": "pm_card_visa",
    }


async def stored(app: FastAPI, body: dict[str, Any]) -> Order:
    """What a checkout leaves behind whose process died before it reached Temporal."""
    wanted, key = OrderWanted.model_validate(body), KEY["Idempotency-Key"]
    services = app.state.services
    new = wanted.to_place(secrets.token_hex(16), key, services.settings)
    return await place(services.sessions, new)


def assert_never_started(answer: httpx.Response) -> None:
    assert answer.status_code == 409, answer.text
    assert (answer.json()["type"], answer.json()["orderStatus"]) == ("/problems/never-started", "REJECTED")


async def test_a_retry_before_the_sweep_carries_the_order_on(
    api: httpx.AsyncClient, app: FastAPI, body: dict[str, Any], shop: Shop, worker: None
) -> None:
    """The client's second try starts the workflow: from then on the order has an owner, and is left alone."""
    row = await stored(app, body)
    answer = await api.post("/api/orders", json=body, headers=KEY)
    assert (answer.status_code, answer.json()["orderId"]) == (201, row.order_id)

    assert (await reconcile(shop, row.order_id)).recovered == 0
    await until(lambda: shop.status(row.order_id), OrderStatus.READY_TO_SHIP)


async def test_a_retry_during_the_sweep_gets_the_sweeps_answer(
    api: httpx.AsyncClient, app: FastAPI, body: dict[str, Any], shop: Shop, faults: StepFaults
) -> None:
    """It joins the workflow that runs under the order's id: the recovery, which answers when the order is over."""
    row = await stored(app, body)
    faults.hold("close_order")
    await reconcile(shop, row.order_id)
    await faults.arrived("close_order")
    retry = asyncio.create_task(api.post("/api/orders", json=body, headers=KEY))
    await until(lambda: _updates(shop, row.order_id), 1)
    faults.release("close_order")

    assert_never_started(await retry)
    assert await shop.books(row.order_id) == Books(status="REJECTED", payment_status="Pending", on_hand=10)


async def _updates(shop: Shop, order_id: str) -> int:
    """The updates that the order's workflow has accepted."""
    history = await recovery_of(shop, order_id).fetch_history()
    return sum(event.HasField("workflow_execution_update_accepted_event_attributes") for event in history.events)


async def test_a_retry_after_the_sweep_starts_nothing(
    api: httpx.AsyncClient, app: FastAPI, body: dict[str, Any], shop: Shop, worker: None
) -> None:
    """Also one that has read the row before the sweep and comes to Temporal after it."""
    row = await stored(app, body)
    await reconcile(shop, row.order_id)
    await recovery_of(shop, row.order_id).result()

    assert not await checkout._await_answer(app.state.services, row)  # `row` still says PLACED
    assert_never_started(await api.post("/api/orders", json=body, headers=KEY))

    assert [entry.to_status for entry in await shop.timeline(row.order_id)] == ["PLACED", "REJECTED"]
    described = await recovery_of(shop, row.order_id).describe()
    assert described.workflow_type == "OrderRecovery"


async def test_a_cancel_that_comes_during_the_sweep_is_answered(
    api: httpx.AsyncClient, app: FastAPI, body: dict[str, Any], shop: Shop, faults: StepFaults
) -> None:
    """Before anything was decided it is granted as ever, and the order ends CANCELED."""
    row = await stored(app, body)
    faults.hold("look_at_order")
    await reconcile(shop, row.order_id)
    await faults.arrived("look_at_order")
    wish = asyncio.create_task(api.post(f"/api/orders/{row.order_id}/cancel", json={"reason": "too slow"}))
    await until(lambda: _updates(shop, row.order_id), 1)
    faults.release("look_at_order")

    answer = await wish
    assert (answer.status_code, answer.json()["code"]) == (202, "cancel_accepted"), answer.text
    assert await recovery_of(shop, row.order_id).result() is OrderStatus.CANCELED
