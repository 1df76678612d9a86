"""Recognizes echoes of our own steps against the rows, inside the statements that store and claim events.

`domain/echoes.py` says what the books have to say, and docs/decisions/0026-echoes.md why that is enough.
"""

from __future__ import annotations

import json

from domain.echoes import STEPS_RUN, Echo

_UNTOUCHED = "orders.hold IS NULL AND NOT orders.needs_attention AND orders.waits_for IS NULL"

# Of `event`, an alias with the columns `source`, `object_id` and `says`; false where `says` is null.
IS_ECHO = f"""(event.says IS NOT NULL AND CASE event.source
    WHEN 'stripe' THEN EXISTS (
        SELECT FROM payments JOIN orders USING (order_id)
         WHERE payments.payment_intent_id = event.object_id
           AND event.says -> 'rows' ? payments.state
           AND event.says -> 'orders' ? orders.status
           AND payments.amount_minor = CAST(event.says ->> 'amount' AS bigint)
           AND upper(payments.currency) = event.says ->> 'currency'
           AND payments.captured_minor = coalesce(CAST(event.says ->> 'captured' AS bigint), payments.captured_minor)
           AND payments.refunded_minor = 0
           AND NOT EXISTS (SELECT FROM refunds WHERE refunds.order_id = payments.order_id)
           AND {_UNTOUCHED})
    WHEN 'carrier' THEN EXISTS (
        SELECT FROM shipments JOIN orders USING (order_id)
         WHERE shipments.shipment_id = event.object_id
           AND shipments.state = 'bought'
           AND event.says -> 'rows' ? shipments.parcel_status
           AND event.says -> 'orders' ? orders.status
           AND {_UNTOUCHED})
    ELSE false END)"""  # noqa: S608  # nothing but constants
"""Whether our books already say what the event says, so that it is not looked at."""

_STEPS_RUN = ", ".join(f"'{status}'" for status in sorted(STEPS_RUN))

MAY_BECOME_ONE = f"""(event.says IS NOT NULL AND event.source = 'stripe' AND NOT EXISTS (
        SELECT FROM payments JOIN orders USING (order_id)
         WHERE payments.payment_intent_id = event.object_id
           AND (orders.status NOT IN ({_STEPS_RUN}) OR orders.hold IS NOT NULL)))"""
"""Whether a step of ours may be about to write what the event says: the payment is not booked yet, or at work."""


def written(echo: Echo | None) -> str | None:
    """As JSON, as the statements read it."""
    if echo is None:
        return None
    sets = {"orders": sorted(echo.orders), "rows": sorted(echo.rows)}
    return json.dumps(sets | {"amount": echo.amount, "currency": echo.currency, "captured": echo.captured})
