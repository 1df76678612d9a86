"""Judges one line of an order file by itself: can it be ordered or returned at all, and if not, why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from commandline.imports.order_file import Row
from domain.identifiers import is_identifier
from domain.limits import MAX_QUANTITY
from domain.money import Money

CURRENCY = "GBP"  # what the form says of UnitPrice
NO_MONEY = Money(minor=0, currency=CURRENCY)
GUEST = "guest"
DATE_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%m/%d/%Y %H:%M", "%Y-%m-%dT%H:%M:%S")

# Fees, corrections, samples, vouchers: the shop's own bookkeeping among the goods.
NOT_GOODS = frozenset(
    ["POST", "DOT", "M", "D", "C2", "C3", "BANK CHARGES", "AMAZONFEE", "CRUK", "S", "B", "PADS", "ADJUST", "ADJUST2"]
)
NOT_GOODS_PREFIXES = ("GIFT_", "TEST")

_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0*)?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})", re.ASCII)
_CUSTOMER = re.compile(r"(\d+)\.0*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a line is left out: `code` is what the report counts by, `reason` says it of this line."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it was understood; what could not be read is None. `skip` is None for goods at a price.

    The catalogue knows one price per product, the file has several per stock code: each gets a product of its own.
    """

    row: Row
    quantity: int | None
    unit_price: Decimal | None
    price: Money  # of one piece; 0 where there is none in whole pennies
    product_id: str
    date: datetime | None
    customer_id: str
    skip: Skip | None

    @property
    def pieces(self) -> int:
        """The quantity without its sign: a cancellation counts backwards."""
        return abs(self.quantity or 0)

    @property
    def amount(self) -> Decimal | None:
        """Quantity times price as the file has them, exact, below zero for a return."""
        if self.quantity is None or self.unit_price is None:
            return None
        return self.quantity * self.unit_price


def is_cancellation(invoice: str) -> bool:
    return invoice[:1] in ("C", "c")


def judge(row: Row, columns: int) -> Line:
    quantity, unit_price, date = _whole(row.quantity), _decimal(row.unit_price), _date(row.date)
    customer = customer_of(row.customer)
    price = _money(unit_price)
    product_id = f"{row.stock_code}-{price.decimal if price else ''}"
    skip = (
        _unreadable(row, columns, quantity, unit_price, date)
        or _not_goods(row.stock_code)
        or _wrong_quantity(row, quantity or 0)
        or _wrong_price(row, unit_price or Decimal(0), price)
        or _unusable(row, product_id, customer)
    )
    return Line(row, quantity, unit_price, price or NO_MONEY, product_id, date, customer, skip)


def customer_of(text: str) -> str:
    """ "17850.0" is 17850, as spreadsheets write it; nothing and 0 stand for somebody unknown."""
    found = match[1] if (match := _CUSTOMER.fullmatch(text)) else text
    return GUEST if found.strip("0") == "" or found.lower() in ("nan", "null", "none") else found


def _unreadable(
    row: Row, columns: int, quantity: int | None, unit_price: Decimal | None, date: datetime | None
) -> Skip | None:
    if row.fields == 0:
        return Skip("blank_line", "the line is blank")
    if row.fields != columns:
        return Skip("wrong_number_of_fields", f"the line has {row.fields} fields, not {columns}")
    for name, text, read in (
        ("InvoiceNo", row.invoice, row.invoice or None),
        ("StockCode", row.stock_code, row.stock_code or None),
        ("Quantity", row.quantity, quantity),
        ("UnitPrice", row.unit_price, unit_price),
        ("InvoiceDate", row.date, date),
    ):
        if read is None:
            said = f"{text[:40]!r} cannot be read" if text else "nothing is there"
            return Skip("unreadable", f"{name}: {said}")
    return None


def _not_goods(stock_code: str) -> Skip | None:
    code = stock_code.upper()
    if code in NOT_GOODS or code.startswith(NOT_GOODS_PREFIXES):
        return Skip("not_goods", f"{stock_code} is a fee, voucher or correction, not goods")
    return None


def _wrong_quantity(row: Row, quantity: int) -> Skip | None:
    cancels = is_cancellation(row.invoice)
    if quantity == 0:
        return Skip("no_quantity", "a quantity of 0")
    if quantity < 0 and not cancels:
        return Skip("negative_quantity", "a negative quantity outside of a cancellation: a correction of stock")
    if quantity > 0 and cancels:
        return Skip("positive_quantity", "a positive quantity in a cancellation")
    if abs(quantity) > MAX_QUANTITY:
        return Skip("quantity_too_large", f"more than {MAX_QUANTITY} pieces")
    return None


def _wrong_price(row: Row, unit_price: Decimal, price: Money | None) -> Skip | None:
    if unit_price == 0:
        return Skip("no_price", "a price of 0")
    if unit_price < 0:
        return Skip("negative_price", "a negative price")
    if price is None:
        return Skip("price_below_a_penny", f"a price of {row.unit_price} cannot be paid in pennies")
    return None


def _unusable(row: Row, product_id: str, customer: str) -> Skip | None:
    if not is_identifier(product_id):
        return Skip("unusable_stock_code", f"{row.stock_code[:40]!r} cannot be a product's id")
    if not is_identifier(customer):
        return Skip("unusable_customer", f"{customer[:40]!r} cannot be a customer's id")
    return None


def _whole(text: str) -> int | None:
    return int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else None


# A file has many lines and few different prices and times.
@lru_cache(maxsize=10_000)
def _money(unit_price: Decimal | None) -> Money | None:
    """None for what is no price in whole pennies."""
    try:
        return None if unit_price is None else Money.parse(unit_price, CURRENCY)
    except ValueError:
        return None


def _decimal(text: str) -> Decimal | None:
    if not _DECIMAL.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


@lru_cache(maxsize=10_000)
def _date(text: str) -> datetime | None:
    for form in DATE_FORMATS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
