"""What an order costs: its items merged to lines, priced from the catalogue and never by the client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.errors import BadField, Conflict, InvalidInput, bad_fields
from domain.limits import MAX_QUANTITY
from domain.money import Money, charge_refusal, total

# Customer and products in one round trip; one row at least, also where no product is known.
_LOOK_UP = text(
    """
    SELECT EXISTS (SELECT FROM customers WHERE customer_id = :customer_id) AS customer_known,
           product_id, name, price_minor, currency
    FROM (SELECT) AS always
    LEFT JOIN products ON product_id = ANY (:ids)
    """
)


class Pieces(NamedTuple):
    """An item as the client wants it."""

    product_id: str
    quantity: int


class MergedLine(NamedTuple):
    """All items of one product."""

    first: int  # the index of the first of these items, for messages about them
    quantity: int


class PricedProduct(NamedTuple):
    """A product as the catalogue has it now; the price of one piece in minor units."""

    name: str
    price_minor: int
    currency: str


def merge(items: Iterable[Pieces]) -> dict[str, MergedLine]:
    """One line for each product, in the order of the items.

    Raises InvalidInput where the items of one product are more than `MAX_QUANTITY` pieces together.
    """
    lines: dict[str, MergedLine] = {}
    for index, item in enumerate(items):
        first, before = lines.get(item.product_id, (index, 0))
        lines[item.product_id] = MergedLine(first, before + item.quantity)
        if before + item.quantity > MAX_QUANTITY:
            raise bad_fields(
                {f"items[{index}].quantity": f"with the other items of this product, more than {MAX_QUANTITY}"}
            )
    return lines


async def look_up(
    session: AsyncSession, customer_id: str, lines: Mapping[str, MergedLine]
) -> dict[str, PricedProduct]:
    """The products by id. Raises InvalidInput that names each unknown product and the unknown customer."""
    connection = await session.connection()
    rows = (await connection.execute(_LOOK_UP, {"customer_id": customer_id, "ids": list(lines)})).all()
    products = {
        row.product_id: PricedProduct(row.name, row.price_minor, row.currency) for row in rows if row.product_id
    }
    unknown = {} if rows[0].customer_known else {"customer_id": "there is no customer of this id"}
    for product_id, line in lines.items():
        if product_id not in products:
            unknown[f"items[{line.first}].product_id"] = "there is no product of this id"
    if unknown:
        raise bad_fields(unknown)
    return products


def price(
    lines: Mapping[str, MergedLine],
    products: Mapping[str, PricedProduct],
    *,
    currency: str | None = None,
    expected: Decimal | None = None,
) -> Money:
    """The total of at least one line, in the one currency of all its products.

    `currency` and `expected` (in major units) are what the client believes, if it says so. Raises InvalidInput for
    products or a belief in several currencies and for a total that Stripe does not charge, Conflict where the total
    is not the expected one.
    """
    found = products[next(iter(lines))].currency
    for product_id, line in lines.items():
        if products[product_id].currency != found:
            raise bad_fields({f"items[{line.first}].product_id": f"not priced in {found} as the first item is"})
    if currency not in (None, found):
        raise bad_fields({"currency": f"these products are priced in {found}"})
    amount = total([(line.quantity, products[product_id].price_minor) for product_id, line in lines.items()], found)
    if expected is not None:
        _require_expected(amount, expected)
    if (refusal := charge_refusal(amount)) is not None:
        raise InvalidInput("total_not_chargeable", refusal, fields=[BadField("items", refusal)])
    return amount


def _require_expected(amount: Money, wanted: Decimal) -> None:
    try:
        expected = Money.parse(wanted, amount.currency)
    except ValueError as error:
        raise bad_fields({"expected_total": str(error)}) from None
    if expected != amount:
        raise Conflict(
            "total_changed",
            f"the total is {amount}, not {expected}",
            fields=[BadField("expected_total", f"the catalogue says {amount.decimal}")],
            expected_total=expected.decimal,
            total_amount=amount.decimal,
            currency=amount.currency,
        )
