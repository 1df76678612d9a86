"""What made an order's total, as rows that never change: the lines' own columns and the adjustments."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.postgres.rows import new_row
from domain.pricing.lanes import Discount
from domain.pricing.taxes import Tax
from domain.pricing.totals import AdjustmentKind
from services.orders.quotes import Quote
from services.orders.tables import OrderAdjustment, OrderLine


def lines_of(order_id: str, quote: Quote) -> list[OrderLine]:
    """The lines at today's names and prices, which they keep."""
    return [
        new_row(
            OrderLine,
            order_id=order_id,
            product_id=line.product_id,
            line_number=number,
            name=name,
            quantity=line.quantity,
            unit_price_minor=line.unit_price,
            discount_minor=summed.discount,
            tax_minor=summed.tax.amount if summed.tax else 0,
            tax_rate_ppm=summed.tax.rate.ppm if summed.tax else None,
            tax_inclusive=summed.tax.rate.inclusive if summed.tax else False,
        )
        for number, (line, name, summed) in enumerate(
            zip(quote.lines, quote.names, quote.totals.lines, strict=True), start=1
        )
    ]


def adjustments_of(order_id: str, quote: Quote) -> list[OrderAdjustment]:
    """Discounts, fee and taxes, each with its source; an order without any has no rows."""
    found = [*_discounts(quote), *_fee(quote), *_taxes(quote)]
    for number, row in enumerate(found, start=1):
        row.order_id, row.number = order_id, number
    return found


def _discounts(quote: Quote) -> Iterator[OrderAdjustment]:
    for discount in quote.discounts:
        for line, share in zip(quote.lines, discount.shares, strict=True):
            if share:
                yield _discount(discount, share, line.product_id)
    if quote.off_fee is not None:
        yield _discount(quote.off_fee, quote.off_fee.amount, None)


def _discount(discount: Discount, amount: int, product_id: str | None) -> OrderAdjustment:
    promotion = discount.promotion
    return _part(
        AdjustmentKind.DISCOUNT,
        promotion.promotion_id,
        amount,
        product_id=product_id,
        name=promotion.name,
        code=promotion.coupon,
    )


def _fee(quote: Quote) -> Iterator[OrderAdjustment]:
    if quote.option is not None:
        yield _part(AdjustmentKind.FEE, quote.option.name, quote.totals.shipping.fee)


def _taxes(quote: Quote) -> Iterator[OrderAdjustment]:
    for line, summed in zip(quote.lines, quote.totals.lines, strict=True):
        if summed.tax is not None:
            yield _tax(summed.tax, line.product_id)
    if quote.totals.shipping.tax is not None:
        yield _tax(quote.totals.shipping.tax, None)


def _tax(tax: Tax, product_id: str | None) -> OrderAdjustment:
    rate = tax.rate
    return _part(
        AdjustmentKind.TAX,
        rate.source,
        tax.amount,
        product_id=product_id,
        rate_ppm=rate.ppm,
        inclusive=rate.inclusive,
    )


def _part(kind: AdjustmentKind, source: str, amount: int, **more: object) -> OrderAdjustment:
    return new_row(
        OrderAdjustment, order_id="", number=0, kind=kind.value, source=source, amount_minor=amount, **more
    )
