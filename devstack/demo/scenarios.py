"""The four orders of the demo: what is sent, what is done to them, and what must be true of the books after."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Scenario:
    """One order. Money is in cents, stock changes are by product id, both after everything has ended."""

    title: str
    body: Mapping[str, Any]
    answer: int  # the HTTP status of the checkout
    outcome: str  # the order's last status
    payment_statuses: frozenset[str]
    authorized: int = 0
    captured: int = 0
    voided: int = 0
    sold: Mapping[str, int] = field(default_factory=dict)
    held_while_waiting: Mapping[str, int] = field(default_factory=dict)  # product id to pieces reserved
    labels: int = 0  # live ones at the carrier
    cancel_by_signal: bool = False


def _order(items: Mapping[str, int], payment_method: str = "credit_card", **more: Any) -> dict[str, Any]:
    lines = [{"product_id": product, "quantity": quantity} for product, quantity in items.items()]
    return {"customer_id": "001", "items": lines, "payment_method": payment_method, **more}


GOOD = Scenario(
    title="A good order",
    body=_order({"001": 1, "002": 1}),
    answer=201,
    outcome="DELIVERED",
    payment_statuses=frozenset({"Captured"}),
    authorized=27_998,
    captured=27_998,
    sold={"001": 1, "002": 1},
    labels=1,
)
DECLINED = Scenario(
    title="A declined card",
    body=_order({"001": 1}, payment_method="pm_card_chargeDeclined"),
    answer=402,
    outcome="REJECTED",
    payment_statuses=frozenset({"Failed"}),
)
TOO_MANY = Scenario(
    title="More than the stock",
    body=_order({"002": 1_000}),
    answer=409,
    outcome="REJECTED",
    payment_statuses=frozenset({"Pending", "Failed"}),  # Stripe was never asked
)


def canceled_by_signal() -> Scenario:
    """It waits until tomorrow, so that the signal finds it waiting."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    return Scenario(
        title="Canceled by a signal",
        body=_order({"001": 2}, shipNotBefore=tomorrow),
        answer=201,
        outcome="CANCELED",
        payment_statuses=frozenset({"Voided"}),
        authorized=15_998,
        voided=15_998,
        held_while_waiting={"001": 2},
        cancel_by_signal=True,
    )


def scenarios() -> list[Scenario]:
    """In the order in which they are placed."""
    return [GOOD, DECLINED, TOO_MANY, canceled_by_signal()]
