"""What became of every line of an order file, and the books of the import, to the penny.

It is made of the plan and the journal alone and tells no time, so that the same import gives the same report.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from commandline.imports.journal import Facts
from commandline.imports.order_lines import CURRENCY, Line, Skip
from commandline.imports.plan import Plan, PlannedOrder
from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus

RETURNED = frozenset([PaymentStatus.VOIDED, PaymentStatus.REFUNDED])


class LineOutcome(StrEnum):
    ORDERED = "ordered"  # a line of an order that the shop took, also where a cancellation follows
    CANCELED = "canceled"  # a line of a cancellation that was carried out
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Fate:
    """What became of one line."""

    outcome: LineOutcome
    order_id: str | None = None
    skip: Skip | None = None


class Report:
    """`document` is the whole of it, `summary` what people are shown."""

    def __init__(self, plan: Plan, facts: Facts, limit: int | None, unsettled: Collection[str] = ()) -> None:
        self._plan, self._facts, self._limit = plan, facts, limit
        self.unsettled = sorted(unsettled)
        self._taken = [order for order in plan.orders if self._is_taken(order)]
        self.fates = dict(self._fates())
        self.books = self._books()

    @property
    def complete(self) -> bool:
        return not self.unsettled

    @property
    def balanced(self) -> bool:
        return self.complete and all(book["balanced"] for book in self.books)

    @property
    def summary(self) -> dict[str, Any]:
        file = self._plan.file
        return {
            "file": {"name": file.name, "sha256": file.identity, "lines": len(file.rows), "limit": self._limit},
            "complete": self.complete,
            "balanced": self.balanced,
            "outcomes": self._outcomes(),
            "skipped": self._skipped(),
            "orders": {
                "placed": len(self._taken),
                "canceled": sum(self._status(order) is OrderStatus.CANCELED for order in self._taken),
                "unsettled": self.unsettled,
            },
            "books": self.books,
        }

    @property
    def document(self) -> dict[str, Any]:
        return self.summary | {
            "placed": [
                {
                    "invoice": order.invoice,
                    "orderId": self._facts.placed[order.invoice],
                    "customerId": order.customer_id,
                    "total": order.total.decimal,
                    "currency": order.total.currency,
                    "canceled": self._status(order) is OrderStatus.CANCELED,
                }
                for order in self._taken
            ],
            "lines": [self._told(line) for line in self._plan.lines],
        }

    def _status(self, order: PlannedOrder) -> OrderStatus | None:
        seen = self._facts.settled.get(order.invoice)
        return OrderStatus(seen["status"]) if seen else None

    def _is_taken(self, order: PlannedOrder) -> bool:
        return order.invoice in self._facts.placed and self._status(order) is not OrderStatus.REJECTED

    def _fates(self) -> Iterator[tuple[int, Fate]]:
        for number, skip in self._plan.skips.items():
            yield number, Fate(LineOutcome.SKIPPED, skip=skip)
        for order in self._plan.orders:
            fate = self._order_fate(order)
            yield from ((line.row.number, fate) for line in order.lines)
        for cancel in self._plan.cancels:
            fate = self._cancel_fate(cancel.invoice, cancel.order)
            yield from ((line.row.number, fate) for line in cancel.lines)

    def _order_fate(self, order: PlannedOrder) -> Fate:
        if self._is_taken(order):
            return Fate(LineOutcome.ORDERED, self._facts.placed[order.invoice])
        if order.invoice in self._facts.placed:
            why = self._facts.settled[order.invoice]["refusal"]
            return Fate(LineOutcome.SKIPPED, self._facts.placed[order.invoice], Skip("rejected", f"rejected: {why}"))
        why = self._facts.refused.get(order.invoice) or self._facts.failed.get(order.invoice, "not placed")
        return Fate(LineOutcome.SKIPPED, skip=Skip("refused", f"refused: {why}"))

    def _cancel_fate(self, invoice: str, order: PlannedOrder) -> Fate:
        order_id = self._facts.placed.get(order.invoice)
        refusal = self._facts.canceled.get(invoice, "its order was not placed")
        refusal = self._facts.failed.get(invoice, refusal)
        if refusal == "" and self._status(order) is OrderStatus.CANCELED:
            return Fate(LineOutcome.CANCELED, order_id)
        why = refusal or "the order was not canceled"
        return Fate(LineOutcome.SKIPPED, order_id, Skip("cancel_refused", f"cancel of order refused: {why}"))

    def _outcomes(self) -> dict[str, dict[str, Any]]:
        """Lines, invoices, pieces and money by outcome. An invoice counts with each outcome that a line of it has."""
        lines: Counter[LineOutcome] = Counter()
        pieces: Counter[LineOutcome] = Counter()
        amounts: dict[LineOutcome, Decimal] = defaultdict(Decimal)
        invoices: dict[LineOutcome, set[str]] = defaultdict(set)
        for line in self._plan.lines:
            outcome = self.fates[line.row.number].outcome
            lines[outcome] += 1
            pieces[outcome] += line.quantity or 0
            amounts[outcome] += line.amount or 0
            invoices[outcome].add(line.row.invoice)
        return {
            outcome.value: {
                "lines": lines[outcome],
                "invoices": len(invoices[outcome]),
                "pieces": pieces[outcome],
                "amount": plain(amounts[outcome]),
                "currency": CURRENCY,
            }
            for outcome in LineOutcome
        }

    def _skipped(self) -> list[dict[str, Any]]:
        """By code, the most frequent first, each with the reason that its first line was given."""
        lines: Counter[str] = Counter()
        reasons: dict[str, str] = {}
        amounts: dict[str, Decimal] = defaultdict(Decimal)
        for line in self._plan.lines:
            if (skip := self.fates[line.row.number].skip) is not None:
                lines[skip.code] += 1
                reasons.setdefault(skip.code, skip.reason)
                amounts[skip.code] += line.amount or 0
        return [
            {"code": code, "lines": count, "amount": plain(amounts[code]), "example": reasons[code]}
            for code, count in sorted(lines.items(), key=lambda one: (-one[1], one[0]))
        ]

    def _books(self) -> list[dict[str, Any]]:
        """The file's side against the API's, per currency, in minor units until they are told."""
        sums: dict[str, Counter[str]] = defaultdict(Counter)
        for line in self._plan.lines:
            outcome = self.fates[line.row.number].outcome
            if outcome is not LineOutcome.SKIPPED:
                sums[CURRENCY][f"{outcome}Lines"] += line.pieces * line.price.minor
        for order in self._taken:
            seen = self._facts.settled.get(order.invoice)
            if seen is None:
                continue
            book, total = sums[seen["currency"]], Money.parse(seen["total"], seen["currency"]).minor
            book["orderTotals"] += total
            book["canceledOrders"] += total if seen["status"] == OrderStatus.CANCELED else 0
            book["returned"] += total if seen["paymentStatus"] in RETURNED else 0
            book["kept"] += total if seen["paymentStatus"] == PaymentStatus.CAPTURED else 0
        return [_book(currency, sums[currency]) for currency in sorted(sums)]

    def _told(self, line: Line) -> dict[str, Any]:
        fate, row = self.fates[line.row.number], line.row
        told: dict[str, Any] = {
            "line": row.number,
            "invoice": row.invoice,
            "stockCode": row.stock_code,
            "quantity": line.quantity,
            "unitPrice": row.unit_price,
            "amount": None if line.amount is None else plain(line.amount),
            "outcome": fate.outcome.value,
        }
        if row.number not in self._plan.skips:
            told["productId"] = line.product_id
        if fate.order_id is not None:
            told["orderId"] = fate.order_id
        if fate.skip is not None:
            told |= {"code": fate.skip.code, "reason": fate.skip.reason}
        return told


BOOK = ("orderedLines", "orderTotals", "canceledLines", "canceledOrders", "returned", "kept")


def _book(currency: str, sums: Mapping[str, int]) -> dict[str, Any]:
    ordered, totals, canceled_lines, canceled, returned, kept = (sums.get(name, 0) for name in BOOK)
    balanced = ordered == totals and canceled_lines == canceled == returned and kept == totals - returned
    told = {name: Money(minor=sums.get(name, 0), currency=currency).decimal for name in BOOK}
    return {"currency": currency, **told, "balanced": balanced}


def plain(amount: Decimal) -> str:
    """With at least two decimals, and never in the form 1E+2."""
    return f"{amount:.2f}" if amount == amount.quantize(Decimal("0.01")) else f"{amount.normalize():f}"


def write_report(path: Path, report: Report) -> None:
    """Whole or not at all; one line of the file is one line of the report."""
    document = report.document
    lines, placed = document.pop("lines"), document.pop("placed")
    head = json.dumps(document, indent=2)[: -len("\n}")]
    text = f'{head},\n  "placed": [{_rows(placed)}],\n  "lines": [{_rows(lines)}]\n}}\n'
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.write_text(text)
    unfinished.replace(path)


def _rows(rows: list[dict[str, Any]]) -> str:
    return "".join([("," if index else "") + f"\n    {json.dumps(row)}" for index, row in enumerate(rows)]) + "\n  "
