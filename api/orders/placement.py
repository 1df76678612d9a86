"""Stores a checkout as a PLACED order, once: priced from the catalogue, in one transaction."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from adapters.settings import Settings
from api.deps import Services
from api.http.fields import bad_fields
from api.orders.schemas import MAX_QUANTITY, PAYMENT_KINDS, OrderWanted
from domain.errors import RequestRefused
from domain.money import Money, charge_refusal, total
from domain.order_states import OrderStatus, PaymentStatus
from services.orders.book import place_order
from services.orders.tables import Order, OrderLine

TEST_CARD = "pm_card_visa"

# Customer and products in one round trip; one row at least, also where no product is known.
_LOOK_UP = text(
    """
    SELECT EXISTS (SELECT FROM customers WHERE customer_id = :customer_id) AS customer_known,
           product_id, name, price_minor, currency
    FROM (SELECT) AS always
    LEFT JOIN products ON product_id = ANY (:ids)
    """
)

_STATUS = text("SELECT status FROM orders WHERE order_id = :order_id")


class Priced(NamedTuple):
    """A product as the catalogue has it now; the price in minor units."""

    name: str
    price_minor: int
    currency: str


def new_order_id(customer_id: str, key: str | None) -> str:
    """128 bits as 32 hex digits: drawn from the customer and the Idempotency-Key, random without one."""
    if key is None:
        return secrets.token_hex(16)
    # The length keeps ("a", "b:c") and ("a:b", "c") apart.
    return hashlib.sha256(f"{len(customer_id)}:{customer_id}:{key}".encode()).hexdigest()[:32]


async def stored_status(services: Services, order_id: str) -> OrderStatus | None:
    """How the order of an earlier try of this checkout stands, by its primary key; None where there is none."""
    async with services.reads.connect() as connection:
        status = (await connection.execute(_STATUS, {"order_id": order_id})).scalar_one_or_none()
    return OrderStatus(status) if status else None


async def place(services: Services, wanted: OrderWanted, order_id: str, key: str | None) -> Order:
    """The order of this checkout, stored now or by an earlier try of it. `order_id` is `new_order_id`'s.

    Raises RequestRefused: 422 for what the catalogue cannot serve or for a key that was used for another body,
    409 when the catalogue's total is not the expected one.
    """
    lines = merged_lines(wanted)
    try:
        async with services.sessions() as session, session.begin():
            row = await session.get(Order, order_id) if key is not None else None
            if row is None:
                row = await _insert(session, services.settings, wanted, lines, order_id, key)
    except IntegrityError:
        # A twin of this request was faster.
        async with services.sessions() as session:
            row = await session.get(Order, order_id)
        if row is None:
            raise
    if row.fingerprint != wanted.fingerprint():
        raise RequestRefused(
            422, "idempotency-key-reused", "this Idempotency-Key was used with another body; take a new one"
        )
    return row


def merged_lines(wanted: OrderWanted) -> dict[str, tuple[int, int]]:
    """Product id -> (index of its first item, quantity of all its items). Raises RequestRefused (422)."""
    lines: dict[str, tuple[int, int]] = {}
    for index, item in enumerate(wanted.items):
        first, quantity = lines.get(item.product_id, (index, 0))
        lines[item.product_id] = (first, quantity + item.quantity)
        if quantity + item.quantity > MAX_QUANTITY:
            raise bad_fields(
                {f"items[{index}].quantity": f"with the other items of this product, more than {MAX_QUANTITY}"}
            )
    return lines


async def _insert(
    session: AsyncSession,
    settings: Settings,
    wanted: OrderWanted,
    lines: dict[str, tuple[int, int]],
    order_id: str,
    key: str | None,
) -> Order:
    products = await _look_up(session, wanted, lines)
    amount = _price(wanted, lines, products)
    row = Order(
        order_id=order_id,
        customer_id=wanted.customer_id,
        idempotency_key=key,
        fingerprint=wanted.fingerprint(),
        status=OrderStatus.PLACED.value,
        payment_status=PaymentStatus.PENDING.value,
        currency=amount.currency,
        total_minor=amount.minor,
        payment_method=stripe_method(wanted.payment_method, settings),
        shipping_address=wanted.shipping_address.model_dump(exclude_none=True) if wanted.shipping_address else None,
        ship_not_before=wanted.ship_not_before,
        order_metadata=wanted.metadata,
        created_at=(at := now()),
        updated_at=at,
    )
    snapshot = [
        OrderLine(
            order_id=order_id,
            product_id=product_id,
            line_number=number,
            name=products[product_id].name,
            quantity=quantity,
            unit_price_minor=products[product_id].price_minor,
        )
        for number, (product_id, (_, quantity)) in enumerate(lines.items(), start=1)
    ]
    await place_order(session, row, snapshot)
    return row


async def _look_up(
    session: AsyncSession, wanted: OrderWanted, lines: Mapping[str, tuple[int, int]]
) -> dict[str, Priced]:
    """The products by id. Raises RequestRefused (422) naming each unknown product and the unknown customer."""
    connection = await session.connection()
    rows = (await connection.execute(_LOOK_UP, {"customer_id": wanted.customer_id, "ids": list(lines)})).all()
    products = {row.product_id: Priced(row.name, row.price_minor, row.currency) for row in rows if row.product_id}
    unknown = {} if rows[0].customer_known else {"customerId": "there is no customer of this id"}
    for product_id, (index, _) in lines.items():
        if product_id not in products:
            unknown[f"items[{index}].productId"] = "there is no product of this id"
    if unknown:
        raise bad_fields(unknown)
    return products


def _price(wanted: OrderWanted, lines: Mapping[str, tuple[int, int]], products: Mapping[str, Priced]) -> Money:
    """The order's total. Raises RequestRefused where it is not what the client expects or cannot be charged."""
    currency = products[wanted.items[0].product_id].currency
    for product_id, (index, _) in lines.items():
        if products[product_id].currency != currency:
            raise bad_fields({f"items[{index}].productId": f"not priced in {currency} as the first item is"})
    if wanted.currency not in (None, currency):
        raise bad_fields({"currency": f"these products are priced in {currency}"})
    amount = total(
        [(quantity, products[product_id].price_minor) for product_id, (_, quantity) in lines.items()], currency
    )
    _check_expected(wanted, amount)
    if (refusal := charge_refusal(amount)) is not None:
        raise RequestRefused(422, "total-not-chargeable", refusal, errors=[{"field": "items", "message": refusal}])
    return amount


def _check_expected(wanted: OrderWanted, amount: Money) -> None:
    if wanted.expected_total is None:
        return
    try:
        expected = Money.parse(wanted.expected_total, amount.currency)
    except ValueError as error:
        raise bad_fields({"expectedTotal": str(error)}) from None
    if expected != amount:
        raise RequestRefused(
            409,
            "total-changed",
            f"the total is {amount}, not {expected}",
            errors=[{"field": "expectedTotal", "message": f"the catalogue says {amount.decimal}"}],
            expectedTotal=expected.decimal,
            totalAmount=amount.decimal,
            currency=amount.currency,
        )


def stripe_method(wanted: str, settings: Settings) -> str:
    """A bare kind stands for a test card; with a live key it is kept, and the customer is asked for the card."""
    return TEST_CARD if wanted in PAYMENT_KINDS and not settings.stripe_is_live else wanted
