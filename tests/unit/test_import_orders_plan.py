"""The plan of an import: orders from invoices, cancels from C-invoices, and nothing lost on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commandline.imports.order_file import OrderFile, Row
from commandline.imports.plan import Plan, PlannedCancel, PlannedOrder, make_plan

Entry = tuple[str, str, int, str, str, str]  # invoice, stock code, quantity, price, customer, day

IDENTITY = hashlib.sha256(b"file").hexdigest()


def plan(*entries: Entry, limit: int | None = None) -> Plan:
    rows = [
        Row(number, 8, invoice, code, "Lamp", str(quantity), f"2010-12-{day} 08:26:00", price, customer, "EIRE")
        for number, (invoice, code, quantity, price, customer, day) in enumerate(entries, start=2)
    ]
    return make_plan(OrderFile("orders.csv", IDENTITY, 8, rows), limit)


def codes(made: Plan) -> dict[int, str]:
    return {number: skip.code for number, skip in made.skips.items()}


def test_places_one_order_per_invoice() -> None:
    """With all its lines, also two of the same product, and the exact total."""
    made = plan(
        ("1", "A", 6, "2.55", "7", "01"), ("1", "K", 1, "0.42", "7", "01"), ("1", "A", 4, "2.55", "7", "01"),
        ("2", "A", 1, "2.55", "8", "01"),
    )  # fmt: skip
    assert [(order.invoice, len(order.lines), order.total.minor) for order in made.orders] == [
        ("1", 3, 10 * 255 + 42),
        ("2", 1, 255),
    ]
    assert made.skips == {}


def test_gives_an_invoice_the_same_key_in_every_run() -> None:
    """By the content of the file and its number, whatever the limit; another invoice and another file have others."""
    line = ("1", "A", 6, "2.55", "7", "01")
    more = ("2", "A", 6, "2.55", "7", "01")
    keys = [plan(line).orders[0].key, plan(line, more, limit=1).orders[0].key]
    assert keys[0] == keys[1]
    assert plan(line, more).orders[1].key != keys[0]
    assert all("!" <= letter <= "~" for letter in keys[0]) and len(keys[0]) <= 255


def test_replays_in_the_order_of_the_dates() -> None:
    """Whatever the order of the file; invoices of one minute as they stand."""
    made = plan(("3", "A", 1, "1.00", "7", "03"), ("2", "A", 1, "1.00", "7", "01"), ("1", "A", 1, "1.00", "7", "01"))
    assert [order.invoice for order in made.orders] == ["2", "1", "3"]


def test_finds_an_invoice_whose_lines_lie_apart() -> None:
    """They are one order."""
    made = plan(("1", "A", 1, "1.00", "7", "01"), ("2", "A", 1, "1.00", "7", "01"), ("1", "K", 1, "1.00", "7", "01"))
    assert [(order.invoice, len(order.lines)) for order in made.orders] == [("1", 2), ("2", 1)]


def test_cancels_the_order_that_a_cancellation_undoes_exactly() -> None:
    """Same customer, same products, all pieces, however the lines are split."""
    made = plan(
        ("1", "A", 6, "2.55", "7", "01"), ("1", "K", 1, "1.00", "7", "01"),
        ("C2", "K", -1, "1.00", "7", "02"), ("C2", "A", -2, "2.55", "7", "02"), ("C2", "A", -4, "2.55", "7", "02"),
    )  # fmt: skip
    (cancel,) = made.cancels
    assert (cancel.order.invoice, cancel.order.canceled_by, len(cancel.lines)) == ("1", "C2", 3)
    assert made.skips == {}


def test_cancels_the_latest_of_several_such_orders_and_each_only_once() -> None:
    """Three orders, two cancellations: the first order stays."""
    order = ("A", 6, "2.55", "7")
    made = plan(
        ("1", *order, "01"), ("2", *order, "02"), ("3", *order, "03"),
        ("C4", "A", -6, "2.55", "7", "04"), ("C5", "A", -6, "2.55", "7", "05"), 
    )  # fmt: skip
    assert [(cancel.invoice, cancel.order.invoice) for cancel in made.cancels] == [("C4", "3"), ("C5", "2")]


@pytest.mark.parametrize(
    ("cancellation", "code"),
    [
        (("C9", "A", -5, "2.55", "7", "02"), "partial_return"),
        (("C9", "A", -6, "2.55", "7", "02"), "partial_return"),
        (("C9", "A", -7, "2.55", "7", "02"), "no_order_to_cancel"),
        (("C9", "Z", -1, "2.55", "7", "02"), "no_order_to_cancel"),
        (("C9", "A", -6, "2.55", "8", "02"), "no_order_to_cancel"),
        (("C9", "A", -6, "2.55", "", "02"), "guest_return"),
    ],
    ids=["fewer pieces", "one of two lines", "more pieces", "other goods", "another customer", "nobody"],
)
def test_says_why_a_cancellation_cancels_nothing(cancellation: Entry, code: str) -> None:
    """The order of two lines stays, and the line has its reason."""
    made = plan(("1", "A", 6, "2.55", "7", "01"), ("1", "K", 1, "1.00", "7", "01"), cancellation)
    assert (made.cancels, codes(made)) == ([], {4: code})
    assert made.orders[0].canceled_by is None


def test_judges_each_line_of_a_cancellation_that_cancels_nothing() -> None:
    """One may be part of an order while the other is of none."""
    made = plan(
        ("1", "A", 6, "2.55", "7", "01"), ("C2", "A", -1, "2.55", "7", "02"), ("C2", "Z", -1, "2.55", "7", "02")
    )
    assert codes(made) == {3: "partial_return", 4: "no_order_to_cancel"}


def test_cancels_no_order_that_comes_later() -> None:
    """Also where it stands before the cancellation in the file."""
    made = plan(("1", "A", 6, "2.55", "7", "05"), ("C2", "A", -6, "2.55", "7", "01"))
    assert codes(made) == {3: "no_order_to_cancel"}


def test_cancels_no_order_at_another_price() -> None:
    """The money that goes back is the order's, so the books would not balance."""
    made = plan(("1", "A", 6, "2.55", "7", "01"), ("C2", "A", -6, "2.50", "7", "02"))
    assert codes(made) == {3: "other_price"}


def test_leaves_fees_of_a_cancellation_aside_as_it_left_those_of_the_order() -> None:
    """Postage was not ordered, so its return does not make the cancellation another one."""
    made = plan(
        ("1", "A", 6, "2.55", "7", "01"), ("1", "POST", 1, "18.00", "7", "01"),
        ("C2", "A", -6, "2.55", "7", "02"), ("C2", "POST", -1, "18.00", "7", "02"),
    )  # fmt: skip
    assert [cancel.order.invoice for cancel in made.cancels] == ["1"]
    assert codes(made) == {3: "not_goods", 5: "not_goods"}


def test_skips_an_invoice_that_cannot_be_charged() -> None:
    """Under Stripe's smallest charge and above its largest, with the API's own words."""
    made = plan(
        ("1", "A", 1, "0.29", "7", "01"), ("2", "A", 1, "0.30", "7", "01"), ("3", "A", 100, "10000.00", "7", "01")
    )
    assert codes(made) == {2: "total_not_chargeable", 4: "total_not_chargeable"}
    assert made.skips[2].reason == "a total of 0.29 GBP is under the smallest chargeable amount, 0.30 GBP"


def test_skips_the_line_that_takes_a_product_over_the_most_that_can_be_ordered() -> None:
    """The API looks at the sum of a product's lines."""
    made = plan(
        ("1", "A", 99_999, "0.01", "7", "01"), ("1", "A", 2, "0.01", "7", "01"), ("1", "A", 1, "0.01", "7", "01")
    )
    assert codes(made) == {3: "quantity_too_large"}
    assert sum(line.pieces for line in made.orders[0].lines) == 100_000


def test_skips_an_invoice_with_more_lines_than_an_order_may_have() -> None:
    """All of it: half an order would be another one."""
    made = plan(*[("1", f"A{number}", 1, "1.00", "7", "01") for number in range(501)])
    assert (len(made.skips), made.orders) == (501, [])
    assert len(plan(*[("1", f"A{number}", 1, "1.00", "7", "01") for number in range(500)]).orders) == 1


def test_skips_a_line_of_another_customer() -> None:
    """An order has one."""
    made = plan(("1", "A", 1, "1.00", "7", "01"), ("1", "K", 1, "1.00", "8", "01"))
    assert codes(made) == {3: "other_customer"}


def test_looks_at_the_first_invoices_only_when_limited() -> None:
    """By the order of the file; the others are skipped, saying so, and cancel nothing."""
    made = plan(
        ("1", "A", 6, "2.55", "7", "02"), ("2", "A", 6, "2.55", "8", "01"), ("1", "K", 1, "1.00", "7", "02"),
        ("C3", "A", -6, "2.55", "8", "02"), limit=2,
    )  # fmt: skip
    assert [order.invoice for order in made.orders] == ["2", "1"]
    assert codes(made) == {5: "beyond_limit"}
    assert made.orders[0].canceled_by is None


entries = st.tuples(
    st.sampled_from(["1", "2", "3", "C4", "C5", ""]),
    st.sampled_from(["A", "K", "POST", ""]),
    st.integers(-3, 3),
    st.sampled_from(["1.00", "2.00", "0", "-1", "x", "0.001"]),
    st.sampled_from(["7", "8", ""]),
    st.sampled_from(["01", "02"]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(entries, max_size=20), st.none() | st.integers(1, 4))
def test_every_line_is_in_an_order_in_a_cancel_or_skipped(made_up: Sequence[Entry], limit: int | None) -> None:
    """Exactly once, whatever the file holds; and what is canceled is worth what was ordered."""
    made = plan(*made_up, limit=limit)
    told = list(made.skips) + [line.row.number for job in made.jobs for line in job.lines]
    assert sorted(told) == [line.row.number for line in made.lines]
    for cancel in made.cancels:
        returned = sum(line.pieces * line.price.minor for line in cancel.lines)
        assert (returned, cancel.order.canceled_by) == (cancel.order.total.minor, cancel.invoice)


@settings(deadline=None, max_examples=60)
@given(st.lists(entries, max_size=20))
def test_an_order_is_begun_before_its_cancel(made_up: Sequence[Entry]) -> None:
    """The run depends on it: a cancel waits for its order."""
    begun: set[str] = set()
    for job in plan(*made_up).jobs:
        if isinstance(job, PlannedCancel):
            assert job.order.invoice in begun
        else:
            assert isinstance(job, PlannedOrder)
            begun.add(job.invoice)
