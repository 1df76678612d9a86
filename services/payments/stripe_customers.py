"""Stripe's Customer of one of our customers, on which a card is kept for renewals."""

from __future__ import annotations

from services.customers.tables import Customer
from services.orders.book import LockedOrder


async def customer_of(order: LockedOrder) -> Customer:
    """The customer who placed the order; `stripe_customer_id` is None until one was made at Stripe."""
    return await order.session.get_one(Customer, order.row.customer_id)


async def keep_stripe_customer(order: LockedOrder, stripe_customer_id: str) -> str:
    """Saves the Customer that was just made, and returns the one that counts: another order may have been faster."""
    customer = await order.session.get_one(Customer, order.row.customer_id, with_for_update=True)
    customer.stripe_customer_id = customer.stripe_customer_id or stripe_customer_id
    order.session.add(customer)
    return customer.stripe_customer_id
