"""Stripe's customers, where one is to be forgotten."""

from __future__ import annotations

import stripe

from adapters.stripe.connection import StripeConnection, translated

GONE = "resource_missing"  # https://docs.stripe.com/error-codes


class CustomerGateway:
    """Deletes them: with the customer go the cards that were kept."""

    def __init__(self, connection: StripeConnection) -> None:
        self._customers = connection.client.v1.customers

    async def delete(self, stripe_customer_id: str) -> None:
        """One that is gone already is as good (https://docs.stripe.com/api/customers/delete).

        Raises what `translate` tells.
        """
        async with translated():
            try:
                await self._customers.delete_async(stripe_customer_id)
            except stripe.InvalidRequestError as error:
                if error.code != GONE:
                    raise
