"""The table of races between a cancel and a step: `tests/workflows/test_races.py` forces both orders of arrival."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from tests.support.races import (
    ARRIVALS,
    DECLINED,
    FORMS,
    NO_ADDRESS,
    RETRY_WINDOW,
    End,
    Race,
    Verdict,
    another_card,
    bank_answers,
    canceled,
    capture_refused,
    checkout,
    parcel,
    renewal,
    review_goes_on,
    review_is_closed,
    started,
)

GRANTED = Verdict("cancel_accepted", ("cancel accepted",))
LABEL_VOIDED = Verdict("label_voided", ("cancel requested, the carrier decides", "cancel accepted"))
SECOND_GRANTED = Verdict("cancel_accepted", ("cancel joined",))  # decided together with the first
SECOND_VOIDED = Verdict("label_voided", ("cancel joined",))
JOINED = Verdict("already_canceling")
SHIPPED = Verdict("already_shipped", ("cancel refused: already_shipped",))
DELIVERED = Verdict("already_delivered", ("cancel refused: already_delivered",))
REJECTED = Verdict("already_rejected", ("cancel refused: already_rejected",))

MONEY = ("return_payment", "release_inventory")
ALL = ("cancel_shipment", *MONEY)

NOTHING_PAID = End("CANCELED", "Pending", MONEY)  # the task that began a payment may have been lost
CARD_REFUSED = End("CANCELED", "Failed", MONEY)
MONEY_VOIDED = End("CANCELED", "Voided", MONEY)
ALL_VOIDED = End("CANCELED", "Voided", ALL)
ALL_REFUNDED = End("CANCELED", "Refunded", ALL)
TURNED_DOWN = End("REJECTED", "Failed", MONEY)
ARRIVED = End("DELIVERED", "Captured")

READY, WAITING, TOMORROW = OrderStatus.READY_TO_SHIP, OrderStatus.CONFIRMED, timedelta(days=1)
SCAN, DELIVERY = ParcelStatus.IN_TRANSIT, ParcelStatus.DELIVERED
RECORD, CLOSE = "record_cancel_request", "close_order"

RACES = (
    # the checkout
    Race("reservation", "reserve_inventory", checkout(), GRANTED, NOTHING_PAID),
    Race("sold_out", "reserve_inventory", checkout(on_hand=1), GRANTED, NOTHING_PAID, on_hand=1),
    Race("authorization", "authorize_payment", checkout(), GRANTED, MONEY_VOIDED),
    Race("decline", "authorize_payment", checkout(DECLINED), GRANTED, CARD_REFUSED),
    Race("decline_with_time", "authorize_payment", checkout(DECLINED, window=RETRY_WINDOW), GRANTED, CARD_REFUSED),
    Race("another_card", "authorize_payment", another_card("pm_card_visa"), GRANTED, MONEY_VOIDED),
    Race("another_card_declined", "authorize_payment", another_card(DECLINED), GRANTED, CARD_REFUSED),
    Race("3d_secure", "check_payment", bank_answers, GRANTED, MONEY_VOIDED),
    # the wait before shipping
    Race("renewal", "keep_authorization", renewal, GRANTED, MONEY_VOIDED),
    Race("review_closed", "keep_authorization", review_is_closed, GRANTED, MONEY_VOIDED),
    Race("review_goes_on", "keep_authorization", review_goes_on, GRANTED, MONEY_VOIDED),
    # the shipment
    Race("label", "ship_order", started(), LABEL_VOIDED, ALL_VOIDED),
    Race("label_refused", "ship_order", started(address=NO_ADDRESS), LABEL_VOIDED, ALL_VOIDED),
    Race("capture", "capture_payment", started(local=True), LABEL_VOIDED, ALL_REFUNDED),
    Race("capture_refused", "capture_payment", capture_refused, LABEL_VOIDED, ALL_VOIDED),
    Race("first_scan", "record_shipped", parcel(SCAN), SHIPPED, ARRIVED),
    Race("delivery", "record_delivered", parcel(SCAN, DELIVERY), DELIVERED, ARRIVED),
    # an undo that runs already, and a second cancel
    Race("second_cancel", RECORD, canceled(WAITING, TOMORROW), SECOND_GRANTED, MONEY_VOIDED),
    Race("second_cancel_with_label", RECORD, canceled(READY), SECOND_VOIDED, ALL_REFUNDED),
    Race("void", "cancel_shipment", canceled(READY), SECOND_VOIDED, ALL_REFUNDED),
    Race("undo_of_capture", "return_payment", canceled(READY), JOINED, ALL_REFUNDED, at_once=True),
    Race("undo_of_money", "return_payment", canceled(WAITING, TOMORROW), JOINED, MONEY_VOIDED, at_once=True),
    Race("undo_of_stock", "release_inventory", canceled(WAITING, TOMORROW), JOINED, MONEY_VOIDED, at_once=True),
    Race("turned_back_void", "cancel_shipment", started(address=NO_ADDRESS), JOINED, ALL_VOIDED),
    Race("turned_back_record", RECORD, started(address=NO_ADDRESS), JOINED, ALL_VOIDED),
    Race("turned_back_undo", "return_payment", started(address=NO_ADDRESS), JOINED, ALL_VOIDED, at_once=True),
    Race("rejection", "release_inventory", started(DECLINED), REJECTED, TURNED_DOWN),
    # the end of the workflow
    Race("end_of_a_cancel", CLOSE, canceled(WAITING, TOMORROW), JOINED, MONEY_VOIDED, at_once=True),
    Race("end_of_a_rejection", CLOSE, started(DECLINED), REJECTED, TURNED_DOWN),
)


def on_servers(number: int) -> tuple[str, str]:
    """The arrival and the form in which the suite runs the race of this number on the real servers."""
    return list(product(ARRIVALS, FORMS))[number % (len(ARRIVALS) * len(FORMS))]


def in_memory(number: int) -> tuple[str, str]:
    """Those in which it runs the race on steps in memory: the other arrival, and another form."""
    arrival, form = on_servers(number)
    return ARRIVALS[1 - ARRIVALS.index(arrival)], FORMS[(FORMS.index(form) + 1) % len(FORMS)]
