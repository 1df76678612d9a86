"""How much the shop takes at once: bounds that keep one order, or one row of stock, within what was measured."""

from __future__ import annotations

from datetime import timedelta

MAX_LINES = 500
"""Lines of an order."""

MAX_QUANTITY = 100_000
"""Pieces of one product in an order."""

MAX_COUPONS = 5
"""Codes of an order."""

MAX_ON_HAND = 1_000_000_000
"""Pieces of one product in the stock."""

SHIP_AHEAD = timedelta(days=90)
"""How long an order can wait for its shipping date: its authorization is renewed meanwhile, on the card that the
customer lets us keep."""
