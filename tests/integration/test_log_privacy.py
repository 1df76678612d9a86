"""Who ordered and where it goes stays in the database: not in logs, histories, events, metrics or traces."""

from __future__ import annotations

import json
import secrets
import traceback
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy.exc import IntegrityError
from temporalio.client import Client

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from adapters.temporal.client import workflow_id
from devstack.stack.stack import Stack
from domain.commands import FulfillOrder
from domain.money import Money
from domain.order_states import OrderStatus
from services.orders.book import OrderBook
from services.orders.tables import Order
from services.shipping.tables import ShipmentRow
from tests.support.disclosure import described, payloads
from tests.support.encryption import clear_history
from tests.support.identities import Anybody
from tests.support.orders import Shop
from tests.support.services import Services
from tests.support.waiting import until
from tests.support.webhooks import Hooks
from workflows.order_fulfillment import OrderFulfillment

PERSON = {"name": "Zephyrine Quackenbush", "email": "zephyrine@quackenbush-mail.example"}
ADDRESS = {
    "name": PERSON["name"],
    "street1": "77 Wobblegong Crescent",
    "city": "Larkspurville",
    "zip": "90417",
    "country": "US",
    "phone": "+1 555 0177 4242",
}
SECRETS = ("zephyrine", "quackenbush", "wobblegong", "larkspurville", "0177 4242")


def assert_says_nothing(text: str) -> None:
    told = [secret for secret in SECRETS if secret in text.lower()]
    assert told == [], text


@dataclass(frozen=True)
class Orders:
    """What became of the person's orders, by the way that each took."""

    delivered: str
    canceled: str
    declined: str
    undeliverable: str  # the carrier refuses its address

    @property
    def all(self) -> list[str]:
        return [self.delivered, self.canceled, self.declined, self.undeliverable]


@pytest.fixture(scope="session")
async def orders(
    services: Services, stack: Stack, base_settings: Settings, sessions: Sessions, temporal_client: Client
) -> Orders:
    """Every way that an order can go, each with the person's address."""
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
        httpx.AsyncClient(base_url=services.url, trust_env=False, timeout=60, auth=Anybody()) as front,
    ):
        shop = Shop(stack, base_settings, sessions, temporal_client, http)
        orders = await place(front, shop)
        await until(lambda: shop.status(orders.delivered), OrderStatus.READY_TO_SHIP)
        await until(lambda: shop.status(orders.canceled), OrderStatus.READY_TO_SHIP)
        await front.post(f"/api/orders/{orders.canceled}/cancel", json={"reason": "no longer needed"})
        async with sessions() as session:
            parcel = await session.get_one(ShipmentRow, orders.delivered)
        async with services.relay():
            for status, reached in (("in_transit", OrderStatus.SHIPPED), ("delivered", OrderStatus.DELIVERED)):
                await shop.parcel(orders.delivered, status)
                await Hooks(front, base_settings, sessions).carrier(parcel.shipment_id)
                await until(lambda: shop.status(orders.delivered), reached)
        await until(lambda: shop.status(orders.canceled), OrderStatus.CANCELED)
        await until(lambda: shop.status(orders.undeliverable), OrderStatus.CANCELED)
    return orders


async def place(front: httpx.AsyncClient, shop: Shop) -> Orders:
    person = {"customerId": f"c-{secrets.token_hex(4)}", **PERSON}  # the id is ours, and is no secret
    assert (await front.post("/api/customers", json=person)).status_code == 201

    async def order(card: str = "pm_card_visa", **address: str) -> str:
        body = {
            "customerId": person["customerId"],
            "items": [{"productId": await shop.product(), "quantity": 1}],
            "paymentMethod": card,
            "shippingAddress": ADDRESS | address,
        }
        # Baggage is free text that tracing hands on, unless it is told not to.
        answer = await front.post("/api/orders", json=body, headers={"baggage": "who=Zephyrine"})
        assert answer.status_code in (201, 402), answer.text
        return str(answer.json()["orderId"])

    refused = await front.post("/api/orders", json={"shippingAddress": ADDRESS, "unknown": PERSON})
    assert refused.status_code == 422
    return Orders(await order(), await order(), await order("pm_card_chargeDeclined"), await order(zip="00000"))


async def test_nothing_outside_the_database_knows_who_ordered(
    orders: Orders, services: Services, shop: Shop, temporal_client: Client
) -> None:
    """Delivered, canceled, declined, undeliverable: none of them leaves a word of the person anywhere."""
    row = await shop.order(orders.delivered)
    assert await OrderBook(shop.sessions).address_of(row) == ADDRESS  # it was there to be told

    for order_id in orders.all:
        history = await clear_history(temporal_client, workflow_id(order_id))
        assert len(payloads(history.events)) > 3
        assert_says_nothing("\n".join([str(history.events), *payloads(history.events)]))
        assert_says_nothing(await described(temporal_client, workflow_id(order_id)))
        assert_says_nothing(str([event.model_dump() for event in await shop.events(order_id)]))
        assert_says_nothing(str([entry.model_dump() for entry in await shop.timeline(order_id)]))
    assert_says_nothing("\n".join(services.logs))
    assert_says_nothing(await services.scraped())
    assert_says_nothing(str(services.collector.spans))


async def test_every_line_is_an_object_and_names_its_order(orders: Orders, services: Services) -> None:
    """Ours, uvicorn's and the SDK's alike; whatever mentions an order has its id where a search looks for it."""
    lines = services.lines

    for line in lines:
        assert {"event", "level", "timestamp", "logger"} <= line.keys(), line
        for order_id in orders.all:
            if order_id in json.dumps(line):
                assert line.get("order_id") == order_id, line
    by_order = {order_id: [line for line in lines if line.get("order_id") == order_id] for order_id in orders.all}
    assert [line["status"] for line in by_order[orders.delivered] if line["event"] == "order reached"] == [
        "RESERVED", "CONFIRMED", "READY_TO_SHIP", "SHIPPED", "DELIVERED",
    ]  # fmt: skip
    assert {line["logger"] for line in lines} >= {"uvicorn.error", "uvicorn.access", "api.orders.checkout", "worker"}


async def test_lines_of_the_sdk_have_their_details_in_fields(services: Services, temporal_client: Client) -> None:
    """Its own way is a dict at the end of the message, which no search through logs can read."""
    unknown = FulfillOrder(order_id=secrets.token_hex(16), customer_id="nobody", total=Money(minor=1, currency="USD"))
    handle = await temporal_client.start_workflow(
        OrderFulfillment.run, unknown, id=workflow_id(unknown.order_id), task_queue=services.task_queue
    )

    async def told() -> list[tuple[str, str, str]]:
        lines = [line for line in services.lines if line.get("order_id") == unknown.order_id]
        return [(line["logger"], line["event"], line["step"]) for line in lines if line["attempt"] == 2]

    await until(told, [("temporalio.activity", "Completing activity as failed", "reserve_inventory")])
    await handle.terminate()


async def test_request_lines_name_the_request_and_not_who_sent_it(
    services: Services, front: httpx.AsyncClient
) -> None:
    """The sender's own id goes into the answer and the lines; its network address is personal data."""
    request_id = f"shop-{secrets.token_hex(8)}"

    answer = await front.get("/api/orders?customerId=somebody", headers={"X-Request-ID": request_id})

    assert answer.headers["X-Request-ID"] == request_id
    (line,) = [line for line in services.lines if line.get("request_id") == request_id]
    assert (line["event"], line["method"], line["path"], line["status"]) == ("request", "GET", "/api/orders", 200)
    assert "127.0.0.1" not in json.dumps(line)


@pytest.mark.parametrize("sent", ["", "short", "x" * 65, "a b c d e f g h", "zephyrine@quackenbush-mail.example"])
async def test_a_request_id_that_is_unfit_for_a_log_is_replaced(front: httpx.AsyncClient, sent: str) -> None:
    """A log must not be a place where anybody can write anything."""
    answer = await front.get("/healthz", headers={"X-Request-ID": sent})

    assert answer.headers["X-Request-ID"] != sent
    assert len(answer.headers["X-Request-ID"]) == 16


async def test_errors_of_the_database_quote_no_row(settings: Settings, sessions: Sessions) -> None:
    """PostgreSQL tells the whole row that it refuses, and a failed step's error is stored in its history."""
    row = Order(
        order_id=secrets.token_hex(16),
        customer_id="nobody",
        fingerprint="test",
        status="PLACED",
        payment_status="No such status",
        currency="USD",
        total_minor=1,
        payment_method="pm_card_visa",
        shipping_address=ADDRESS,
    )

    with pytest.raises(IntegrityError) as refused:
        async with sessions() as session, session.begin():
            session.add(row)

    assert "ck_orders_payment_status_known" in str(refused.value)
    assert_says_nothing("".join(traceback.format_exception(refused.value)))
