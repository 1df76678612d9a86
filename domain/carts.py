"""The rules of carts: how two become one, what a cart may hold, what is said of stock, and when a cart is over.

A cart holds nothing and keeps no price: what it shows is priced and looked up at each read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from domain.errors import BadField, Conflict, InvalidInput
from domain.limits import MAX_LINES, MAX_QUANTITY


class CartState(StrEnum):
    """Where a cart is in its life. Only an open one can be changed."""

    OPEN = "open"
    ORDERED = "ordered"  # an order was placed from it; it is open again if that order is rejected
    MERGED = "merged"  # its lines went to another cart
    EXPIRED = "expired"  # nobody came back


class Availability(StrEnum):
    """What a cart says of a product's stock: a hint, since nothing is held before an order is placed."""

    IN_STOCK = "in_stock"
    LOW = "low"  # few are left, or fewer than the cart wants
    OUT = "out"


class Line(NamedTuple):
    """All pieces of one product in a cart; `price_seen` (minor units) is what one cost when the line was changed."""

    product_id: str
    quantity: int
    price_seen: int


class Bounds(NamedTuple):
    """A cart of the kind that was touched last before its time is over; one before `abandoned` is left."""

    guest: datetime
    customer: datetime
    empty: datetime
    abandoned: datetime


class Lives(NamedTuple):
    """For how long a cart stays as it is when nobody touches it."""

    guest: timedelta
    customer: timedelta
    empty: timedelta
    abandoned: timedelta  # after this CartAbandoned is told, once

    def bounds(self, at: datetime) -> Bounds:
        """Which carts are over, or left, at this time: those that were touched last before."""
        return Bounds(at - self.guest, at - self.customer, at - self.empty, at - self.abandoned)


def availability(available: int, wanted: int, low: int) -> Availability:
    """The hint for a line of `wanted` pieces; `low` pieces or fewer are few."""
    if available < 1:
        return Availability.OUT
    return Availability.LOW if available <= low or available < wanted else Availability.IN_STOCK


def added(before: int, more: int) -> int:
    """Pieces of a line after an add. Raises InvalidInput for more than a line may have."""
    return checked(before + more)


def checked(quantity: int) -> int:
    """The quantity itself. Raises InvalidInput for one that no line can have."""
    if not 1 <= quantity <= MAX_QUANTITY:
        raise bad_quantity(f"1 to {MAX_QUANTITY} pieces of a product are taken, those in the cart included")
    return quantity


def bad_quantity(message: str) -> InvalidInput:
    """The refusal of a number of pieces."""
    return InvalidInput("invalid_quantity", message, fields=[BadField("quantity", message)])


def merged(lines: Iterable[Line], others: Iterable[Line]) -> list[Line]:
    """The lines of two carts as one: quantities are added and capped, what is new comes after what was there.

    Nobody is told no at a login because of stock or a limit of pieces. Raises Conflict for too many lines.
    """
    found = {line.product_id: line for line in lines}
    for other in others:
        known = found.get(other.product_id)
        if known is None:
            found[other.product_id] = other
        else:
            found[other.product_id] = known._replace(quantity=min(MAX_QUANTITY, known.quantity + other.quantity))
    require_room(len(found))
    return list(found.values())


def require_room(lines: int) -> None:
    """Raises Conflict where a cart would have more lines than an order may have."""
    if lines > MAX_LINES:
        raise Conflict("cart_full", f"a cart has {MAX_LINES} products at most")


def require_one_currency(currency: str | None, other: str, product_id: str | None = None) -> None:
    """Raises Conflict where what comes is priced in another currency than the cart; an empty one has none."""
    if currency not in (None, other):
        fields = [BadField("product_id", f"priced in {other}")] if product_id else ()
        detail = f"the cart is in {currency}, and this is priced in {other}"
        raise Conflict("other_currency", detail, fields=fields, currency=currency)
