"""The report of an import: what became of every line, and books that balance only when they do."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from commandline.imports.journal import Facts
from commandline.imports.order_file import OrderFile, Row
from commandline.imports.plan import Plan, make_plan
from commandline.imports.report import Report, plain, write_report

LINES = (
    ("1", "A", "6", "2.55", "7", "01"),
    ("1", "POST", "1", "18.00", "7", "01"),
    ("2", "A", "2", "2.55", "8", "01"),
    ("C3", "A", "-2", "2.55", "8", "02"),
    ("C4", "A", "-1", "2.55", "7", "02"),
)


@pytest.fixture
def plan() -> Plan:
    """An order that stays, one that is canceled, and lines that are skipped."""
    rows = [
        Row(number, 8, invoice, code, "Lamp", quantity, f"2010-12-{day} 08:26:00", price, customer, "EIRE")
        for number, (invoice, code, quantity, price, customer, day) in enumerate(LINES, start=2)
    ]
    return make_plan(OrderFile("orders.csv", "0" * 64, 8, rows))


@pytest.fixture
def facts() -> Facts:
    """What the journal says after all went well."""
    facts = Facts(placed={"1": "one", "2": "two"}, canceled={"C3": ""})
    facts.settled = {
        "1": seen("READY_TO_SHIP", "Captured", "15.30"),
        "2": seen("CANCELED", "Voided", "5.10"),
    }
    return facts


def seen(status: str, payment: str, total: str, refusal: str = "") -> dict[str, str]:
    return {"status": status, "paymentStatus": payment, "total": total, "currency": "GBP", "refusal": refusal}


def outcomes(report: Report) -> list[str]:
    return [line["outcome"] for line in report.document["lines"]]


def test_says_of_every_line_what_became_of_it(plan: Plan, facts: Facts) -> None:
    """Ordered and canceled lines name their order, skipped ones their reason."""
    report = Report(plan, facts, None)
    lines = report.document["lines"]
    assert outcomes(report) == ["ordered", "skipped", "ordered", "canceled", "skipped"]
    assert [line.get("orderId") for line in lines] == ["one", None, "two", "two", None]
    assert [line.get("code") for line in lines] == [None, "not_goods", None, None, "partial_return"]
    assert lines[4]["reason"] == "partial return: an order is canceled as a whole"


def test_counts_and_sums_by_outcome_and_by_reason(plan: Plan, facts: Facts) -> None:
    """Nothing is lost: the outcomes add up to the file."""
    summary = Report(plan, facts, None).summary
    told = {name: (one["lines"], one["invoices"], one["amount"]) for name, one in summary["outcomes"].items()}
    assert told == {"ordered": (2, 2, "20.40"), "canceled": (1, 1, "-5.10"), "skipped": (2, 2, "15.45")}
    assert [(one["code"], one["lines"], one["amount"]) for one in summary["skipped"]] == [
        ("not_goods", 1, "18.00"),
        ("partial_return", 1, "-2.55"),
    ]


def test_balances_when_file_and_shop_agree(plan: Plan, facts: Facts) -> None:
    """What was ordered is what the shop charged; what was canceled was given back; the rest is kept."""
    report = Report(plan, facts, None)
    (book,) = report.books
    assert book == {
        "currency": "GBP",
        "orderedLines": "20.40",
        "orderTotals": "20.40",
        "canceledLines": "5.10",
        "canceledOrders": "5.10",
        "returned": "5.10",
        "kept": "15.30",
        "balanced": True,
    }
    assert report.balanced


@pytest.mark.parametrize(
    ("invoice", "wrong"),
    [
        ("1", seen("READY_TO_SHIP", "Captured", "15.31")),
        ("1", seen("READY_TO_SHIP", "Authorized", "15.30")),
        ("1", seen("CANCELED", "Refunded", "15.30")),
        ("2", seen("CANCELED", "Captured", "5.10")),
        ("2", seen("SHIPPED", "Voided", "5.10")),
    ],
    ids=[
        "a penny more",
        "not captured",
        "canceled by somebody else",
        "kept for a canceled order",
        "shipped for nothing",
    ],
)
def test_does_not_balance_when_money_is_wrong(plan: Plan, facts: Facts, invoice: str, wrong: dict[str, str]) -> None:
    """A penny is enough."""
    facts.settled[invoice] = wrong
    report = Report(plan, facts, None)
    assert (report.complete, report.balanced) == (True, False)


def test_keeps_a_second_currency_apart(plan: Plan, facts: Facts) -> None:
    """An order that the shop charged in dollars balances with nothing."""
    facts.settled["1"] = seen("READY_TO_SHIP", "Captured", "15.30") | {"currency": "USD"}
    report = Report(plan, facts, None)
    assert [(book["currency"], book["balanced"]) for book in report.books] == [("GBP", False), ("USD", False)]


def test_skips_what_the_shop_would_not_place_and_still_balances(plan: Plan, facts: Facts) -> None:
    """With the API's own words; the cancellation of such an order is skipped too."""
    del facts.placed["2"], facts.settled["2"]
    facts.refused["2"] = "invalid_request: the request has bad fields"
    del facts.canceled["C3"]
    report = Report(plan, facts, None)
    lines = report.document["lines"]
    assert (lines[2]["code"], lines[3]["code"], report.balanced) == ("refused", "cancel_refused", True)
    assert lines[2]["reason"] == "refused: invalid_request: the request has bad fields"


def test_skips_an_order_that_was_rejected_later(plan: Plan, facts: Facts) -> None:
    """It names the order, which charged nothing."""
    facts.settled["1"] = seen("REJECTED", "Failed", "15.30", "card_declined: the card was declined")
    report = Report(plan, facts, None)
    line = report.document["lines"][0]
    assert (line["code"], line["orderId"]) == ("rejected", "one")
    assert (line["reason"], report.balanced) == ("rejected: card_declined: the card was declined", True)


def test_skips_a_cancellation_that_came_too_late(plan: Plan, facts: Facts) -> None:
    """The order stays ordered, and its money kept."""
    facts.canceled["C3"] = "already_shipped: the parcel was scanned already"
    facts.settled["2"] = seen("SHIPPED", "Captured", "5.10")
    report = Report(plan, facts, None)
    assert outcomes(report)[2:4] == ["ordered", "skipped"]
    assert "already_shipped" in report.document["lines"][3]["reason"]
    assert report.balanced


def test_is_not_complete_while_an_order_is_unsettled(plan: Plan, facts: Facts) -> None:
    """Books of a part do not balance, whatever they say."""
    del facts.settled["1"]
    report = Report(plan, facts, None, unsettled=["1"])
    assert (report.complete, report.balanced, report.unsettled) == (False, False, ["1"])


def test_writes_the_same_bytes_for_the_same_import(plan: Plan, facts: Facts, tmp_path: Path) -> None:
    """It tells no time, and a status that moved on by itself, e.g. by a delivery, does not show."""
    write_report(tmp_path / "one.json", Report(plan, facts, None))
    facts.settled["1"] = seen("DELIVERED", "Captured", "15.30")
    write_report(tmp_path / "two.json", Report(plan, facts, None))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    written: dict[str, Any] = json.loads((tmp_path / "one.json").read_text())
    assert len(written["lines"]) == len(LINES)
    assert [order["invoice"] for order in written["placed"]] == ["1", "2"]


@pytest.mark.parametrize(
    ("amount", "told"),
    [("0", "0.00"), ("1E+2", "100.00"), ("-2.5", "-2.50"), ("0.001", "0.001"), ("338568.4310", "338568.431")],
)
def test_tells_amounts_as_plain_exact_decimals(amount: str, told: str) -> None:
    """Never rounded, never in scientific form."""
    assert plain(Decimal(amount)) == told
