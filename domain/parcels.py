"""What a carrier says of a parcel, its label and its price, in EasyPost's words (https://docs.easypost.com)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from pydantic import Field

from domain.commands import Message, ParcelStatus

BEFORE_THE_FIRST_SCAN = frozenset(["", "unknown", "pre_transit", "cancelled", "error"])

FIRST_VOID_LOOK, LAST_VOID_LOOK = timedelta(seconds=30), timedelta(hours=6)


def parcel_status(said: str | None, details: Iterable[str | None] = ()) -> ParcelStatus:
    """Where the parcel is, by a shipment's `status` and the statuses in its tracker's `tracking_details`.

    A tracker's status may fall back to `unknown` or `error`, and a status may be new to us. Then the details decide:
    one of them that is none of the four statuses before the first scan proves that the carrier has had the parcel.
    (https://docs.easypost.com/docs/trackers; what each status means:
    https://support.easypost.com/hc/en-us/articles/360044353091)
    """
    known = ParcelStatus(said) if said in set(ParcelStatus) else ParcelStatus.UNKNOWN
    if known.scanned or all((detail or "") in BEFORE_THE_FIRST_SCAN for detail in details):
        return known
    return ParcelStatus.IN_TRANSIT


class LabelRefund(StrEnum):
    """What the carrier says to a void: a shipment's `refund_status`.

    EasyPost names these four (https://docs.easypost.com/docs/shipments/shipping-refund). A decision takes up to 30
    days. What was rejected may be asked for again: a request very soon after the purchase may be rejected by mistake.
    """

    SUBMITTED = "submitted"  # the carrier decides later
    REFUNDED = "refunded"
    REJECTED = "rejected"  # the carrier keeps the price of the label
    NOT_APPLICABLE = "not_applicable"  # a carrier that bills on the first scan: nothing was paid, nothing comes back

    @property
    def final(self) -> bool:
        """Whether the carrier has decided. REJECTED and NOT_APPLICABLE are decisions, too."""
        return self is not LabelRefund.SUBMITTED


def label_refund(said: str | None) -> LabelRefund | None:
    """Reads a shipment's `refund_status`; None where no void was asked for.

    A status that EasyPost does not document counts as SUBMITTED: it settles nothing, and the carrier is asked again.
    """
    if not said:
        return None
    return LabelRefund(said) if said in set(LabelRefund) else LabelRefund.SUBMITTED


def next_void_look(age: timedelta) -> timedelta:
    """The pause before the next look at a void that was asked for `age` ago, from 30 seconds to 6 hours.

    That makes about 130 looks in the 30 days that a carrier may take.
    """
    return min(max(age, FIRST_VOID_LOOK), LAST_VOID_LOOK)


class Rate(NamedTuple):
    """What one `service` of a carrier asks for a parcel; `days` until its delivery, None where it does not say.

    `price` is in major units of `currency`, as EasyPost gives it (https://docs.easypost.com/docs/rates).
    """

    id: str
    price: Decimal
    currency: str
    days: int | None = None
    service: str | None = None


def cheapest(
    rates: Iterable[Rate], currency: str, most_days: int | None = None, service: str | None = None
) -> Rate | None:
    """The cheapest rate in that currency, of two the faster one; None when no rate fits.

    With a `service`, which the customer has paid for, only its rates fit; else, with `most_days`, those that promise
    the delivery within so many days.
    """
    in_currency = [rate for rate in rates if rate.currency == currency]
    fitting = [rate for rate in in_currency if (rate.service == service if service else _in_time(rate, most_days))]
    return min(fitting, key=lambda rate: (rate.price, rate.days is None, rate.days, rate.id), default=None)


def _in_time(rate: Rate, most_days: int | None) -> bool:
    return most_days is None or (rate.days is not None and rate.days <= most_days)


class ShippingOrigin(Message):
    """Where parcels come from: EasyPost's Address (https://docs.easypost.com/docs/addresses)."""

    name: str | None = None
    company: str | None = None
    street1: str = Field(min_length=1)
    street2: str | None = None
    city: str = Field(min_length=1)
    state: str | None = None
    zip: str = Field(min_length=1)
    country: str = Field(pattern="^[A-Z]{2}$")  # ISO 3166-1 alpha-2
    phone: str | None = None


PLACEHOLDER_ORIGIN = ShippingOrigin(
    company="Order Saga", street1="1 Example Street", city="Springfield", state="IL", zip="62701", country="US"
)
"""For the embedded stack, whose carrier delivers from anywhere."""
