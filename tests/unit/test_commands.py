"""What people and callers may send, and what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.commands import REASON_LENGTH, CancelRequest, FulfillOrder, ParcelStatus
from domain.money import Money

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ORDER = FulfillOrder(order_id="o1", customer_id="c1", total=Money(minor=1000, currency="USD"))


@pytest.mark.parametrize(
    ("given", "reason", "by"),
    [
        (None, "requested", "operations"),
        ("", "requested", "operations"),
        ("   ", "requested", "operations"),
        ("changed my mind", "changed my mind", "operations"),
        ("  padded ", "padded", "operations"),
        ({}, "requested", "operations"),
        ({"reason": "late", "by": "alice"}, "late", "alice"),
        ({"reason": "late", "actor": "bob"}, "late", "bob"),
        ({"reason": None, "by": None}, "requested", "operations"),
        ({"reason": "late", "by": "  "}, "late", "operations"),
        ({"why": "an unknown field"}, "requested", "operations"),
        (42, "42", "operations"),
        (0, "requested", "operations"),
        (True, "True", "operations"),
        (["a", "b"], "['a', 'b']", "operations"),
        ({"reason": {"nested": 1}, "by": 7}, "{'nested': 1}", "7"),
    ],
)
def test_reads_a_cancel_whatever_was_sent(given: Any, reason: str, by: str) -> None:
    """Input absent, a string, an object, or something odd: the cancel counts, with what reason there is."""
    assert CancelRequest.from_input(given) == CancelRequest(reason=reason, by=by)


def test_a_cancel_keeps_who_asked_by_which_way() -> None:
    """Temporal's own cancellation has no actor: the way it came stands for it, unless one is named."""
    assert CancelRequest.from_input("stop", by="temporal").by == "temporal"
    assert CancelRequest.from_input({"reason": "stop", "by": "carol"}, by="temporal").by == "carol"


def test_a_cancel_that_is_one_stays_as_it_is() -> None:
    """The update brings a request that is read already."""
    request = CancelRequest(reason="r", by="api")
    assert CancelRequest.from_input(request, by="temporal") is request


def test_a_long_reason_is_cut() -> None:
    """Histories and timelines keep the beginning, not a novel."""
    request = CancelRequest.from_input({"reason": "x" * 10_000, "by": "y" * 10_000})
    assert request.reason == "x" * REASON_LENGTH
    assert request.by == "y" * 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=600),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10) | st.just("reason"), inner),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])  # for a busy machine
@given(JSON)
def test_no_json_makes_a_cancel_fail(given: Any) -> None:
    """A signal handler that raises would block the order's workflow: there is always a request within its bounds."""
    request = CancelRequest.from_input(given)
    assert 0 < len(request.reason) <= REASON_LENGTH
    assert 0 < len(request.by) <= 100


@pytest.mark.parametrize(
    ("grace", "not_before", "ship_at"),
    [
        (timedelta(0), None, NOON),
        (timedelta(hours=1), None, NOON + timedelta(hours=1)),
        (timedelta(0), NOON + timedelta(days=1), NOON + timedelta(days=1)),
        (timedelta(days=2), NOON + timedelta(days=1), NOON + timedelta(days=2)),
        (timedelta(hours=1), NOON - timedelta(days=1), NOON + timedelta(hours=1)),
    ],
)
def test_ships_after_the_grace_period_and_not_before_the_wished_time(
    grace: timedelta, not_before: datetime | None, ship_at: datetime
) -> None:
    """Whichever is later."""
    order = ORDER.model_copy(update={"grace_period": grace, "ship_not_before": not_before})
    assert order.ship_at(NOON) == ship_at


@pytest.mark.parametrize("status", list(ParcelStatus))
def test_a_parcel_is_scanned_once_the_carrier_has_it(status: ParcelStatus) -> None:
    """Also when it is on its way back or lost: what counts is that it has left the shop."""
    not_yet = {ParcelStatus.PRE_TRANSIT, ParcelStatus.CANCELED, ParcelStatus.UNKNOWN, ParcelStatus.ERROR}
    assert status.scanned == (status not in not_yet)
