"""What somebody sent to an order's workflow by hand, without our proof: told in the timeline, and not done."""

from __future__ import annotations

from domain.steps import FenceState
from services.identities.actors import UNVERIFIED
from services.orders.book import LockedOrder

MOST = 5
"""So many lines of one kind an order gets: whoever repeats it writes no book."""


def note_unproven(order: LockedOrder, kind: str, what: str, by: str = "") -> None:
    """Tells the timeline; `kind` is a short word for what was wished, `by` the name that came with it."""
    fence = f"unproven_{kind}"
    known = order.result_of(fence) or {"times": 0}
    times = int(known["times"]) + 1
    if times <= MOST:
        order.note(what, by=f"{UNVERIFIED}{by or 'nobody'}")
        order.mark(fence, FenceState.REFUSED, {"times": times})
