"""Refunds for tests: orders whose money was captured, and every book that tells what was given back."""

from __future__ import annotations

import dataclasses
from typing import Any

import httpx
from sqlmodel import col, select
from temporalio.testing import ActivityEnvironment

from activities.refunds.refunds import Refunds
from adapters.stripe.refunds import RefundGateway
from domain.commands import Attention, PaymentTry
from domain.order_states import OrderStatus
from domain.refunds import GiveRefund, RefundProgress, RefundState, step_of
from services.orders.book import OrderBook
from services.payments.tables import Payment
from services.refunds.tables import Refund
from services.tickets.book import open_ticket
from services.tickets.tables import Ticket
from tests.support.orders import Shop
from tests.support.our_client import note_parcel_of
from tests.support.steps import ON_ITS_WAY, WAY
from worker import Activities


async def ask(
    api: httpx.AsyncClient, order_id: str, amount: Any = "5.00", key: str | None = "k1", **more: Any
) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"amount": amount, "reason": "dented box", "by": "alice"} | more
    return await api.post(f"/api/orders/{order_id}/refunds", json=body, headers=headers)


class RefundBooks:
    """Every book that tells of refunds, and the hands of Stripe, the bank and the operators."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def put(self, order_id: str, minor: int = 500, key: str = "k1") -> GiveRefund:
        """A refund that was asked for; its workflow was never started."""
        async with self._shop.sessions() as session, session.begin():
            session.add(
                Refund(order_id=order_id, key=key, amount_minor=minor, reason="dented box", by="alice",
                                   state=RefundState.ASKED.value)
            )  # fmt: skip
        return GiveRefund(order_id=order_id, key=key)

    async def row(self, refund: GiveRefund) -> Refund:
        async with self._shop.sessions() as session:
            return await session.get_one(Refund, (refund.order_id, refund.key))

    async def state(self, refund: GiveRefund) -> RefundState:
        return RefundState((await self.row(refund)).state)

    async def payment(self, order_id: str) -> Payment:
        async with self._shop.sessions() as session:
            query = select(Payment).where(Payment.order_id == order_id)
            return (await session.exec(query)).one()

    async def tickets(self, order_id: str) -> list[str]:
        """The kinds of the order's tickets."""
        async with self._shop.sessions() as session:
            return [t.kind for t in await session.exec(select(Ticket).where(Ticket.order_id == order_id))]

    async def open_ticket(self, order_id: str) -> int:
        """The id of the order's open ticket; 0 for none."""
        async with self._shop.sessions() as session:
            query = select(Ticket.id).where(Ticket.order_id == order_id, col(Ticket.resolved_at).is_(None))
            return (await session.exec(query)).one_or_none() or 0

    async def ticket_about(self, refund: GiveRefund, kind: str) -> int:
        """The id of a ticket that was just opened about the refund's step."""
        about = Attention(order_id=refund.order_id, step=step_of(refund.key), kind=kind)
        async with OrderBook(self._shop.sessions).locked(refund.order_id) as order:
            return await open_ticket(order, about)

    async def given(self, order_id: str) -> int:
        """What Stripe's own ledger says was given back, in minor units."""
        url = f"{self._shop.stack.urls.stripe}/_control/ledger"
        entries = (await self._shop.http.get(url, params={"order_id": order_id})).raise_for_status().json()
        sign = {"refund": 1, "refund_failed": -1}
        return sum(sign.get(entry["kind"], 0) * entry["amount"] for entry in entries)

    async def stripe_answers(self, status: str) -> None:
        """What Stripe says of new refunds from now on."""
        url = f"{self._shop.stack.urls.stripe}/_control/refunds"
        (await self._shop.http.post(url, json={"status": status})).raise_for_status()

    async def bank_says(self, refund: GiveRefund, status: str) -> None:
        url = f"{self._shop.stack.urls.stripe}/_control/refunds/{(await self.row(refund)).stripe_refund_id}"
        (await self._shop.http.post(url, json={"status": status})).raise_for_status()

    async def hold(self, order_id: str, why: str | None) -> None:
        async with OrderBook(self._shop.sessions).locked(order_id) as order:
            order.row.hold = why

    async def cancel(self, order_id: str) -> None:
        """The order is CANCELING; the undo has not begun."""
        async with OrderBook(self._shop.sessions).locked(order_id) as order:
            order.move(OrderStatus.CANCELING, "for the test")

    async def at_stripe(self, order_id: str, minor: int) -> None:
        """Somebody refunds in Stripe's dashboard."""
        key = self._shop.settings.stripe_api_key.get_secret_value()
        answer = await self._shop.http.post(
            f"{self._shop.stack.urls.stripe}/v1/refunds",
            data={"payment_intent": (await self.payment(order_id)).payment_intent_id, "amount": str(minor)},
            headers={"Authorization": f"Bearer {key}"},
        )
        answer.raise_for_status()


class RefundSteps(RefundBooks):
    """Single attempts of a refund's activities, without a workflow. Errors arrive as the domain's own."""

    def __init__(self, activities: Activities, shop: Shop) -> None:
        super().__init__(shop)
        self._refunds = activities.refunds
        self._methods: dict[str, Any] = {
            method.__name__: method  # type: ignore[attr-defined]
            for method in activities.methods()
        }

    async def captured(self, price: str = "10.00", currency: str = "USD", to: str = "capture_payment") -> str:
        """The id of an order of two pieces that has got as far as the step `to`, carried on by no workflow."""
        shop = self._shop
        order = await shop.put(await shop.product(price=price, currency=currency))
        for step in WAY[: WAY.index(to) + 1]:
            if step in ON_ITS_WAY:  # the step looks up where the parcel is
                await note_parcel_of(shop.sessions, order.order_id, ON_ITS_WAY[step])
            await ActivityEnvironment().run(self._methods[step], PaymentTry(order_id=order.order_id))
        return order.order_id

    def over(self, gateway: RefundGateway) -> None:
        """From now on by way of another gateway."""
        self._refunds = Refunds(OrderBook(self._shop.sessions), gateway)

    async def send(self, refund: GiveRefund, attempt: int = 1) -> RefundProgress:
        return await self._run(self._refunds.send_refund, refund, attempt)

    async def follow(self, refund: GiveRefund) -> RefundProgress:
        return await self._run(self._refunds.follow_refund, refund, 1)

    async def _run(self, step: Any, refund: GiveRefund, attempt: int) -> RefundProgress:
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, attempt=attempt)
        progress: RefundProgress = await environment.run(step, refund)
        return progress
