"""The settings of carts: for how long they are kept. Part of `settings.py`, which is what to import."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings


class CartSettings(BaseSettings):
    cart_guest_kept: timedelta = Field(
        default=timedelta(days=30), gt=timedelta(0), description="a guest's cart that nobody touches expires after it"
    )
    cart_customer_kept: timedelta = Field(
        default=timedelta(days=90), gt=timedelta(0), description="the same for a customer's cart"
    )
    cart_empty_kept: timedelta = Field(
        default=timedelta(hours=6), gt=timedelta(0), description="the same for an empty cart"
    )
    cart_abandoned_after: timedelta = Field(
        default=timedelta(hours=4), gt=timedelta(0), description="a cart that nobody touches is told as CartAbandoned"
    )
    cart_ended_kept: timedelta = Field(
        default=timedelta(days=30), gt=timedelta(0), description="how long expired and merged carts stay"
    )
    cart_repeats_known: timedelta = Field(
        default=timedelta(days=7), gt=timedelta(0), description="how long a change by Idempotency-Key is known again"
    )
