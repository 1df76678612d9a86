"""Cancels over HTTP: the workflow's decision where there is one, else the row's, by the same table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from adapters.temporal.client import workflow_id
from api.app import create_app
from domain.cancellation import TABLE, Decision
from domain.order_states import OrderStatus
from services.orders.book import OrderBook
from tests.support.fakes import StepFaults
from tests.support.identities import Anybody
from tests.support.orders import Shop
from tests.support.waiting import until
from tests.support.wishes import wishes_heard
from worker import Activities, build_worker

NewProduct = Callable[..., Awaitable[str]]
NewCustomer = Callable[[], Awaitable[str]]

PATH_TO = {
    OrderStatus.CANCELING: ["CANCELING"],
    OrderStatus.CANCELED: ["CANCELING", "CANCELED"],
    OrderStatus.REJECTED: ["REJECTED"],
    OrderStatus.READY_TO_SHIP: ["RESERVED", "CONFIRMED", "READY_TO_SHIP"],
    OrderStatus.DELIVERED: ["RESERVED", "CONFIRMED", "READY_TO_SHIP", "SHIPPED", "DELIVERED"],
}


@pytest.fixture
async def waiting_order(
    api: httpx.AsyncClient, new_product: NewProduct, new_customer: NewCustomer, worker: None
) -> str:
    """The id of a confirmed order that ships tomorrow."""
    body: dict[str, Any] = {
        "customerId": await new_customer(),
        "items": [{"productId": await new_product(), "quantity": 2}],
        "paymentMethod": "pm_card_visa",
        "shipNotBefore": (now() + timedelta(days=1)).isoformat(),
    }
    answer = await api.post("/api/orders", json=body)
    assert answer.status_code == 201
    return str(answer.json()["orderId"])


async def order_in(shop: Shop, sessions: Sessions, status: OrderStatus) -> str:
    """An order in `status` that no workflow carries on."""
    order = await shop.put(await shop.product())
    async with OrderBook(sessions).locked(order.order_id) as locked:
        for step in PATH_TO[status]:
            locked.move(OrderStatus(step), "for the test")
            await locked.session.flush()
    return order.order_id


async def test_accepts_a_cancel_and_undoes_the_order(api: httpx.AsyncClient, shop: Shop, waiting_order: str) -> None:
    """202 with the decision at once; then stock and money are back, and the timeline says who asked and why."""
    answer = await api.post(f"/api/orders/{waiting_order}/cancel", json={"reason": "too late", "by": "Alice"})

    assert answer.status_code == 202
    decision = answer.json()
    assert (decision["accepted"], decision["decision"], decision["code"]) == (True, "accepted", "cancel_accepted")
    assert decision["orderId"] == waiting_order
    await until(lambda: shop.status(waiting_order), OrderStatus.CANCELED)
    books = await shop.books(waiting_order)
    assert (books.reserved, books.held, books.kept, books.payment_status) == (0, 0, 0, "Voided")
    assert any(row.by == "Alice" and "too late" in row.what for row in await shop.timeline(waiting_order))


@pytest.mark.parametrize("raw", [b"", b"null", b"{}"], ids=repr)
async def test_needs_no_reason(api: httpx.AsyncClient, waiting_order: str, raw: bytes) -> None:
    """The body is optional."""
    answer = await api.post(
        f"/api/orders/{waiting_order}/cancel", content=raw, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 202


async def test_gives_the_same_answer_to_a_second_cancel(
    api: httpx.AsyncClient, shop: Shop, waiting_order: str
) -> None:
    """200 once the order is canceled: joined, not refused."""
    await api.post(f"/api/orders/{waiting_order}/cancel")
    await until(lambda: shop.status(waiting_order), OrderStatus.CANCELED)

    answer = await api.post(f"/api/orders/{waiting_order}/cancel")

    assert answer.status_code == 200
    assert (answer.json()["decision"], answer.json()["code"]) == ("joined", "already_canceled")


@pytest.mark.slow
async def test_answers_every_one_of_30_cancels_at_once(
    api: httpx.AsyncClient, shop: Shop, waiting_order: str
) -> None:
    """A workflow takes ten updates at a time; the others wait their turn, and nobody gets an error."""
    answers = await asyncio.gather(*(api.post(f"/api/orders/{waiting_order}/cancel") for _ in range(30)))

    assert {answer.status_code for answer in answers} <= {200, 202}
    assert {answer.json()["accepted"] for answer in answers} == {True}
    await until(lambda: shop.status(waiting_order), OrderStatus.CANCELED)
    requested = [row for row in await shop.timeline(waiting_order) if row.to_status == "CANCELING"]
    assert requested


@pytest.mark.parametrize("status", [status for status in PATH_TO if status is not OrderStatus.READY_TO_SHIP], ids=str)
async def test_answers_from_the_row_when_the_order_is_over(
    api: httpx.AsyncClient, shop: Shop, sessions: Sessions, status: OrderStatus
) -> None:
    """By the table, with no workflow to ask and no worker running."""
    rule = TABLE[status]

    answer = await api.post(f"/api/orders/{await order_in(shop, sessions, status)}/cancel")

    if rule.decision is Decision.REFUSED:
        assert answer.status_code == 409
        assert answer.json()["type"] == f"/problems/{rule.code.replace('_', '-')}"
        assert (answer.json()["code"], answer.json()["orderStatus"]) == (rule.code, status)
    else:
        assert answer.status_code == (200 if status is OrderStatus.CANCELED else 202)
        assert (answer.json()["decision"], answer.json()["code"]) == ("joined", rule.code)


async def test_refuses_while_nobody_carries_the_order_on(
    api: httpx.AsyncClient, shop: Shop, sessions: Sessions
) -> None:
    """503: the order is not over, but its workflow is gone; the reconciliation will take it up."""
    answer = await api.post(f"/api/orders/{await order_in(shop, sessions, OrderStatus.READY_TO_SHIP)}/cancel")

    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/no-running-workflow"
    assert int(answer.headers["Retry-After"]) > 0


async def test_cancels_an_order_whose_workflow_never_started(
    api: httpx.AsyncClient, shop: Shop, temporal_client: Client, worker: None
) -> None:
    """Placed while the engine was away: the workflow starts canceled, and reserves nothing."""
    order = await shop.put(await shop.product())

    answer = await api.post(f"/api/orders/{order.order_id}/cancel", json={"reason": "gave up"})

    assert answer.status_code == 202
    assert answer.json()["accepted"] is True
    await until(lambda: shop.status(order.order_id), OrderStatus.CANCELED)
    assert await shop.authorizations(order.order_id) == 0
    description = await temporal_client.get_workflow_handle(workflow_id(order.order_id)).describe()
    assert description.id == workflow_id(order.order_id)


async def test_says_pending_without_a_worker_and_cancels_when_one_comes(
    settings: Settings, shop: Shop, temporal_client: Client, activities: Activities
) -> None:
    """202 with decision "pending": the engine keeps the wish, and the first worker decides on it."""
    order = await shop.put(await shop.product())
    await shop.start(order)
    app = create_app(settings.model_copy(update={"checkout_budget": 0.5}))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.test", auth=Anybody()) as client,
    ):
        answer = await client.post(f"/api/orders/{order.order_id}/cancel", json={"reason": "nobody there"})

    assert answer.status_code == 202
    assert (answer.json()["decision"], answer.json()["accepted"]) == ("pending", None)
    async with build_worker(temporal_client, settings, activities):
        await until(lambda: shop.status(order.order_id), OrderStatus.CANCELED)
    assert await shop.authorizations(order.order_id) == 0


@pytest.mark.slow
async def test_answers_409_to_a_checkout_that_is_canceled_before_its_answer(
    api: httpx.AsyncClient,
    shop: Shop,
    new_product: NewProduct,
    new_customer: NewCustomer,
    faults: StepFaults,
) -> None:
    """The customer of the checkout learns that the order was canceled, by whomever."""
    body = {
        "customerId": await new_customer(),
        "items": [{"productId": await new_product(), "quantity": 1}],
        "paymentMethod": "card",
    }
    faults.hold("reserve_inventory")
    checkout = asyncio.create_task(api.post("/api/orders", json=body))

    async def tries() -> bool:
        return faults.calls.count("reserve_inventory") > 1

    await until(tries, True)  # the local attempt timed out, and an ordinary one runs: now a cancel gets in
    page = (await api.get("/api/orders", params={"customerId": str(body["customerId"])})).json()
    order_id = page["orders"][0]["orderId"]
    cancel = asyncio.create_task(api.post(f"/api/orders/{order_id}/cancel"))

    async def heard() -> bool:
        return bool(await wishes_heard(shop.client.get_workflow_handle(workflow_id(order_id))))

    await until(heard, True)
    faults.release("reserve_inventory")

    assert (await cancel).status_code == 202
    answer = await checkout

    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/order-canceled"
    assert answer.json()["orderId"] == order_id
    await until(lambda: shop.status(order_id), OrderStatus.CANCELED)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"reason": "x" * 501}, "reason"),
        ({"reason": 5}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        ({"by": "x" * 41}, "by"),
        ({"force": True}, "force"),
    ],
    ids=repr,
)
async def test_names_the_bad_field_of_a_cancel(
    api: httpx.AsyncClient, shop: Shop, wish: dict[str, Any], field: str
) -> None:
    """422, and the order goes on."""
    order = await shop.put(await shop.product())

    answer = await api.post(f"/api/orders/{order.order_id}/cancel", json=wish)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await shop.status(order.order_id) is OrderStatus.PLACED


async def test_answers_404_for_an_unknown_order(api: httpx.AsyncClient) -> None:
    """There is nothing to cancel."""
    answer = await api.post(f"/api/orders/{'0' * 32}/cancel")

    assert answer.status_code == 404
