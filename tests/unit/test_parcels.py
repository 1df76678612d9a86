"""What a carrier says of a parcel, a label and a price, as this project understands it."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.webhooks.schemas import CarrierEvent, parse_event
from domain.commands import ParcelStatus
from domain.parcels import (
    FIRST_VOID_LOOK,
    LAST_VOID_LOOK,
    LabelRefund,
    Rate,
    cheapest,
    label_refund,
    next_void_look,
    parcel_status,
)

# As https://docs.easypost.com/docs/trackers lists them.
DOCUMENTED = [
    "unknown",
    "pre_transit",
    "in_transit",
    "out_for_delivery",
    "delivered",
    "available_for_pickup",
    "return_to_sender",
    "failure",
    "cancelled",
    "error",
]

S = ParcelStatus
STATUSES = st.sampled_from(list(ParcelStatus))


def test_every_documented_status_is_known() -> None:
    """None is taken for another one."""
    assert {*map(str, ParcelStatus)} == {*DOCUMENTED}
    assert [parcel_status(said).value for said in DOCUMENTED] == DOCUMENTED


@pytest.mark.parametrize(
    ("said", "details", "known"),
    [
        ("unknown", ["pre_transit", "in_transit"], S.IN_TRANSIT),  # the tracker has lost it again
        ("error", ["out_for_delivery"], S.IN_TRANSIT),
        ("pre_transit", ["unknown", "pre_transit", None], S.PRE_TRANSIT),
        ("cancelled", ["pre_transit"], S.CANCELED),
        ("held_at_customs", ["pre_transit", "held_at_customs"], S.IN_TRANSIT),  # a status that is new to us
        ("held_at_customs", [], S.UNKNOWN),
        ("failure", ["in_transit"], S.FAILURE),
        (None, [], S.UNKNOWN),
    ],
)
def test_a_scan_in_the_details_counts(said: str | None, details: list[str | None], known: ParcelStatus) -> None:
    """Whatever the status is now: a parcel that the carrier has had cannot be called back."""
    assert parcel_status(said, details) is known


@given(STATUSES, STATUSES)
def test_a_parcel_that_left_never_comes_back_by_old_news(known: ParcelStatus, news: ParcelStatus) -> None:
    """In whatever order webhooks and looks arrive."""
    then = known.then(news)
    assert then in (known, news)
    assert then.scanned == (known.scanned or news.scanned)
    assert then.then(known) is then.then(news) is then


@pytest.mark.parametrize("late", [S.PRE_TRANSIT, S.UNKNOWN, S.ERROR])
def test_a_void_label_stays_void(late: ParcelStatus) -> None:
    """Old news of it arrive after the news of its void."""
    assert S.PRE_TRANSIT.then(S.CANCELED).then(late) is S.CANCELED


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (None, None),
        ("", None),
        ("submitted", LabelRefund.SUBMITTED),
        ("refunded", LabelRefund.REFUNDED),
        ("rejected", LabelRefund.REJECTED),
        ("not_applicable", LabelRefund.NOT_APPLICABLE),
        ("under_inquiry", LabelRefund.SUBMITTED),
    ],
)
def test_a_refund_that_is_not_known_settles_nothing(said: str | None, known: LabelRefund | None) -> None:
    """Money and stock never go back because of a word that is new to us."""
    assert label_refund(said) is known
    assert known is None or known.final == (known is not LabelRefund.SUBMITTED)


def test_a_void_is_looked_at_a_hundred_times_in_a_month_and_not_forty_thousand_times() -> None:
    """First every half minute, then as often as its age doubles, in the end four times a day."""
    age, looks = timedelta(0), 0
    while age < timedelta(days=30):
        pause = next_void_look(age)
        assert FIRST_VOID_LOOK <= pause <= LAST_VOID_LOOK
        age, looks = age + pause, looks + 1
    assert looks == 130


def rate(price: str, *, days: int | None = 3, currency: str = "USD", name: str = "r") -> Rate:
    return Rate(name, Decimal(price), currency, days)


@pytest.mark.parametrize(
    ("rates", "most_days", "chosen"),
    [
        ([rate("18.40", days=1), rate("7.90", days=4), rate("9.00")], None, rate("7.90", days=4)),
        ([rate("100.00"), rate("9.50")], None, rate("9.50")),  # by value, not by letters
        ([rate("7.90", days=4), rate("9.00", days=2)], 2, rate("9.00", days=2)),
        ([rate("7.90", days=None), rate("9.00", days=2)], 3, rate("9.00", days=2)),  # it promises nothing
        ([rate("7.90", days=None), rate("7.90", days=5)], None, rate("7.90", days=5)),
        ([rate("5.00", currency="CAD"), rate("7.90")], None, rate("7.90")),
        ([rate("5.00", currency="CAD")], None, None),
        ([rate("7.90", days=4)], 2, None),
        ([], None, None),
    ],
)
def test_the_cheapest_rate_that_fits_is_taken(rates: list[Rate], most_days: int | None, chosen: Rate | None) -> None:
    """Wherever in the list it stands; of two at one price the faster one."""
    assert cheapest(rates, "USD", most_days) == cheapest(rates[::-1], "USD", most_days) == chosen


def test_a_service_that_was_paid_for_is_bought_whatever_is_cheaper() -> None:
    """Its cheapest rate, however long it takes; without one none fits."""
    ground, express = (
        rate("7.90", days=4)._replace(service="Ground"),
        rate("18.40", days=1)._replace(service="Express"),
    )
    assert cheapest([ground, express], "USD", 2, "Ground") == ground
    assert cheapest([ground, express], "USD", service="Express") == express
    assert cheapest([ground, express], "USD", service="Overnight") is None


def test_the_end_of_a_refund_is_told_by_an_event_about_its_shipment() -> None:
    """As EasyPost documents its Refund object: the carrier's webhook takes it like any tracker's."""
    refund = {"id": "rfnd_1", "object": "Refund", "status": "refunded", "carrier": "USPS", "shipment_id": "shp_1"}
    event = {"id": "evt_1", "object": "Event", "description": "refund.successful", "result": refund}
    assert parse_event(CarrierEvent, json.dumps(event).encode()).result.shipment_id == "shp_1"
