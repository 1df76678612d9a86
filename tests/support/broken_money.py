"""Ways to break clean books of a run of chaos, each with the rule of money that has to find it."""

from __future__ import annotations

from chaos.books import Books
from tests.support.broken_books import Break, change, more, row, without
from tests.support.chaos_books import entry, hand


def refunded_by_hand(books: Books) -> None:
    """A dollar of an order that goes out, given back at Stripe's dashboard and booked."""
    books.journal.append(hand("shipped", "refund"))
    books.money.append(entry("shipped", "refund", 100))
    change("payments", "shipped", refunded_minor=100)(books)


def overused(books: Books) -> None:
    """Two orders hold the code, it counts both, and one was allowed."""
    change("redemptions", "voided", state="held")(books)
    row(books.coupons, code="SAVE10").update(used=2)


SECOND_HOLD = (
    entry("voided", "authorize"),
    entry("voided", "authorize", payment="pi_other"),
    entry("voided", "void"),
    entry("voided", "void", payment="pi_other"),
)

UNCOUNTED = {"code": "OTHER", "usage_limit": None, "per_customer": None, "used": 1}

BROKEN: list[tuple[str, str, Break]] = [
    (
        "a refund at the dashboard has no ticket",
        "kept_is_the_value_of_what_goes_out",
        lambda books: refunded_by_hand(books),
    ),
    (
        "a refund at the dashboard is in no book of ours",
        "payments_equal_the_ledger",
        more("money", entry("shipped", "refund", 100)),
    ),
    ("captured more than held", "ledger_is_possible", more("money", entry("ready", "capture", 1))),
    ("captured what was voided", "ledger_is_possible", more("money", entry("voided", "capture"))),
    ("gave back too much", "ledger_is_possible", more("money", entry("refunded", "refund", 1))),
    ("two holds at one time", "no_second_live_authorization", more("money", *SECOND_HOLD)),
    (
        "held anew though it was taken",
        "no_second_live_authorization",
        more("money", entry("ready", "authorize", payment="pi_2"), entry("ready", "void", payment="pi_2")),
    ),
    ("money of nobody", "money_is_of_orders", more("money", entry("nobody", "authorize"))),
    (
        "a canceled order was charged",
        "kept_is_the_value_of_what_goes_out",
        without("money", order_id="refunded", kind="refund"),
    ),
    (
        "a rejected order was charged",
        "kept_is_the_value_of_what_goes_out",
        more("money", entry("declined", "authorize"), entry("declined", "capture")),
    ),
    (
        "what goes out was not paid",
        "kept_is_the_value_of_what_goes_out",
        without("money", order_id="ready", kind="capture"),
    ),
    (
        "a dropped line was charged",
        "kept_is_the_value_of_what_goes_out",
        change("order_lines", "ready", dropped=True),
    ),
    (
        "a refund of an operator never reached Stripe",
        "kept_is_the_value_of_what_goes_out",
        more("refunds", {"order_id": "ready", "amount_minor": 100, "state": "succeeded"}),
    ),
    ("a total is wrong", "totals_are_sums_of_their_parts", change("orders", "ready", total_minor=1001)),
    ("a discount is not in the total", "totals_are_sums_of_their_parts", change("orders", "ready", discount_minor=1)),
    ("a discount is on no line", "adjustments_add_up", change("order_lines", "delivered", discount_minor=99)),
    ("a fee has no source", "adjustments_add_up", change("orders", "ready", shipping_fee_minor=5)),
    ("a line is taxed, and nobody says why", "adjustments_add_up", change("order_lines", "ready", added_tax_minor=1)),
    (
        "a coupon is used beyond its limit",
        "coupons_count_their_orders",
        lambda books: overused(books),
    ),
    (
        "a customer uses a code twice that each may use once",
        "no_customer_uses_a_code_too_often",
        change("redemptions", "voided", state="held"),
    ),
    ("a coupon is used and not counted", "coupons_count_their_orders", more("coupons", UNCOUNTED)),
    (
        "a canceled order keeps its coupon",
        "redemptions_follow_their_orders",
        change("redemptions", "voided", state="held"),
    ),
    (
        "a delivered order has given its coupon back",
        "redemptions_follow_their_orders",
        change("redemptions", "delivered", state="released"),
    ),
    (
        "a canceled order's money is still held",
        "no_live_authorization_of_what_is_over",
        without("money", order_id="voided", kind="void"),
    ),
    (
        "our book has a penny less",
        "payments_equal_the_ledger",
        change("payments", "ready", captured_minor=999),
    ),
    (
        "our book does not know of a refund",
        "payments_equal_the_ledger",
        change("payments", "refunded", refunded_minor=0),
    ),
    (
        "our book holds what is voided",
        "payments_equal_the_ledger",
        change("payments", "voided", state="authorized"),
    ),
    (
        "our book lacks a payment",
        "payments_equal_the_ledger",
        without("payments", order_id="ready"),
    ),
]
