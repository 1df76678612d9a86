"""What an event may say to be taken for an echo of our own step: the whole table, and everything that is none."""

from __future__ import annotations

from typing import Any

import pytest

from domain.commands import ParcelStatus
from domain.echoes import STEPS_RUN, UNDER_WAY, Echo, of_parcel, of_payment
from domain.order_states import FINAL, OrderStatus
from domain.payments import PaymentState
from events.payment_follow_up import SAME

INTENT: dict[str, Any] = {
    "object": "payment_intent",
    "status": "requires_capture",
    "amount": 1000,
    "currency": "usd",
    "amount_received": 0,
    "amount_capturable": 1000,
    "review": None,
}
CHARGE: dict[str, Any] = {
    "object": "charge",
    "status": "succeeded",
    "amount": 1000,
    "currency": "usd",
    "captured": True,
    "amount_captured": 700,
    "amount_refunded": 0,
    "disputed": False,
    "review": None,
}
CREATED = ("payment_intent.created", {**INTENT, "status": "requires_confirmation", "amount_capturable": 0})
AUTHORIZED = ("payment_intent.amount_capturable_updated", INTENT)
CAPTURED = (
    "payment_intent.succeeded",
    {**INTENT, "status": "succeeded", "amount_received": 700, "amount_capturable": 0},
)
CHARGED = ("charge.captured", CHARGE)
CHARGE_AUTHORIZED = ("charge.succeeded", {**CHARGE, "captured": False, "amount_captured": 0})

_P = PaymentState
BEFORE_CAPTURE = {_P.AUTHORIZED, _P.CAPTURED}


@pytest.mark.parametrize(
    ("event", "rows", "captured"),
    [
        (CREATED, {_P.CREATED, _P.REQUIRES_ACTION, _P.AUTHORIZED, _P.CAPTURED}, None),
        (AUTHORIZED, BEFORE_CAPTURE, None),
        (CHARGE_AUTHORIZED, BEFORE_CAPTURE, None),
        (CAPTURED, {_P.CAPTURED}, 700),
        (CHARGED, {_P.CAPTURED}, 700),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_an_event_of_our_own_step_is_an_echo_of_its_state_and_of_later_ones(
    event: tuple[str, dict[str, Any]], rows: set[PaymentState], captured: int | None
) -> None:
    """A payment that went back, was voided, refunded or declined is never among them."""
    assert of_payment(*event) == Echo(UNDER_WAY, frozenset(rows), 1000, "USD", captured)


def test_an_order_that_is_over_or_goes_back_hears_no_echo() -> None:
    """There each event is looked at: money that comes late reaches a person."""
    assert set(OrderStatus) - FINAL - {OrderStatus.CANCELING} == UNDER_WAY
    assert STEPS_RUN < UNDER_WAY


def test_the_state_of_an_echo_is_one_at_which_a_look_tells_nothing() -> None:
    """What the follow-up itself holds to be the same is the first of the states that make an echo."""
    for kind, about in (CREATED, AUTHORIZED, CAPTURED):
        echo = of_payment(kind, about)
        assert echo is not None
        assert echo.rows & SAME[about["status"]], kind


NEWS = [
    *(
        (kind, INTENT)
        for kind in (
            "payment_intent.canceled",
            "payment_intent.payment_failed",
            "payment_intent.requires_action",
            "payment_intent.processing",
            "payment_intent.partially_funded",
            "a.kind.of.tomorrow",
        )
    ),
    *(
        (kind, CHARGE)
        for kind in (
            "charge.refunded",
            "charge.expired",
            "charge.failed",
            "charge.updated",
            "charge.dispute.created",
            "charge.dispute.closed",
            "refund.created",
            "review.opened",
            "radar.early_fraud_warning.created",
        )
    ),
    *((kind, {**about, "review": "prv_1"}) for kind, about in (CREATED, AUTHORIZED, CAPTURED, CHARGED)),
    *((kind, {**about, "status": "canceled"}) for kind, about in (CREATED, AUTHORIZED, CAPTURED, CHARGED)),
    *((kind, {**about, "status": "processing"}) for kind, about in (CREATED, AUTHORIZED, CAPTURED, CHARGED)),
    *((kind, {**about, "amount": wrong}) for kind, about in (CREATED, CAPTURED) for wrong in (None, "1000", True, 0)),
    *((kind, {**about, "currency": wrong}) for kind, about in (CREATED, CHARGED) for wrong in (None, 1)),
    ("payment_intent.created", INTENT),
    ("payment_intent.created", {**CREATED[1], "amount_received": 1}),
    ("payment_intent.amount_capturable_updated", {**INTENT, "amount_capturable": 999}),
    ("payment_intent.amount_capturable_updated", {**INTENT, "amount_received": 1}),
    ("payment_intent.succeeded", {**CAPTURED[1], "amount_received": None}),
    ("payment_intent.succeeded", {**CAPTURED[1], "amount_capturable": 300}),
    ("payment_intent.succeeded", CHARGE),
    ("charge.captured", {**CHARGE, "disputed": True}),
    ("charge.captured", {**CHARGE, "disputed": None}),
    ("charge.captured", {**CHARGE, "amount_refunded": 1}),
    ("charge.captured", {**CHARGE, "captured": False}),
    ("charge.captured", {**CHARGE, "amount_captured": 0}),
    ("charge.captured", CAPTURED[1]),
    ("charge.succeeded", CHARGE),
    ("charge.succeeded", {**CHARGE_AUTHORIZED[1], "status": "pending"}),
    ("charge.succeeded", {}),
]


@pytest.mark.parametrize(("kind", "about"), NEWS)
def test_everything_else_is_looked_at(kind: str, about: dict[str, Any]) -> None:
    """A dispute, a review, a refund, another status, an amount that cannot be: none of them is an echo."""
    assert of_payment(kind, about) is None


_S = ParcelStatus


@pytest.mark.parametrize(
    ("said", "orders", "rows"),
    [
        (_S.UNKNOWN, {OrderStatus.CONFIRMED, OrderStatus.READY_TO_SHIP}, {_S.UNKNOWN, _S.PRE_TRANSIT}),
        (_S.PRE_TRANSIT, {OrderStatus.CONFIRMED, OrderStatus.READY_TO_SHIP}, {_S.PRE_TRANSIT}),
        (_S.IN_TRANSIT, {OrderStatus.SHIPPED}, {_S.IN_TRANSIT, _S.OUT_FOR_DELIVERY, _S.PICKUP}),
        (_S.OUT_FOR_DELIVERY, {OrderStatus.SHIPPED}, {_S.OUT_FOR_DELIVERY, _S.PICKUP}),
        (_S.PICKUP, {OrderStatus.SHIPPED}, {_S.PICKUP}),
    ],
)
def test_a_parcel_that_is_no_further_than_our_books_is_an_echo(
    said: ParcelStatus, orders: set[OrderStatus], rows: set[ParcelStatus]
) -> None:
    """Carriers tell of every station, and of the label that we have just bought."""
    for kind in ("tracker.created", "tracker.updated"):
        assert of_parcel(kind, {"status": said.value}) == Echo(frozenset(orders), frozenset(rows))


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        *(
            ("tracker.updated", {"status": said})
            for said in ("delivered", "return_to_sender", "failure", "cancelled", "error", "tomorrow", None, 1, ["x"])
        ),
        ("refund.successful", {"status": "pre_transit"}),
        ("tracker.updated", {}),
        ("tracker.updated", {"status": "unknown", "tracking_details": "in_transit"}),
        ("tracker.updated", {"status": "unknown", "tracking_details": [{"status": "delivered"}, "x"]}),
    ],
)
def test_what_a_parcel_ends_with_is_looked_at(kind: str, about: dict[str, Any]) -> None:
    """And so is what cannot be read."""
    assert of_parcel(kind, about) is None


def test_a_scan_in_the_details_of_a_tracker_that_fell_back_is_a_scan() -> None:
    """So it is no echo for an order that waits for its first scan."""
    about = {"status": "unknown", "tracking_details": [{"status": "pre_transit"}, {"status": "in_transit"}]}
    echo = of_parcel("tracker.updated", about)
    assert echo is not None
    assert echo.orders == {OrderStatus.SHIPPED}
