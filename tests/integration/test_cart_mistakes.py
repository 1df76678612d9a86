"""Each way to change a cart refuses the same mistakes by the same problem, and then nothing is changed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx
import pytest

from domain.identities import Role
from tests.support.identities import Anybody
from tests.support.orders import Shop

BAD_QUANTITIES: tuple[Any, ...] = (0, -1, 1.5, 2.0, 100_001, 10**30, "two", "-1", "1.5", True, [1])


class Way(NamedTuple):
    """A request that changes a cart; `counts` are those with a number of pieces."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    counts: bool = False


class Carts(NamedTuple):
    """A customer's cart with two lamps at version 2, a guest's, and every way to change the first."""

    api: httpx.AsyncClient
    customer: str
    cart_id: str
    guest_id: str
    lamp: str
    ways: Mapping[str, Way]

    async def send(self, name: str, **more: Any) -> httpx.Response:
        way = self.ways[name]
        body = None if way.body is None else way.body | more.pop("body", {})
        return await self.api.request(way.method, way.path, json=body, **more)

    async def orders(self) -> list[Any]:
        found: list[Any] = (await self.api.get("/api/orders", params={"customerId": self.customer})).json()["orders"]
        return found

    async def is_as_it_was(self) -> bool:
        cart = (await self.api.get(f"/api/carts/{self.cart_id}")).json()
        guests = (await self.api.get(f"/api/carts/{self.guest_id}")).json()
        pieces = [(item["productId"], item["quantity"]) for item in cart["items"]]
        whole = (cart["state"], cart["version"], cart.get("coupon"), pieces, guests["state"], guests["version"])
        return whole == ("open", 2, None, [(self.lamp, 2)], "open", 2)


@pytest.fixture
async def carts(api: httpx.AsyncClient, shop: Shop) -> Carts:
    customer, lamp = await shop.customer(), await shop.product(price="24.50")
    pieces = {"productId": lamp, "quantity": 2}
    cart_id = (await api.post(f"/cart/{customer}/add", json=pieces)).json()["cartId"]
    guest_id = (await api.post("/api/carts", json={})).json()["cartId"]
    assert (await api.post(f"/api/carts/{guest_id}/lines", json=pieces)).status_code == 200
    promotion = (await api.post("/api/promotions", json={"name": "A tenth", "kind": "percent", "value": "10"})).json()
    coupon = {"code": f"c-{secrets.token_hex(4)}", "promotionId": promotion["promotionId"]}
    assert (await api.post("/api/coupons", json=coupon)).status_code == 201
    cart, checkout = f"/api/carts/{cart_id}", {"paymentMethod": "credit_card", "expectedTotal": "49.00"}
    ways = {
        "add to the open cart": Way("POST", f"/cart/{customer}/add", pieces, counts=True),
        "remove from the open cart": Way("DELETE", f"/cart/{customer}/remove", pieces, counts=True),
        "add": Way("POST", f"{cart}/lines", pieces, counts=True),
        "set": Way("PUT", f"{cart}/lines/{lamp}", {"quantity": 2}, counts=True),
        "take out": Way("DELETE", f"{cart}/lines/{lamp}"),
        "use a coupon": Way("PUT", f"{cart}/coupon", {"code": coupon["code"]}),
        "use no coupon": Way("DELETE", f"{cart}/coupon"),
        "merge": Way("POST", f"{cart}/merge", {"from": guest_id}),
        "check out": Way("POST", f"{cart}/checkout", checkout),
    }
    return Carts(api, customer, cart_id, guest_id, lamp, ways)


async def test_no_way_takes_a_bad_number_of_pieces(carts: Carts) -> None:
    """Each names the field."""
    for name in (name for name, way in carts.ways.items() if way.counts):
        for quantity in BAD_QUANTITIES:
            answer = await carts.send(name, body={"quantity": quantity})
            said = (answer.status_code, answer.json()["type"], answer.json()["errors"][0]["field"])
            assert said == (422, "/problems/invalid-quantity", "quantity"), (name, quantity)
    by_query = f"/cart/{carts.customer}/remove?productId={carts.lamp}&quantity=-1"
    assert (await carts.api.delete(by_query)).json()["type"] == "/problems/invalid-quantity"
    assert await carts.is_as_it_was()


async def test_no_way_takes_a_stale_version(carts: Carts) -> None:
    """412 with the version that it has now; what is no ETag of a cart is a 400."""
    for name in carts.ways:
        stale = await carts.send(name, headers={"If-Match": '"1"'})
        said = (stale.status_code, stale.json()["type"], stale.json()["version"])
        assert said == (412, "/problems/stale-cart", 2), name
        bad = await carts.send(name, headers={"If-Match": "2"})
        assert (bad.status_code, bad.json()["type"]) == (400, "/problems/bad-if-match"), name
    assert await carts.is_as_it_was()


async def test_no_way_leads_into_another_customers_cart(carts: Carts, shop: Shop) -> None:
    """Whose it is cannot be told from the answer; neither can it be read, listed, or merged into one's own."""
    stranger = Anybody(Role.CUSTOMER, customer_id=await shop.customer())
    for name in carts.ways:
        answer = await carts.send(name, auth=stranger)
        types = {"/problems/no-such-cart", "/problems/no-such-customer"}
        assert (answer.status_code, answer.json()["type"] in types) == (404, True), (name, answer.text)
    for path in (f"/cart/{carts.customer}", f"/api/carts/{carts.cart_id}"):
        assert (await carts.api.get(path, auth=stranger)).status_code == 404
    assert (await carts.api.get("/api/carts", auth=stranger)).status_code == 403
    opened = await carts.api.post("/api/carts", json={"customerId": carts.customer}, auth=stranger)
    assert opened.status_code == 404
    own = (await carts.api.post("/api/carts", json={}, auth=stranger)).json()["cartId"]
    stolen = await carts.api.post(f"/api/carts/{own}/merge", json={"from": carts.cart_id}, auth=stranger)
    assert (stolen.status_code, stolen.json()["type"]) == (404, "/problems/no-such-cart")
    assert await carts.is_as_it_was()


async def test_no_way_changes_a_cart_that_was_ordered(carts: Carts, worker: None) -> None:
    """Each names the order, and the next add of the customer begins a new cart."""
    order_id = (await carts.send("check out")).json()["orderId"]
    for name in (name for name in carts.ways if name not in ("add to the open cart", "remove from the open cart")):
        more = {"body": {"expectedTotal": "50.00"}} if name == "check out" else {}
        answer = await carts.send(name, **more)
        said = (answer.status_code, answer.json()["type"], answer.json().get("orderId"))
        assert said == (409, "/problems/cart-ordered", order_id), name
    assert (await carts.send("remove from the open cart")).json()["items"] == []
    new = (await carts.send("add to the open cart")).json()
    assert (new["cartId"] != carts.cart_id, new["items"][0]["quantity"]) == (True, 2)


async def test_a_coupon_that_ends_in_the_cart_is_told_and_not_taken(carts: Carts) -> None:
    """The cart is open as before, and its owner decides: without the code it can be ordered at the full price."""
    coupon = carts.ways["use a coupon"].body
    assert coupon is not None
    assert (await carts.send("use a coupon")).json()["total"] == "44.10"
    promotion = (await carts.api.get(f"/api/coupons/{coupon['code']}")).json()["promotionId"]
    over = await carts.api.patch(f"/api/promotions/{promotion}", json={"ends": "2026-01-31T00:00:00Z"})
    assert over.status_code == 200

    cart = (await carts.api.get(f"/api/carts/{carts.cart_id}")).json()
    assert (cart["total"], cart["couponRefusal"]["code"], cart["version"]) == ("49.00", "expired", 3)
    assert "ended on 2026-01-31" in cart["couponRefusal"]["detail"]
    for total in ("44.10", "49.00"):
        refused = await carts.send("check out", body={"expectedTotal": total})
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/coupon-expired")
    assert (await carts.send("use no coupon")).json()["version"] == 4
    assert await carts.orders() == []


async def test_stock_and_prices_reach_an_open_cart(carts: Carts) -> None:
    """At its next read, in both forms of the path; the cart itself is as it was."""
    for change, seen in (({"onHand": 3}, "low"), ({"onHand": 0}, "out"), ({"onHand": 50}, "in_stock")):
        assert (await carts.api.post(f"/inventory/{carts.lamp}/update", json=change)).status_code == 200
        for path in (f"/cart/{carts.customer}", f"/api/cart/{carts.customer}", f"/api/carts/{carts.cart_id}"):
            assert (await carts.api.get(path)).json()["items"][0]["availability"] == seen
    assert (await carts.api.patch(f"/api/products/{carts.lamp}", json={"price": "20.00"})).status_code == 200
    cart = (await carts.api.get(f"/cart/{carts.customer}")).json()
    assert (cart["total"], cart["items"][0]["priceChange"]) == ("40.00", {"was": "24.50", "now": "20.00"})
    assert await carts.is_as_it_was()
