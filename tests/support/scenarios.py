"""Carts with a coupon, what they cost to the penny, and what their pieces give back one by one."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import text

from tests.support.api_process import tried
from tests.support.orders import Shop

ILLINOIS = {"street1": "1 Main Street", "city": "Springfield", "state": "IL", "zip": "62701", "country": "US"}
BERLIN = {"street1": "Lindenweg 1", "city": "Berlin", "zip": "10115", "country": "DE"}
WELLINGTON = {"street1": "1 Lambton Quay", "city": "Wellington", "zip": "6011", "country": "NZ"}
RATES = {
    "taxRates": [
        {"country": "US", "region": "IL", "rate": "8.25", "validFrom": "2026-01-01"},
        {"country": "DE", "rate": "20", "inclusive": True, "validFrom": "2026-01-01"},
    ],
    "shippingRates": [
        {"option": "ground", "country": "US", "fee": "5.95", "service": "Ground", "validFrom": "2026-01-01"},
        {"option": "ground", "country": "*", "fee": "0.00", "validFrom": "2026-01-01"},
    ],
}
"""8.25 % on top in Illinois, 20 % that the prices contain in Germany; 5.95 in the United States, free elsewhere."""


@dataclass(frozen=True)
class Scenario:
    """What is bought with a coupon, and the figures that every reader of the order has to see."""

    off: dict[str, str]  # kind and value of the promotion
    lines: tuple[tuple[str, int], ...]  # the price of a piece, and how many
    parts: dict[str, Any]  # of the order's view
    by_line: tuple[tuple[str, str], ...]  # discount and tax
    back: tuple[tuple[int, str], ...]  # the number of a line, and what one piece of it gives back
    address: dict[str, str] | None = None

    @property
    def total(self) -> str:
        return str(self.parts["totalAmount"])


PERCENT = Scenario(
    off={"kind": "percent", "value": "10"},
    lines=(("79.99", 1), ("199.99", 1), ("29.99", 2)),
    parts={"subtotal": "339.96", "shippingFee": "0.00", "taxes": [], "totalAmount": "305.96"},
    by_line=(("8.00", "0.00"), ("20.00", "0.00"), ("6.00", "0.00")),
    back=((2, "26.99"), (2, "26.99")),
)
FIXED = Scenario(
    off={"kind": "fixed", "value": "10.00"},
    lines=(("24.50", 3),),
    parts={"subtotal": "73.50", "shippingFee": "0.00", "taxes": [], "totalAmount": "63.50"},
    by_line=(("10.00", "0.00"),),
    back=((0, "21.16"), (0, "21.17"), (0, "21.17")),
)
TAX_INCLUDED = Scenario(
    off={"kind": "percent", "value": "25"},
    lines=(("23.90", 10),),
    parts={
        "subtotal": "239.00",
        "shippingFee": "0.00",
        "taxes": [{"rate": "20", "amount": "29.88", "inclusive": True}],
        "totalAmount": "179.25",
    },
    by_line=(("59.75", "29.88"),),
    back=((0, "17.92"), (0, "17.93")) * 5,
    address=BERLIN,
)
TAX_ON_TOP = Scenario(
    off={"kind": "percent", "value": "10"},
    lines=(("79.99", 1), ("24.50", 2)),
    parts={
        "subtotal": "128.99",
        "shippingFee": "5.95",
        "taxes": [{"rate": "8.25", "amount": "10.07", "inclusive": False}],
        "totalAmount": "132.11",
    },
    by_line=(("8.00", "5.94"), ("4.90", "3.64")),
    back=((1, "23.87"),),
    address=ILLINOIS,
)


@dataclass
class Shopper:
    """A customer in a scenario; each request can be sent again by its key, and is done once."""

    scenario: Scenario
    customer: str
    products: list[str]
    cart_id: str
    code: str
    address: dict[str, str] | None
    order_id: str = field(default="")

    async def checks_out(self, api: httpx.AsyncClient) -> httpx.Response | None:
        wanted: dict[str, Any] = {"paymentMethod": "credit_card", "expectedTotal": self.scenario.total}
        if self.address:
            wanted["shippingAddress"] = self.address
        return await tried(api, f"/api/carts/{self.cart_id}/checkout", wanted, f"order-{self.cart_id}")

    async def gives_back(self, api: httpx.AsyncClient, number: int) -> httpx.Response | None:
        """One piece, as the scenario's return of this number; behind the last one a piece that there is not."""
        line, _ = self.scenario.back[min(number, len(self.scenario.back) - 1)]
        wanted = {"items": [{"productId": self.products[line], "quantity": 1}], "reason": "came back", "by": "alice"}
        return await tried(api, f"/api/orders/{self.order_id}/refunds", wanted, f"back-{number}")

    async def sees_the_parts(self, api: httpx.AsyncClient) -> None:
        """The order shows how its total was made."""
        view = (await api.get(f"/api/orders/{self.order_id}")).json()
        parts = self.scenario.parts
        assert {name: view[name] for name in parts} == parts
        by_line = tuple((item["discount"], item.get("tax", "0.00")) for item in view["items"])
        assert by_line == self.scenario.by_line
        assert [one["code"] for one in view["discounts"]] == [self.code]


async def new_code(api: httpx.AsyncClient, off: dict[str, str], **limits: int) -> str:
    promotion = await api.post("/api/promotions", json={"name": "A discount", **off})
    assert promotion.status_code == 201, promotion.text
    code = f"CODE-{secrets.token_hex(4).upper()}"
    coupon = {"code": code, "promotionId": promotion.json()["promotionId"], **limits}
    assert (await api.post("/api/coupons", json=coupon)).status_code == 201
    return code


async def filled(
    api: httpx.AsyncClient,
    shop: Shop,
    scenario: Scenario,
    *,
    code: str | None = None,
    products: list[str] | None = None,
    address: dict[str, str] | None = None,
) -> Shopper:
    """A customer whose cart has everything in it, and the coupon; `address` for a shop that has rates."""
    customer, cart_id = await shop.customer(), ""
    found = products or [await shop.product(on_hand=100, price=price) for price, _ in scenario.lines]
    for product, (_, pieces) in zip(found, scenario.lines, strict=True):
        added = await api.post(f"/cart/{customer}/add", json={"productId": product, "quantity": pieces})
        cart_id = added.json()["cartId"]
    code = code or await new_code(api, scenario.off)
    answer = await api.put(f"/api/carts/{cart_id}/coupon", json={"code": code})
    assert answer.status_code == 200, answer.text
    return Shopper(scenario, customer, found, cart_id, code, scenario.address or address)


@asynccontextmanager
async def rates_of_the_scenarios(
    api: httpx.AsyncClient, shop: Shop, rates: dict[str, Any] = RATES
) -> AsyncIterator[None]:
    """The shop has rates meanwhile; with them every order needs an address."""
    answer = await api.post("/api/rates", json=rates)
    assert answer.status_code == 200, answer.text
    try:
        yield
    finally:
        async with shop.sessions() as session, session.begin():
            for table in ("tax_rates", "shipping_rates"):
                await (await session.connection()).execute(text(f"DELETE FROM {table}"))  # noqa: S608
