"""What a quote begins with: items merged to lines, priced from the catalogue and never by the client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.rows import parsed, row_of
from domain.errors import BadField, Conflict, InvalidInput, bad_fields
from domain.limits import MAX_QUANTITY
from domain.money import Money, charge_refusal
from domain.pricing.lines import STANDARD
from domain.pricing.promotions import Promotion
from services.orders.tables import Order
from services.promotions.reading import promotion_of
from services.rates.ports import StoredRates
from services.sealing.sealing import KEYS_OF, Stored, sealing_vault

# A key is looked up as it was stored: by whom it was used, or, before that was kept, for which customer.
# The order of an earlier try, the customer, the products and what is there that changes a price, in one round trip.
_LOOK_UP = text(f"""
    SELECT (SELECT row_to_json(orders)::text FROM orders
             WHERE order_id = :order_id
                OR idempotency_key = :key
               AND (placed_by = :placed_by OR placed_by IS NULL AND customer_id = :customer_id)
             ORDER BY placed_by NULLS LAST LIMIT 1) AS placed,
           EXISTS (SELECT FROM customers WHERE customer_id = :customer_id AND erased_at IS NULL) AS customer_known,
           {KEYS_OF.format(customer=":keys_of")} AS keys,
           (SELECT json_agg(products)::text FROM products WHERE product_id = ANY (:ids)) AS products,
           (SELECT json_agg(promotions ORDER BY promotion_id)::text
              FROM promotions WHERE automatic AND active) AS promotions,
           EXISTS (SELECT FROM tax_rates) AS taxed,
           EXISTS (SELECT FROM shipping_rates) AS has_fees
""")  # noqa: S608  # words of ours


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
    tax_category: str = STANDARD


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


class Found(NamedTuple):
    """What a checkout begins with: the order, if an earlier try has stored it, and the catalogue."""

    order: Order | None
    customer_known: bool
    products: Mapping[str, PricedProduct]
    promotions: tuple[Promotion, ...] = ()  # the automatic ones
    stored_rates: StoredRates = StoredRates()
    keys: Stored | None = None  # of the customer; None where this process knows them, or seals nothing


class Sought(NamedTuple):
    """The order of an earlier try: by its id, or by the principal's key, which it was stored with."""

    order_id: str | None
    placed_by: str | None = None
    key: str | None = None


NOTHING = Sought(None)


async def look_up(
    connection: AsyncConnection, sought: Sought | None, customer_id: str | None, product_ids: Sequence[str]
) -> Found:
    """What is known of the order, its customer (None is a guest) and its products."""
    order_id, placed_by, key = sought or NOTHING
    asked = {"order_id": order_id, "customer_id": customer_id, "ids": product_ids, "placed_by": placed_by, "key": key}
    vault = sealing_vault(connection) if customer_id is not None else None
    is_unknown = vault is not None and customer_id is not None and not vault.knows(customer_id)
    asked["keys_of"] = customer_id if is_unknown else None
    found = (await connection.execute(_LOOK_UP, asked)).one()
    products = {
        product["product_id"]: PricedProduct(
            product["name"], product["price_minor"], product["currency"], product["tax_category"]
        )
        for product in parsed(found.products or "[]")
    }
    placed = row_of(Order, parsed(found.placed)) if found.placed else None
    promotions = tuple(map(promotion_of, parsed(found.promotions))) if found.promotions else ()
    stored = StoredRates(found.taxed, found.has_fees)
    keys = parsed(found.keys) if found.keys else None
    return Found(placed, customer_id is None or found.customer_known, products, promotions, stored, keys)


def unknown_customer() -> InvalidInput:
    """The refusal of a customer who is not known, or not known to whoever orders."""
    return bad_fields({"customer_id": "there is no customer of this id"})


def known_products(found: Found, lines: Mapping[str, MergedLine]) -> Mapping[str, PricedProduct]:
    """The products by id. Raises InvalidInput that names each unknown product and the unknown customer."""
    unknown = {} if found.customer_known else dict(unknown_customer().fields)
    for product_id, line in lines.items():
        if product_id not in found.products:
            unknown[f"items[{line.first}].product_id"] = "there is no product of this id"
    if unknown:
        raise bad_fields(unknown)
    return found.products


def currency_of(
    lines: Mapping[str, MergedLine], products: Mapping[str, PricedProduct], believed: str | None = None
) -> str:
    """The one currency of all products of at least one line; `believed` is what the client says, if it does.

    Raises InvalidInput for products or a belief in several currencies.
    """
    found = products[next(iter(lines))].currency
    for product_id, line in lines.items():
        if products[product_id].currency != found:
            raise bad_fields({f"items[{line.first}].product_id": f"not priced in {found} as the first item is"})
    if believed not in (None, found):
        raise bad_fields({"currency": f"these products are priced in {found}"})
    return found


def require_total(amount: Money, expected: Decimal | None) -> None:
    """`expected` (in major units) is what the client believes, if it says so.

    Raises Conflict where the total is another one, InvalidInput for a total that Stripe does not charge.
    """
    if expected is not None:
        _require_expected(amount, expected)
    if (refusal := charge_refusal(amount)) is not None:
        raise InvalidInput("total_not_chargeable", refusal, fields=[BadField("items", refusal)])


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
