"""What made an order's total, as clients see it: discounts by name, the fee, taxes by rate."""

from __future__ import annotations

from collections import Counter
from typing import Any

from api.orders.part_schemas import DiscountView, TaxView
from domain.money import Money
from domain.pricing.rounding import as_percent
from domain.pricing.totals import AdjustmentKind
from services.insight.orders import SummaryRow


def parts_of(row: SummaryRow) -> dict[str, Any]:
    """The fields of an order's summary that make its total, from the frozen rows."""

    def money(minor: int) -> str:
        return Money(minor=minor, currency=row.currency).decimal

    discounts, taxes = Counter[tuple[str, str | None]](), Counter[tuple[int, bool]]()
    for kind, name, code, amount, rate, inclusive in row.part_rows or ():
        if kind == AdjustmentKind.DISCOUNT:
            discounts[name, code] += amount
        elif kind == AdjustmentKind.TAX:
            taxes[rate, inclusive] += amount
    return {
        "subtotal": money(row.total_minor if row.subtotal_minor is None else row.subtotal_minor),
        "discounts": [
            DiscountView(name=name, code=code, amount=money(minor)) for (name, code), minor in discounts.items()
        ],
        "shipping_fee": money(row.shipping_fee_minor),
        "shipping_option": row.shipping_option,
        "taxes": [
            TaxView(rate=as_percent(rate), amount=money(minor), inclusive=inclusive)
            for (rate, inclusive), minor in taxes.items()
        ],
    }
