"""Far ends whose calls can be held at a gate: how a late attempt of a slow or frozen worker is played."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime
from typing import Any

from activities.payments.payments import Payments
from activities.shipping.labels import Shipping
from adapters.carrier.gateway import CarrierGateway, ShipmentSnapshot
from adapters.settings import Settings
from adapters.stripe.connection import StripeConnection
from adapters.stripe.payments import PaymentSnapshot, StripeGateway
from adapters.stripe.refunds import GivenRefund, RefundGateway
from domain.parcels import Rate
from services.identities.actors import Actors
from services.orders.book import OrderBook
from tests.support.steps import run_attempt


class Gate:
    """A point on the way of a call, where it waits until the gate is opened."""

    def __init__(self) -> None:
        self._reached, self._open = asyncio.Event(), asyncio.Event()

    async def reached(self) -> None:
        await asyncio.wait_for(self._reached.wait(), 60)

    def open(self) -> None:
        self._open.set()

    async def arrive(self) -> None:
        self._reached.set()
        await self._open.wait()


class Gates:
    """Gates by name: "confirm sent" stands before the call leaves, "confirm answered" behind its answer."""

    def __init__(self) -> None:
        self._shut: dict[str, Gate] = {}
        self.passed: dict[str, int] = defaultdict(int)

    def shut(self, name: str) -> Gate:
        self._shut[name] = Gate()
        return self._shut[name]

    async def arrive(self, name: str) -> None:
        self.passed[name] += 1
        if name in self._shut:
            await self._shut[name].arrive()


class HeldStripe(StripeGateway):
    """The real gateway with gates around each call that changes a payment."""

    def __init__(self, connection: StripeConnection, gates: Gates) -> None:
        super().__init__(connection)
        self.gates = gates

    async def create(self, params: Any, key: str) -> PaymentSnapshot:
        await self.gates.arrive("create sent")
        answer = await super().create(params, key)
        await self.gates.arrive("create answered")
        return answer

    async def confirm(self, payment_intent_id: str, params: Any, key: str) -> PaymentSnapshot:
        await self.gates.arrive("confirm sent")
        answer = await super().confirm(payment_intent_id, params, key)
        await self.gates.arrive("confirm answered")
        return answer

    async def capture(self, payment_intent_id: str, params: Any, key: str) -> PaymentSnapshot:
        await self.gates.arrive("capture sent")
        answer = await super().capture(payment_intent_id, params, key)
        await self.gates.arrive("capture answered")
        return answer

    async def cancel(self, payment_intent_id: str, params: Any, key: str) -> PaymentSnapshot:
        await self.gates.arrive("cancel sent")
        return await super().cancel(payment_intent_id, params, key)


class HeldRefunds(RefundGateway):
    """The real gateway with a gate before an undo's refund."""

    def __init__(self, connection: StripeConnection, gates: Gates) -> None:
        super().__init__(connection)
        self.gates = gates

    async def give_rest(self, params: Any, key: str) -> GivenRefund:
        await self.gates.arrive("refund sent")
        return await super().give_rest(params, key)


class HeldCarrier(CarrierGateway):
    """The real gateway with gates around the calls of a purchase."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.gates = Gates()

    async def create(self, reference: str, address: dict[str, Any] | None) -> ShipmentSnapshot:
        answer = await super().create(reference, address)
        await self.gates.arrive("create answered")
        return answer

    async def buy(self, shipment_id: str, rate: Rate, until: datetime) -> ShipmentSnapshot:
        await self.gates.arrive("buy sent")
        answer = await super().buy(shipment_id, rate, until)
        await self.gates.arrive("buy answered")
        return answer

    async def retrieve(self, shipment_id: str) -> ShipmentSnapshot:
        answer = await super().retrieve(shipment_id)
        await self.gates.arrive("retrieve answered")
        return answer


class LateAttempts:
    """A worker's steps over far ends whose answers can be held back, as a slow or frozen process would."""

    def __init__(self, settings: Settings, book: OrderBook) -> None:
        self._connection, gates = StripeConnection(settings), Gates()
        self.stripe, self.carrier = HeldStripe(self._connection, gates), HeldCarrier(settings)
        payments = Payments(book, self.stripe, HeldRefunds(self._connection, gates), Actors(settings.service_secret))
        shipping = Shipping(book, self.carrier)
        self.methods = {
            "authorize_payment": payments.authorize_payment,
            "capture_payment": payments.capture_payment,
            "return_payment": payments.return_payment,
            "ship_order": shipping.ship_order,
        }

    def gate(self, step: str, name: str) -> Gate:
        return (self.carrier if step == "ship_order" else self.stripe).gates.shut(name)

    def begin(self, step: str, order_id: str) -> asyncio.Task[Any]:
        return asyncio.create_task(run_attempt(self.methods[step], order_id))

    async def run(self, step: str, order_id: str) -> Any:
        return await run_attempt(self.methods[step], order_id)

    async def aclose(self) -> None:
        await self._connection.aclose()
        await self.carrier.aclose()
