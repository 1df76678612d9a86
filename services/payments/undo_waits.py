"""Refunds of an undo that Stripe has accepted and the customer's bank has not: they take days, and nothing is wrong.

The undo's own look writes down that it waits, so that whoever is about to call a person knows.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from adapters.clock import now
from domain.steps import RETURN, FenceState
from services.orders.book import LockedOrder

WAIT = "refund_on_its_way"
"""The fence that remembers since when; it is touched at each look."""

FIRST_LOOK, LAST_LOOK = timedelta(seconds=30), timedelta(hours=6)
LATENESS = timedelta(hours=1)  # of a look, on a busy day
PATIENCE = timedelta(days=10)
"""How long a bank may take: 5 to 10 business days (https://docs.stripe.com/refunds), so a person looks after that."""


async def note_wait(order: LockedOrder) -> timedelta:
    """How long to wait before the next look: as long as it has lasted, within bounds."""
    since = (order.result_of(WAIT) or {}).get("since") or now().isoformat()
    order.mark(WAIT, FenceState.DONE, {"since": since})
    return min(max(now() - datetime.fromisoformat(since), FIRST_LOOK), LAST_LOOK)


def is_on_its_way(order: LockedOrder, step: str) -> bool:
    """Whether the step was seen to wait for a bank at its last look, and not for too long."""
    fence = order.fence(WAIT)
    if step != RETURN or fence is None or fence.result is None:
        return False
    at = now()
    seen_lately = at - fence.updated_at <= LAST_LOOK + LATENESS
    return seen_lately and at - datetime.fromisoformat(fence.result["since"]) <= PATIENCE
