"""Calls to Stripe as they are saved before they are first sent: what every retry, worker and version sends again.

Without the saved row a retry would send its own idea of the parameters, and Stripe refuses another body under a key
that it knows (https://docs.stripe.com/api/idempotent_requests).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from adapters.clock import now
from adapters.postgres.rows import new_row
from services.orders.book import LockedOrder
from services.payments.tables import PaymentAttempt

KEY_WINDOW = timedelta(hours=23)
"""How long a key is safe to send again: Stripe prunes keys after at least 24 hours
(https://docs.stripe.com/api/idempotent_requests)."""


@dataclass(frozen=True)
class SavedCall:
    """One business attempt of a call to Stripe.

    `operation` names what the call is for; `round` which payment of the order it belongs to. `refused`: Stripe has
    refused what was sent of it, or of the attempt that it replaces, so that nothing of it has taken effect.
    """

    order_id: str
    operation: str
    attempt: int
    params: dict[str, Any]
    first_sent_at: datetime
    round: int = 1
    refused: bool = False

    @property
    def key(self) -> str:
        """The idempotency key: of the business attempt, never of Temporal's."""
        return f"{self.order_id}:{self.operation}:{self.attempt}"

    @property
    def key_may_be_pruned(self) -> bool:
        """Whether Stripe may have forgotten the key, so that the same call would be carried out a second time."""
        return now() - self.first_sent_at > KEY_WINDOW


@dataclass(frozen=True)
class ListRead:
    """How far Stripe's list of what was created until `until` has been read: to the id `after`, newest first."""

    until: datetime
    after: str | None = None


def saved_call(order: LockedOrder, operation: str, round: int | None = None) -> SavedCall | None:
    """The call's latest attempt, of all rounds or of one; None where it was never saved."""
    calls = [
        row for row in order.rows_of(PaymentAttempt) if row.operation == operation and round in (None, row.round)
    ]
    if not calls:
        return None
    row = max(calls, key=lambda call: call.attempt)
    refused = row.refused_at is not None
    return SavedCall(row.order_id, operation, row.attempt, row.params, row.first_sent_at, row.round, refused)


def save_call(order: LockedOrder, operation: str, params: dict[str, Any], round: int = 1) -> SavedCall:
    """Saves the call if its round has none; returns what is saved, which a former version may have written otherwise.

    A refused call whose parameters are not today's gets a next attempt with today's: as it was saved it would be
    refused for ever, whatever is mended. With the same parameters it is sent again as it is.
    """
    latest = saved_call(order, operation)
    saved = saved_call(order, operation, round) if latest is not None and latest.round > round else latest
    replaces_a_refused_one = False
    if saved is not None and saved.round == round:
        if not saved.refused:
            return saved
        if saved.params == params:
            _set_refused_at(order, saved, None)  # what is sent from now on may take effect
            return saved
        replaces_a_refused_one = True
    attempt = latest.attempt + 1 if latest else 1
    new = SavedCall(order.row.order_id, operation, attempt, params, now(), round, replaces_a_refused_one)
    return _insert(order, new)


def next_attempt(order: LockedOrder, call: SavedCall) -> SavedCall:
    """The next business attempt of a call, with the same parameters and a key of its own.

    Only after a look has shown that the former attempts have not taken effect: Stripe keeps a failure under its key,
    so that the same key would get the same failure for a day.
    """
    latest = saved_call(order, call.operation)
    assert latest is not None
    if latest.attempt > call.attempt and latest.round == call.round:
        return latest
    return _insert(order, replace(call, attempt=latest.attempt + 1, first_sent_at=now(), refused=False))


def mark_refused(order: LockedOrder, call: SavedCall) -> None:
    """Stripe has refused the call for what was sent, and a look has shown that it has not taken effect."""
    _set_refused_at(order, call, now())


def list_read(order: LockedOrder, call: SavedCall) -> ListRead:
    """Where the look for what `call` has created goes on; a new look ends at what is there by now."""
    row = _row_of(order, call)
    if row.look is None:
        return ListRead(until=now())
    return ListRead(until=datetime.fromisoformat(row.look["until"]), after=row.look["after"])


def save_list_read(order: LockedOrder, call: SavedCall, read: ListRead) -> None:
    """Saves how far the look has come, for the attempt that goes on with it."""
    row = _row_of(order, call)
    row.look = {"until": read.until.isoformat(), "after": read.after}


def _set_refused_at(order: LockedOrder, call: SavedCall, at: datetime | None) -> None:
    row = _row_of(order, call)
    row.refused_at = at


def _row_of(order: LockedOrder, call: SavedCall) -> PaymentAttempt:
    named = (call.operation, call.attempt)
    return next(row for row in order.rows_of(PaymentAttempt) if (row.operation, row.attempt) == named)


def _insert(order: LockedOrder, call: SavedCall) -> SavedCall:
    """Under the lock of the order's row, so that there is no other writer."""
    row = asdict(call)
    del row["refused"]
    order.add(new_row(PaymentAttempt, **row))
    return call
