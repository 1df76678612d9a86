"""How long an order waits for its customer, its bank and its carrier, and how often it looks meanwhile."""

from __future__ import annotations

from datetime import timedelta

CUSTOMER_PATIENCE = timedelta(minutes=15)
"""How long a customer has for 3-D Secure before the order is undone, where the order does not say."""

PAYMENT_POLL = timedelta(minutes=1)
"""How often a payment that waits for its customer is looked at: webhooks are faster, but may be lost."""

RENEWAL_MARGIN = timedelta(hours=12)
"""How long before its end an authorization is renewed."""

RENEWAL_PAUSE = timedelta(days=1)
"""An authorization is not renewed more often, whatever its end is said to be."""

TIME_TO_CAPTURE = timedelta(hours=2)
"""From the moment when an order may ship to its capture: an authorization that lasts longer is not renewed."""

KEEP_CARD_BEYOND = timedelta(days=2)
"""An order that waits longer than this for its shipment asks its customer to keep the card, for renewals."""

HOLD_POLL = timedelta(hours=6)
"""How often a payment on hold, or one whose authorization cannot be renewed, is looked at: webhooks may be lost."""

NO_SCAN_AFTER = timedelta(days=3)
"""How long a parcel may wait for its first scan before a person is called; seen at a tracking poll."""

TRACKING_POLL = timedelta(hours=6)
"""How often the carrier is asked for a parcel: its webhooks are faster, but may be lost."""

FIRST_TEXT_RETRY = timedelta(seconds=1)
LAST_TEXT_RETRY = timedelta(minutes=10)
"""Pauses between two tries to store what somebody wrote: doubled, from the first to the last."""
