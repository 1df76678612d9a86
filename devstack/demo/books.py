"""The three books of the demo, read from where they are kept: stock, money, labels. And what is wrong with them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from devstack.demo.scenarios import Scenario

PRODUCTS = ("001", "002")

Stock = dict[str, tuple[int, int]]  # product id: pieces on hand, pieces reserved


@dataclass(frozen=True)
class Placed:
    """What one scenario came to."""

    scenario: Scenario
    answer: int
    order: Mapping[str, Any]
    before: Stock
    after: Stock
    money: Mapping[str, int]  # cents by what Stripe's ledger calls it: authorize, capture, void, refund
    labels: int

    @property
    def stock_told(self) -> str:
        """The stock's changes in words."""
        changes = []
        for product, (on_hand, reserved) in self.after.items():
            before, reserved_before = self.before[product]
            if on_hand != before:
                changes.append(f"{product}: {before} -> {on_hand}")
            if reserved != reserved_before:
                changes.append(f"{product}: {reserved - reserved_before:+d} reserved")
        if not changes and self.scenario.held_while_waiting:
            held = self.scenario.held_while_waiting.items()
            return ", ".join(f"{product}: {pieces} reserved, given back" for product, pieces in held)
        return ", ".join(changes) or "as before"

    @property
    def money_told(self) -> str:
        """The money's way in words."""
        words = {"authorize": "authorized", "capture": "captured", "void": "voided", "refund": "refunded"}
        told = [f"{words.get(kind, kind)} {dollars(cents)}" for kind, cents in self.money.items()]
        return ", ".join(told) or "nothing held, nothing taken"


def dollars(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


class Books:
    """The books of one running stack."""

    def __init__(self, api: httpx.AsyncClient, stripe: httpx.AsyncClient, carrier: httpx.AsyncClient) -> None:
        self._api = api
        self._stripe = stripe
        self._carrier = carrier

    async def stock(self) -> Stock:
        found: Stock = {}
        for product in PRODUCTS:
            answer = (await self._api.get(f"/api/inventory/{product}")).raise_for_status().json()
            found[product] = (answer["onHand"], answer["reserved"])
        return found

    async def money(self, order_id: str) -> dict[str, int]:
        """Cents by kind of movement, from Stripe's own ledger."""
        sums: Counter[str] = Counter()
        for entry in await _ledger(self._stripe, order_id=order_id):
            sums[entry["kind"]] += entry["amount"]
        return dict(sums)

    async def labels(self, order_id: str) -> int:
        """Labels that are bought and not voided, from the carrier's own ledger."""
        entries = await _ledger(self._carrier)
        kinds = Counter(entry["kind"] for entry in entries if order_id in (entry["reference"] or ""))
        return kinds["label_bought"] - kinds["label_voided"] - kinds["label_not_billed"]

    async def violations(self) -> list[str]:
        """What Stripe's and the carrier's own audits of their ledgers find."""
        found = []
        for name, client in (("Stripe", self._stripe), ("Carrier", self._carrier)):
            audit = (await client.get("/_control/audit")).raise_for_status().json()
            found += [f"{name}'s own audit: {violation}" for violation in audit["violations"]]
        return found


async def _ledger(client: httpx.AsyncClient, **only: str) -> list[dict[str, Any]]:
    answer = await client.get("/_control/ledger", params=only)
    entries: list[dict[str, Any]] = answer.raise_for_status().json()
    return entries


def faults(placed: Placed) -> list[str]:
    """Everything that is not as the scenario demands; empty when all is right."""
    wanted, order, money = placed.scenario, placed.order, placed.money
    payment = order.get("paymentStatus")
    checks: Iterable[tuple[str, object, object]] = (
        ("the checkout answered", placed.answer, wanted.answer),
        ("the order ended", order.get("status"), wanted.outcome),
        ("authorized, in cents,", money.get("authorize", 0), wanted.authorized),
        ("captured, in cents,", money.get("capture", 0), wanted.captured),
        ("voided, in cents,", money.get("void", 0), wanted.voided),
        ("refunded, in cents,", money.get("refund", 0), 0),
        ("live labels", placed.labels, wanted.labels),
        *(
            (f"pieces of {product} on hand and reserved", placed.after[product], expected)
            for product, expected in _stock_wanted(placed).items()
        ),
    )
    found = [f"{what} {seen}, not {right}" for what, seen, right in checks if seen != right]
    if payment not in wanted.payment_statuses:
        found.append(f"paymentStatus {payment}, not {' or '.join(sorted(wanted.payment_statuses))}")
    return [f"{wanted.title}: {fault}" for fault in found]


def _stock_wanted(placed: Placed) -> Stock:
    sold = placed.scenario.sold
    return {
        product: (on_hand - sold.get(product, 0), reserved) for product, (on_hand, reserved) in placed.before.items()
    }
