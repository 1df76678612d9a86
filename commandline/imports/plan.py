"""What an import will do, decided before anything is placed: orders, cancels, and the lines that are left out.

One order per invoice, replayed in the order of their dates. An invoice whose number begins with C is a cancellation,
but the file does not say of what. The service cancels orders as a whole, so a cancellation is one only if its goods
are exactly those of an earlier order of the same customer.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from commandline.imports.order_file import OrderFile
from commandline.imports.order_lines import CURRENCY, GUEST, Line, Skip, is_cancellation, judge
from domain.limits import MAX_LINES, MAX_QUANTITY
from domain.money import Money, charge_refusal, total

BEYOND_LIMIT = Skip("beyond_limit", "beyond --limit: this run does not look at it")
PARTIAL_RETURN = Skip("partial_return", "partial return: an order is canceled as a whole")
OTHER_PRICE = Skip("other_price", "a return at another price than the order's: an order is canceled at its own")
NO_ORDER = Skip("no_order_to_cancel", "no order in the file that it could cancel")
NOBODYS_RETURN = Skip("guest_return", "no customer: which order it cancels cannot be told")
OTHER_CUSTOMER = Skip("other_customer", "names another customer than the lines of its invoice before it")


@dataclass
class PlannedOrder:
    """An invoice that is to be placed."""

    invoice: str
    key: str  # Idempotency-Key: the same for the same invoice of the same file content
    customer_id: str
    date: datetime
    lines: list[Line]
    total: Money
    canceled_by: str | None = None  # the invoice that cancels it later


@dataclass
class PlannedCancel:
    """An invoice that cancels an order."""

    invoice: str
    date: datetime
    lines: list[Line]
    order: PlannedOrder


@dataclass
class Plan:
    """`jobs` in the order in which they happened; `skips` by the number of the line."""

    file: OrderFile
    lines: list[Line]
    jobs: list[PlannedOrder | PlannedCancel] = field(default_factory=list)
    skips: dict[int, Skip] = field(default_factory=dict)

    @property
    def orders(self) -> list[PlannedOrder]:
        return [job for job in self.jobs if isinstance(job, PlannedOrder)]

    @property
    def cancels(self) -> list[PlannedCancel]:
        return [job for job in self.jobs if isinstance(job, PlannedCancel)]

    def skip(self, lines: Iterable[Line], why: Skip) -> None:
        for line in lines:
            self.skips[line.row.number] = why


def key_of(identity: str, invoice: str) -> str:
    return "import-" + hashlib.sha256(f"{identity}:{invoice}".encode()).hexdigest()[:40]


def make_plan(file: OrderFile, limit: int | None = None) -> Plan:
    """The plan for the first `limit` invoices of the file, or for all of them."""
    lines = [judge(row, file.columns) for row in file.rows]
    plan = Plan(file, lines)
    invoices: dict[str, list[Line]] = {}
    for line in lines:
        number = line.row.invoice
        if line.row.fields != file.columns or not number:
            plan.skip([line], line.skip or NO_ORDER)
        elif number in invoices or limit is None or len(invoices) < limit:
            invoices.setdefault(number, []).append(line)
        else:
            plan.skip([line], BEYOND_LIMIT)
    dated = []
    for number, found in invoices.items():
        goods = _goods(plan, found)
        if goods and (date := goods[0].date) is not None:
            dated.append((date, number, goods))
    placed: dict[str, list[PlannedOrder]] = defaultdict(list)
    for date, number, goods in sorted(dated, key=lambda one: one[0]):  # stable: of one minute, as in the file
        if is_cancellation(number):
            _plan_cancel(plan, number, date, goods, placed[goods[0].customer_id])
        else:
            _plan_order(plan, number, date, goods, placed)
    return plan


def _goods(plan: Plan, lines: list[Line]) -> list[Line]:
    """The lines of one invoice that can be ordered or returned; the others are skipped."""
    goods: list[Line] = []
    for line in lines:
        if line.skip is not None:
            plan.skip([line], line.skip)
        elif goods and line.customer_id != goods[0].customer_id:
            plan.skip([line], OTHER_CUSTOMER)
        else:
            goods.append(line)
    return goods


def _plan_order(
    plan: Plan, invoice: str, date: datetime, goods: list[Line], placed: dict[str, list[PlannedOrder]]
) -> None:
    lines = _within_quantity(plan, goods)
    amount = total([(line.pieces, line.price.minor) for line in lines], CURRENCY)
    if len(lines) > MAX_LINES:
        plan.skip(lines, Skip("too_many_lines", f"the invoice has {len(lines)} lines, an order {MAX_LINES} at most"))
    elif (refusal := charge_refusal(amount)) is not None:
        plan.skip(lines, Skip("total_not_chargeable", refusal))
    else:
        customer = lines[0].customer_id
        order = PlannedOrder(invoice, key_of(plan.file.identity, invoice), customer, date, lines, amount)
        plan.jobs.append(order)
        placed[customer].append(order)


def _within_quantity(plan: Plan, goods: list[Line]) -> list[Line]:
    """The API merges lines of the same product, and looks at the sum."""
    pieces: Counter[str] = Counter()
    kept = []
    for line in goods:
        if pieces[line.product_id] + line.pieces > MAX_QUANTITY:
            why = f"with the lines of this product before it, more than {MAX_QUANTITY} pieces"
            plan.skip([line], Skip("quantity_too_large", why))
        else:
            pieces[line.product_id] += line.pieces
            kept.append(line)
    return kept


def _plan_cancel(plan: Plan, invoice: str, date: datetime, goods: list[Line], earlier: list[PlannedOrder]) -> None:
    if goods[0].customer_id == GUEST:
        plan.skip(goods, NOBODYS_RETURN)
        return
    exact = [order for order in earlier if order.canceled_by is None and _pieces(order.lines) == _pieces(goods)]
    if exact:
        order = exact[-1]  # the latest: what was just ordered is what is taken back
        order.canceled_by = invoice
        plan.jobs.append(PlannedCancel(invoice, date, goods, order))
        return
    for line in goods:
        plan.skip([line], _why_not(line, goods, earlier))


def _why_not(line: Line, goods: list[Line], earlier: list[PlannedOrder]) -> Skip:
    live = [order for order in earlier if order.canceled_by is None]
    if any(_codes(order.lines) == _codes(goods) for order in live):
        return OTHER_PRICE
    enough = any(_codes(order.lines)[line.row.stock_code] >= line.pieces for order in live)
    return PARTIAL_RETURN if enough else NO_ORDER


def _pieces(lines: Iterable[Line]) -> Counter[str]:
    pieces: Counter[str] = Counter()
    for line in lines:
        pieces[line.product_id] += line.pieces
    return pieces


def _codes(lines: Iterable[Line]) -> Counter[str]:
    pieces: Counter[str] = Counter()
    for line in lines:
        pieces[line.row.stock_code] += line.pieces
    return pieces
