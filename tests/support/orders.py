"""Orders for tests: placed without the API, run by the real workflow, and read back from every book there is."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from sqlmodel import col, select
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle

from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from adapters.temporal.client import workflow_id
from devstack.stack.stack import Stack
from domain.commands import FulfillOrder
from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus
from domain.processes import NEWEST
from domain.texts import quote
from services.catalogue.tables import Product
from services.customers.tables import Customer
from services.inventory.tables import Stock
from services.orders.book import place_order
from services.orders.tables import Order, OrderLine, TimelineEntry
from services.outbox.tables import OutboxEvent
from services.payments.tables import Payment
from services.shipping.tables import ShipmentRow
from services.texts import texts
from workflows.order_fulfillment import OrderFulfillment

UNDOS = ("release_inventory", "return_payment", "cancel_shipment", "confirm_void")

Handle = WorkflowHandle[OrderFulfillment, OrderStatus]


@dataclass(frozen=True, kw_only=True)
class Books:
    """All that is known of an order's stock, money and parcel: ours, Stripe's and the carrier's."""

    status: str
    payment_status: str
    on_hand: int
    reserved: int = 0
    held: int = 0  # minor units that Stripe holds on the card
    kept: int = 0  # minor units that the shop has got and not given back
    labels: int = 0  # live labels at the carrier


class Shop:
    def __init__(
        self, stack: Stack, settings: Settings, sessions: Sessions, client: Client, http: httpx.AsyncClient
    ) -> None:
        self.stack, self.settings, self.sessions, self.client, self.http = stack, settings, sessions, client, http

    async def product(self, on_hand: int = 10, price: str = "10.00", currency: str = "USD") -> str:
        product_id = f"p-{secrets.token_hex(4)}"
        async with self.sessions() as session, session.begin():
            minor = Money.parse(price, currency).minor
            session.add(Product(product_id=product_id, name="Lamp", price_minor=minor, currency=currency))
            await session.flush()
            session.add(Stock(product_id=product_id, on_hand=on_hand))
        return product_id

    async def customer(self) -> str:
        customer_id = f"c-{secrets.token_hex(4)}"
        async with self.sessions() as session, session.begin():
            session.add(Customer(customer_id=customer_id, name="Test", email="test@example.com"))
        return customer_id

    async def put(
        self,
        product_id: str,
        quantity: int = 2,
        *,
        payment_method: str = "pm_card_visa",
        address: dict[str, Any] | None = None,
    ) -> FulfillOrder:
        """Stores a PLACED order without starting its workflow."""
        order_id = secrets.token_hex(16)
        async with self.sessions() as session, session.begin():
            product = await session.get_one(Product, product_id)
            customer_id = f"c-{secrets.token_hex(4)}"
            session.add(Customer(customer_id=customer_id, name="Test", email="test@example.com"))
            await session.flush()
            row = Order(
                order_id=order_id,
                customer_id=customer_id,
                fingerprint="test",
                status=OrderStatus.PLACED,
                payment_status=PaymentStatus.PENDING,
                currency=product.currency,
                total_minor=quantity * product.price_minor,
                payment_method=payment_method,
                shipping_address=address,
            )
            line = OrderLine(
                order_id=order_id,
                product_id=product_id,
                line_number=1,
                name=product.name,
                quantity=quantity,
                unit_price_minor=product.price_minor,
            )
            await session.flush()
            await place_order(await session.connection(), row, [line])
            total = Money(minor=row.total_minor, currency=row.currency)
        return FulfillOrder(order_id=order_id, customer_id=customer_id, total=total, process=NEWEST)

    async def start(self, order: FulfillOrder, *, ship_in: timedelta | None = None, by_signal: Any = None) -> Handle:
        """Starts the order's workflow, with a `cancel_order` signal in the same breath where `by_signal` is given."""
        return await start_order(self.client, self.settings.task_queue, order, ship_in, by_signal)

    async def order(self, order_id: str) -> Order:
        async with self.sessions() as session:
            return await session.get_one(Order, order_id)

    async def status(self, order_id: str) -> OrderStatus:
        return OrderStatus((await self.order(order_id)).status)

    async def timeline(self, order_id: str) -> list[TimelineEntry]:
        """As people read it: with what was written where a row only names it."""
        async with self.sessions() as session:
            query = select(TimelineEntry).where(TimelineEntry.order_id == order_id)
            rows = list(await session.exec(query.order_by(col(TimelineEntry.sequence))))
            ids = [text_id for row in rows for text_id in row.text_ids or ()]
            words = await texts.read(await session.connection(), ids)
        for row in rows:
            row.what = quote(row.what, [words[text_id] for text_id in row.text_ids or ()])
        return rows

    async def events(self, order_id: str) -> list[OutboxEvent]:
        async with self.sessions() as session:
            query = select(OutboxEvent).where(OutboxEvent.subject == order_id)
            return list(await session.exec(query.order_by(col(OutboxEvent.sequence))))

    async def books(self, order_id: str) -> Books:
        async with self.sessions() as session:
            order = await session.get_one(Order, order_id)
            line = (await session.exec(select(OrderLine).where(OrderLine.order_id == order_id))).one()
            stock = await session.get_one(Stock, line.product_id)
        held, kept = await self.money(order_id)
        labels = await self.live_labels(order_id)
        return Books(
            status=order.status,
            payment_status=order.payment_status,
            on_hand=stock.on_hand,
            reserved=stock.reserved,
            held=held,
            kept=kept,
            labels=labels,
        )

    async def money(self, order_id: str) -> tuple[int, int]:
        """(held, kept) by the simulator's ledger."""
        held = kept = 0
        for entry in await self._get(f"{self.stack.urls.stripe}/_control/ledger?order_id={order_id}"):
            effect, amount = entry["kind"], entry["amount"]
            held += amount if effect == "authorize" else 0
            held = 0 if effect in ("void", "expire", "capture") else held
            kept += amount if effect == "capture" else -amount if effect == "refund" else 0
        return held, kept

    async def booked_payment(self, order_id: str) -> Payment:
        """Our row of the order's latest payment."""
        async with self.sessions() as session:
            query = select(Payment).where(Payment.order_id == order_id)
            payment = (await session.exec(query.order_by(col(Payment.attempt).desc()))).first()
        assert payment is not None
        return payment

    async def payment_intent(self, order_id: str) -> dict[str, Any]:
        """The order's latest PaymentIntent as Stripe has it."""
        payment = await self.booked_payment(order_id)
        return await self.at_stripe("GET", f"payment_intents/{payment.payment_intent_id}")

    async def at_stripe(self, method: str, path: str, **params: str) -> dict[str, Any]:
        """What somebody else with the shop's key does at Stripe, e.g. a person in the dashboard."""
        key = self.settings.stripe_api_key.get_secret_value()
        answer = await self.http.request(
            method,
            f"{self.stack.urls.stripe}/v1/{path}",
            data=params or None,
            headers={"Authorization": f"Bearer {key}"},
        )
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def paid_at_stripe(self, order_id: str, minor: int = 700, capture: str = "automatic") -> str:
        """A payment with our reference that nobody here has asked for; its id."""
        params = {
            "amount": str(minor),
            "currency": "usd",
            "capture_method": capture,
            "payment_method": "pm_card_visa",
            "allowed_payment_method_types[0]": "card",
            "confirm": "true",
            "metadata[order_id]": order_id,
        }
        return str((await self.at_stripe("POST", "payment_intents", **params))["id"])

    async def live_labels(self, order_id: str) -> int:
        ledger = await self._get(f"{self.stack.urls.carrier}/_control/ledger?reference={order_id}")
        effects = [entry["kind"] for entry in ledger]
        return effects.count("label_bought") - effects.count("label_voided") - effects.count("label_not_billed")

    async def authorizations(self, order_id: str) -> int:
        """How often money was ever held for the order."""
        ledger = await self._get(f"{self.stack.urls.stripe}/_control/ledger?order_id={order_id}")
        return sum(entry["kind"] == "authorize" for entry in ledger)

    async def shipment_id(self, order_id: str) -> str:
        async with self.sessions() as session:
            return (await session.get_one(ShipmentRow, order_id)).shipment_id

    async def _get(self, url: str) -> list[dict[str, Any]]:
        answer = (await self.http.get(url)).raise_for_status().json()
        entries: list[dict[str, Any]] = answer if isinstance(answer, list) else answer["entries"]
        return entries

    async def fault(self, far_end: str, operation: str, kind: str, times: int | None = 1, **more: Any) -> None:
        base = getattr(self.stack.urls, far_end)
        rule = {"operation": operation, "kind": kind, "times": times, **more}
        (await self.http.post(f"{base}/_control/faults", json=rule)).raise_for_status()

    async def customer_authenticates(self, order_id: str) -> None:
        """3-D Secure: the customer is done with it."""
        intent = await self.payment_intent(order_id)
        url = f"{self.stack.urls.stripe}/_control/payment_intents/{intent['id']}/authenticate"
        (await self.http.post(url, json={"succeed": True})).raise_for_status()

    async def bank_lets_go(self, order_id: str) -> None:
        """Stripe holds the order's money no longer, as at the end of an authorization."""
        intent = await self.payment_intent(order_id)
        await self.at_stripe("POST", f"payment_intents/{intent['id']}/cancel")

    async def review_is_approved(self, order_id: str) -> None:
        """Stripe's fraud review lets the goods go."""
        intent = await self.payment_intent(order_id)
        await self.at_stripe("POST", f"reviews/{intent['review']}/approve")

    async def no_faults(self) -> None:
        for base in (self.stack.urls.stripe, self.stack.urls.carrier):
            (await self.http.delete(f"{base}/_control/faults")).raise_for_status()

    async def carrier(self, **changed: Any) -> None:
        """Changes how the carrier behaves; the settings are `CarrierSettings`."""
        url = f"{self.stack.urls.carrier}/_control/settings"
        (await self.http.post(url, json=changed)).raise_for_status()

    async def parcel(self, order_id: str, status: str) -> None:
        """Has the carrier scan or deliver the parcel; its webhook is the test's own affair."""
        url = f"{self.stack.urls.carrier}/_control/shipments/{await self.shipment_id(order_id)}/track"
        (await self.http.post(url, json={"status": status})).raise_for_status()


async def start_order(
    client: Client, task_queue: str, order: FulfillOrder, ship_in: timedelta | None = None, by_signal: Any = None
) -> Handle:
    if ship_in is not None:
        order = order.model_copy(update={"ship_not_before": now() + ship_in})
    return await client.start_workflow(
        OrderFulfillment.run,
        order,
        id=workflow_id(order.order_id),
        task_queue=task_queue,
        start_signal=None if by_signal is None else "cancel_order",
        start_signal_args=[] if by_signal is None else [by_signal],
    )


async def steps_run(handle: Handle) -> list[str]:
    """The ordinary activities of a workflow in the order in which they were scheduled."""
    history = await handle.fetch_history()
    scheduled = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.event_type == scheduled
    ]


async def undos_run(handle: Handle) -> list[str]:
    return [step for step in await steps_run(handle) if step in UNDOS]
