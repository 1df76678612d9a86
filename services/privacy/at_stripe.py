"""Deletes Stripe's customers of those who were erased; what cannot be done now is done by the relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import OrderSagaError

BATCH = 100

_LEFT = text("""
    SELECT customer_id, stripe_customer_id FROM customers
     WHERE erased_at IS NOT NULL AND stripe_customer_id IS NOT NULL ORDER BY customer_id LIMIT :most
""")
_GONE = text("""
    UPDATE customers SET stripe_customer_id = NULL
     WHERE customer_id = :customer_id AND stripe_customer_id = :stripe_customer_id AND erased_at IS NOT NULL
""")

log = structlog.get_logger(__name__)


class StripeCustomers(Protocol):
    """Where a customer's cards are kept."""

    async def delete(self, stripe_customer_id: str) -> None:
        """One that is gone is as good."""
        ...


@dataclass(frozen=True)
class AtStripe:
    """`engine`: nothing is open while Stripe is asked."""

    engine: AsyncEngine
    stripe: StripeCustomers

    async def forget(self) -> int:
        """A batch of those that are left; how many are gone now."""
        async with self.engine.connect() as connection:
            rows = (await connection.execute(_LEFT, {"most": BATCH})).all()
        return sum([await self.delete(row.customer_id, row.stripe_customer_id) for row in rows])

    async def delete(self, customer_id: str, stripe_customer_id: str) -> bool:
        """Whether it is gone; an error of Stripe is logged, and tried again by the relay."""
        try:
            await self.stripe.delete(stripe_customer_id)
        except OrderSagaError as error:
            log.warning("stripe_customer_not_deleted", customer_id=customer_id, error=type(error).__name__)
            return False
        asked = {"customer_id": customer_id, "stripe_customer_id": stripe_customer_id}
        async with self.engine.begin() as connection:
            await connection.execute(_GONE, asked)
        return True
