"""A shop's counter without engine and far ends: customers, products and orders made by the services themselves."""

from __future__ import annotations

import secrets
from typing import Any

from sqlmodel import col, func, select

from adapters.postgres.database import Sessions
from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus
from services.catalogue.products import ProductData
from services.customers.customers import CustomerData, add_customer
from services.inventory import reservations
from services.inventory.products import StockedProduct, add_product
from services.inventory.tables import Stock
from services.orders.book import OrderBook
from services.orders.named import named_order
from services.orders.placement import NewOrder, place
from services.orders.pricing import Pieces
from services.orders.tables import Order, TimelineEntry
from services.outbox.tables import OutboxEvent
from services.payments.tables import Payment


class Counter:
    def __init__(self, sessions: Sessions) -> None:
        self.sessions, self.book = sessions, OrderBook(sessions)

    async def customer(self) -> str:
        customer_id = f"c-{secrets.token_hex(4)}"
        async with self.sessions() as session, session.begin():
            assert await add_customer(session, CustomerData(customer_id, "Test", "test@example.com"))
        return customer_id

    async def product(self, price: str = "10.00", currency: str = "USD", on_hand: int = 10) -> str:
        product_id = f"p-{secrets.token_hex(4)}"
        data = ProductData(product_id, "Lamp", Money.parse(price, currency))
        async with self.sessions() as session, session.begin():
            assert await add_product(session, StockedProduct(data, on_hand))
        return product_id

    async def wanted(self, *product_ids: str, **changes: Any) -> NewOrder:
        """One piece of each product, for a new customer."""
        customer_id = await self.customer()
        key = secrets.token_hex(4)
        asked: dict[str, Any] = {
            "order_id": secrets.token_hex(16),
            "key": key,
            "fingerprint": "f",
            "customer_id": customer_id,
            "items": [Pieces(product_id, 1) for product_id in product_ids],
            "payment_method": "pm_card_visa",
        }
        return NewOrder(**(asked | changes))

    async def placed(self, *product_ids: str) -> str:
        return (await place(self.sessions, await self.wanted(*product_ids))).order_id

    async def confirmed(self, *product_ids: str) -> str:
        """The id of an order as the saga's first two steps leave it."""
        order_id = await self.placed(*product_ids)
        async with named_order(self.book, order_id) as order:
            assert await reservations.hold_lines(order) == []
            order.move(OrderStatus.RESERVED, "stock reserved")
            order.move(OrderStatus.CONFIRMED, "payment authorized")
        return order_id

    async def captured(self, order_id: str, minor: int) -> None:
        """Money that Stripe has taken for the order, as the step writes it."""
        async with named_order(self.book, order_id) as order:
            order.paid(PaymentStatus.CAPTURED)
            order.add(
                Payment(
                    payment_intent_id=f"pi_{secrets.token_hex(8)}",
                    order_id=order_id,
                    state="captured",
                    amount_minor=minor,
                    captured_minor=minor,
                    currency=order.row.currency,
                )
            )

    async def order(self, order_id: str) -> Order:
        async with self.sessions() as session:
            return await session.get_one(Order, order_id)

    async def reserved(self, product_id: str) -> int:
        async with self.sessions() as session:
            return (await session.get_one(Stock, product_id)).reserved

    async def told(self, order_id: str) -> list[str]:
        """What the order's timeline says, oldest first."""
        query = select(TimelineEntry.what).where(TimelineEntry.order_id == order_id)
        async with self.sessions() as session:
            return list(await session.exec(query.order_by(col(TimelineEntry.sequence))))

    async def events(self, subject: str) -> int:
        query = select(func.count()).select_from(OutboxEvent).where(OutboxEvent.subject == subject)
        async with self.sessions() as session:
            return (await session.exec(query)).one()
