"""The auditor of carts finds what is wrong: clean books, each of them broken on purpose, and one short real run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaos.auditor import audit
from chaos.books import Books
from chaos.cart_auditor import CART_RULES
from chaos.carts import carts

Break = Callable[[Books], None]


def cart(cart_id: str, customer: str | None, state: str = "open", order_id: str | None = None) -> dict[str, object]:
    return {"cart_id": cart_id, "customer_id": customer, "state": state, "order_id": order_id, "event_sequence": 0}


def pieces(owner: str, change: int) -> dict[str, object]:
    return {"kind": "pieces", "owner": owner, "productId": "lamp", "change": change}


def clean_books() -> Books:
    """Alice has put in 9, taken 1 out and got a guest's 2: 4 are ordered, 3 in a rejected order that came back."""
    books = Books()
    books.journal.extend([pieces("alice", 9), pieces("alice", -1), pieces("g1", 2), pieces("g2", 5)])
    books.journal.append({"kind": "merged", "guest": "g1", "customer": "alice"})
    told = {"kind": "checkout", "cartId": "c1", "status": 201, "orderId": "o1", "total": 400}
    books.journal.extend([told, told | {"cartId": "c2", "status": 409, "orderId": "o2"}])
    books.carts.extend([cart("c1", "alice", "ordered", "o1"), cart("c2", "alice"), cart("g1", None, "merged")])
    books.carts.append(cart("g2", None))
    lines = {"c2": 6, "g1": 2, "g2": 5, "c1": 4}
    books.cart_lines.extend(
        {"cart_id": one, "product_id": "lamp", "quantity": number} for one, number in lines.items()
    )
    for order_id, cart_id, status, quantity in (("o1", "c1", "CONFIRMED", 4), ("o2", "c2", "REJECTED", 3)):
        order = {"order_id": order_id, "cart_id": cart_id, "customer_id": "alice", "status": status}
        books.orders.append(order | {"total_minor": 100 * quantity})
        books.order_lines.append({"order_id": order_id, "product_id": "lamp", "quantity": quantity})
    return books


def set_(table: str, number: int, **columns: object) -> Break:
    def spoil(books: Books) -> None:
        row = getattr(books, table)[number]
        row.update(columns)

    return spoil


def second_cart(books: Books) -> None:
    books.carts.append(cart("c3", "alice"))


def second_order(books: Books) -> None:
    books.orders.append({**books.orders[0], "order_id": "o3"})


BROKEN: list[tuple[str, Break]] = [
    ("no_piece_is_lost_or_doubled", set_("cart_lines", 0, quantity=5)),
    ("no_piece_is_lost_or_doubled", set_("carts", 2, state="open")),
    ("no_piece_is_lost_or_doubled", set_("order_lines", 0, quantity=5)),
    ("one_order_comes_from_a_cart", second_order),
    ("one_order_comes_from_a_cart", set_("orders", 1, status="CONFIRMED")),
    ("a_customer_has_one_open_cart", second_cart),
    ("checkouts_got_what_they_were_told", set_("orders", 0, total_minor=401)),
    ("checkouts_got_what_they_were_told", set_("orders", 0, cart_id="c2")),
]


def test_finds_nothing_in_clean_books() -> None:
    """Merged and rejected ones included."""
    assert audit(clean_books(), CART_RULES) == []


@pytest.mark.parametrize(("rule", "spoil"), BROKEN)
def test_finds_books_that_were_broken_on_purpose(rule: str, spoil: Break) -> None:
    """The rule that is there for it finds it."""
    books = clean_books()
    spoil(books)
    assert rule in {violation.rule for violation in audit(books, CART_RULES)}


def test_every_rule_is_broken_by_a_test() -> None:
    """A rule that never finds anything would prove nothing."""
    assert {rule.__name__ for rule in CART_RULES} == {rule for rule, _ in BROKEN}


@pytest.mark.long
async def test_a_short_run_with_carts_ends_with_every_book_right() -> None:
    """40 carts, 8 clients, some seconds, one kill."""
    document = await carts(seed=1, count=40, clients=8, seconds=6, kills=1)
    assert document["violations"] == []
    assert document["clientsThatGaveUp"] == 0
    assert document["carts"]["ordered"] > 0
