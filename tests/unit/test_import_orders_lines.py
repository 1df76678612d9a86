"""Single lines of an order file: which can be ordered, and why the others cannot."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from commandline.imports.order_file import Row
from commandline.imports.order_lines import GUEST, Line, customer_of, judge

COLUMNS = 8


def line(**given: str | int) -> Line:
    """A line that nothing is wrong with, but for what is given."""
    fields: dict[str, str | int] = {
        "number": 2,
        "fields": COLUMNS,
        "invoice": "536365",
        "stock_code": "85123A",
        "description": "WHITE HEART",
        "quantity": "6",
        "date": "2010-12-01 08:26:00",
        "unit_price": "2.55",
        "customer": "17850.0",
        "country": "United Kingdom",
    }
    return judge(Row(**(fields | given)), COLUMNS)  # type: ignore[arg-type]


def test_understands_a_good_line() -> None:
    """Exact: the amount is a decimal, the price is in pennies, the product has its price in its id."""
    good = line()
    assert good.skip is None
    assert (good.quantity, good.unit_price, good.amount) == (6, Decimal("2.55"), Decimal("15.30"))
    assert (good.price.minor, good.price.currency, good.product_id) == (255, "GBP", "85123A-2.55")
    assert (good.customer_id, good.date) == ("17850", datetime(2010, 12, 1, 8, 26))


def test_gives_each_price_of_a_stock_code_a_product_of_its_own() -> None:
    """However the price is written."""
    ids = [line(unit_price=price).product_id for price in ("2.5", "2.50", "2.500", "2.55")]
    assert ids == ["85123A-2.50", "85123A-2.50", "85123A-2.50", "85123A-2.55"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"fields": 0, "invoice": ""}, "blank_line"),
        ({"fields": 7}, "wrong_number_of_fields"),
        ({"invoice": ""}, "unreadable"),
        ({"stock_code": ""}, "unreadable"),
        ({"quantity": ""}, "unreadable"),
        ({"quantity": "six"}, "unreadable"),
        ({"quantity": "1.5"}, "unreadable"),
        ({"quantity": "٣"}, "unreadable"),
        ({"unit_price": "NaN"}, "unreadable"),
        ({"unit_price": "1e3"}, "unreadable"),
        ({"unit_price": "2,55"}, "unreadable"),
        ({"date": "yesterday"}, "unreadable"),
        ({"stock_code": "POST"}, "not_goods"),
        ({"stock_code": "m"}, "not_goods"),
        ({"stock_code": "BANK CHARGES"}, "not_goods"),
        ({"stock_code": "gift_0001_40"}, "not_goods"),
        ({"quantity": "0"}, "no_quantity"),
        ({"quantity": "-6"}, "negative_quantity"),
        ({"invoice": "C536365"}, "positive_quantity"),
        ({"quantity": "100001"}, "quantity_too_large"),
        ({"unit_price": "0.0"}, "no_price"),
        ({"unit_price": "-2.55"}, "negative_price"),
        ({"unit_price": "0.001"}, "price_below_a_penny"),
        ({"stock_code": "85 123"}, "unusable_stock_code"),
        ({"stock_code": "8" * 61}, "unusable_stock_code"),
        ({"customer": "Ann & Bob"}, "unusable_customer"),
    ],
)
def test_says_why_a_line_cannot_be_ordered(given: dict[str, str | int], code: str) -> None:
    """Each kind of line that is no order has its own code, and words that say it of this line."""
    skip = line(**given).skip
    assert skip is not None
    assert skip.code == code
    assert skip.reason != ""


@pytest.mark.parametrize(
    "given", [{"quantity": "100000"}, {"quantity": "6.0"}, {"unit_price": ".5"}, {"country": ""}]
)
def test_takes_what_only_looks_odd(given: dict[str, str | int]) -> None:
    """The most that the API takes, a whole number with a fraction of 0, no country."""
    assert line(**given).skip is None


def test_takes_goods_whose_code_is_not_a_number() -> None:
    """DCGS0003 is an ashtray, not a fee."""
    assert line(stock_code="DCGS0003").skip is None


def test_takes_a_return_in_a_cancellation() -> None:
    """Its pieces count without the sign, its money with it."""
    taken = line(invoice="C536365", quantity="-6")
    assert (taken.skip, taken.pieces, taken.amount) == (None, 6, Decimal("-15.30"))


def test_names_the_column_that_cannot_be_read() -> None:
    """Not only that something is wrong."""
    skip = line(quantity="six").skip
    assert skip is not None and skip.reason == "Quantity: 'six' cannot be read"


@pytest.mark.parametrize(
    ("text", "customer"),
    [("17850.0", "17850"), ("17850", "17850"), ("ab-1", "ab-1"), ("", GUEST), ("0.0", GUEST), ("nan", GUEST)],
)
def test_knows_a_customer_however_a_spreadsheet_wrote_the_number(text: str, customer: str) -> None:
    """Nothing, 0 and NaN stand for somebody unknown."""
    assert customer_of(text) == customer


@pytest.mark.parametrize("text", ["2010-12-01 08:26:00", "2010-12-01 08:26", "12/1/2010 8:26", "2010-12-01T08:26:00"])
def test_reads_dates_in_the_forms_that_the_data_set_is_known_in(text: str) -> None:
    """Month before day where slashes stand, as the data set has it."""
    assert line(date=text).date == datetime(2010, 12, 1, 8, 26)
