"""Carts of a run: each piece that a client was told of is in one place, and one order comes from a cart."""

from collections import Counter
from collections.abc import Iterator

from chaos.auditor import Finding
from chaos.books import Books, by

KEPT = frozenset(["open", "expired"])  # their lines are in no order and in no other cart
Pieces = Counter[tuple[str, str]]
"""By owner (a customer, or the id of a guest's cart) and product."""


def no_piece_is_lost_or_doubled(books: Books) -> Iterator[Finding]:
    """What clients put in and took out is in open carts and in orders that were not rejected, piece by piece."""
    wanted, found = _asked(books), _found(books)
    for owner, product in sorted(wanted.keys() | found.keys()):
        if wanted[owner, product] != found[owner, product]:
            yield owner, f"{found[owner, product]} pieces of {product}, not {wanted[owner, product]}"


def one_order_comes_from_a_cart(books: Books) -> Iterator[Finding]:
    """An ordered cart names the one order that was not rejected; a cart in any other state has none."""
    live = by((one for one in books.orders if one["cart_id"] and one["status"] != "REJECTED"), "cart_id")
    for cart in books.carts:
        orders = [order["order_id"] for order in live.pop(cart["cart_id"], [])]
        if orders != ([cart["order_id"]] if cart["state"] == "ordered" else []):
            yield cart["cart_id"], f"is {cart['state']} with {cart['order_id']}, and has the orders {orders}"
    for cart_id in live:
        yield str(cart_id), "has an order and is no cart"


def a_customer_has_one_open_cart(books: Books) -> Iterator[Finding]:
    """At most."""
    for customer, carts in by((one for one in books.carts if one["state"] == "open"), "customer_id").items():
        if customer is not None and len(carts) > 1:
            yield customer, f"{len(carts)} open carts"


def checkouts_got_what_they_were_told(books: Books) -> Iterator[Finding]:
    """A checkout that was confirmed has its order, of this cart and for the total that was agreed to."""
    orders = {order["order_id"]: order for order in books.orders}
    for entry in (one for one in books.journal if one["kind"] == "checkout" and one["status"] == 201):
        order = orders.get(entry["orderId"])
        if order is None or order["cart_id"] != entry["cartId"] or order["status"] == "REJECTED":
            yield entry["cartId"], f"was told of the order {entry['orderId']}"
        elif order["total_minor"] != entry["total"]:
            yield entry["cartId"], f"agreed to {entry['total']}, and ordered for {order['total_minor']}"


def _asked(books: Books) -> Pieces:
    asked: Pieces = Counter()
    for entry in books.journal:
        if entry["kind"] == "pieces":
            asked[entry["owner"], entry["productId"]] += entry["change"]
        elif entry["kind"] == "merged":
            for owner, product in [one for one in asked if one[0] == entry["guest"]]:
                asked[entry["customer"], product] += asked.pop((owner, product))
    return asked


def _found(books: Books) -> Pieces:
    found: Pieces = Counter()
    owners = {one["cart_id"]: one["customer_id"] or one["cart_id"] for one in books.carts if one["state"] in KEPT}
    for line in books.cart_lines:
        if owner := owners.get(line["cart_id"]):
            found[owner, line["product_id"]] += line["quantity"]
    buyers = {
        one["order_id"]: one["customer_id"] for one in books.orders if one["cart_id"] and one["status"] != "REJECTED"
    }
    for line in books.order_lines:
        if owner := buyers.get(line["order_id"]):
            found[owner, line["product_id"]] += line["quantity"]
    return found


CART_RULES = (
    no_piece_is_lost_or_doubled,
    one_order_comes_from_a_cart,
    a_customer_has_one_open_cart,
    checkouts_got_what_they_were_told,
)
