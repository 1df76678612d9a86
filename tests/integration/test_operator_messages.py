"""A stolen card: the operator reads what to do in the order's trace, and the customer nothing of it anywhere."""

from __future__ import annotations

import pytest

from domain.order_states import OrderStatus
from tests.support.encryption import clear_history
from tests.support.orders import Shop

SECRET = "reported stolen"


@pytest.mark.usefixtures("worker")
async def test_only_the_trace_says_that_a_card_is_stolen(shop: Shop) -> None:
    """In the failure's details, which the Temporal Web UI shows; neither in the refusal nor in the timeline."""
    order = await shop.put(await shop.product(), payment_method="pm_card_visa_chargeDeclinedStolenCard")
    handle = await shop.start(order)
    assert await handle.result() is OrderStatus.REJECTED
    history = await clear_history(shop.client, handle.id)
    shown = b"".join(
        payload.data
        for event in history.events
        for payload in event.marker_recorded_event_attributes.failure.application_failure_info.details.payloads
    )
    assert SECRET in shown.decode()
    assert b"final" in shown
    row = await shop.order(order.order_id)
    assert row.refusal == {"code": "card_declined", "detail": "the card was declined"}
    assert "stolen" not in " ".join(line.what for line in await shop.timeline(order.order_id))
