"""What made the totals of a run, and which coupons its orders have used: parts add up, and no use is lost."""

from collections import Counter
from collections.abc import Iterator

from chaos.auditor import UNDONE, Finding
from chaos.books import Books, Row, by

UNDECIDED = frozenset(["PLACED", "CANCELING"])  # its coupons are not taken yet, or not given back yet


def paid(line: Row) -> int:
    """What a line costs its customer: its price less its discount, and the tax that comes on top."""
    price: int = line["quantity"] * line["unit_price_minor"]
    return price - int(line["discount_minor"]) + int(line["added_tax_minor"])


def value(books: Books) -> Counter[str]:
    """By order: the total, without the lines that were dropped."""
    due = Counter({order["order_id"]: int(order["total_minor"]) for order in books.orders})
    for line in books.order_lines:
        due[line["order_id"]] -= paid(line) if line["dropped"] else 0
    return due


def totals_are_sums_of_their_parts(books: Books) -> Iterator[Finding]:
    lines = by(books.order_lines, "order_id")
    for order in books.orders:
        total = sum(line["quantity"] * line["unit_price_minor"] for line in lines.get(order["order_id"], []))
        total += order["shipping_fee_minor"] + order["added_tax_minor"] - order["discount_minor"]
        if total != order["total_minor"]:
            yield order["order_id"], f"total {order['total_minor']}, its parts {total}"


def adjustments_add_up(books: Books) -> Iterator[Finding]:
    """Those of an order to the amounts on its row, those of a line to what the line says."""
    of_order, of_line = Counter[tuple[str, str]](), Counter[tuple[str, str, str]]()
    for row in books.adjustments:
        if row["kind"] != "tax" or not row["inclusive"]:
            of_order[row["order_id"], row["kind"]] += row["amount_minor"]
            of_line[row["order_id"], row["product_id"] or "", row["kind"]] += row["amount_minor"]
    for order in books.orders:
        parts = {"discount": "discount_minor", "fee": "shipping_fee_minor", "tax": "added_tax_minor"}
        for kind, column in parts.items():
            if order[column] != of_order[order["order_id"], kind]:
                yield order["order_id"], f"{column} {order[column]}, {of_order[order['order_id'], kind]} in its rows"
    for line in books.order_lines:
        for kind, column in (("discount", "discount_minor"), ("tax", "added_tax_minor")):
            if line[column] != (found := of_line[line["order_id"], line["product_id"], kind]):
                yield line["order_id"], f"{line['product_id']} has a {kind} of {line[column]}, {found} in its rows"


def coupons_count_their_orders(books: Books) -> Iterator[Finding]:
    held = Counter(row["code"] for row in books.redemptions if row["state"] == "held")
    for row in books.coupons:
        if row["used"] != held[row["code"]]:
            yield row["code"], f"used {row['used']} times, held by {held[row['code']]} orders"
        if row["usage_limit"] is not None and row["used"] > row["usage_limit"]:
            yield row["code"], f"used {row['used']} times, of {row['usage_limit']}"


def no_customer_uses_a_code_too_often(books: Books) -> Iterator[Finding]:
    """No more live orders of one customer hold a code than it allows each."""
    limits = {row["code"]: row["per_customer"] for row in books.coupons if row["per_customer"] is not None}
    held = Counter((row["code"], row["customer_id"]) for row in books.redemptions if row["state"] == "held")
    for (code, customer), count in held.items():
        if count > limits.get(code, count):
            yield code, f"{customer} holds it with {count} orders, of {limits[code]}"


def redemptions_follow_their_orders(books: Books) -> Iterator[Finding]:
    """Held from the reservation on, given back when the order has ended undone, and never else."""
    held = {(row["order_id"], row["code"]) for row in books.redemptions if row["state"] == "held"}
    for order in books.orders:
        for code in order["coupon_codes"] or ():
            wanted = order["status"] not in UNDONE
            if order["status"] not in UNDECIDED and ((order["order_id"], code) in held) != wanted:
                yield order["order_id"], f"is {order['status']}, and {'does not hold' if wanted else 'holds'} {code}"
