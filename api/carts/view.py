"""Carts as clients see them: read, priced and looked up in the stock, all at the moment of the request."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import Response

from api.carts.schemas import (
    CartItem,
    CartList,
    CartQuery,
    CartSummary,
    CartView,
    CouponRefusal,
    Destination,
    PriceChange,
)
from api.deps import Services
from api.http.pages import read_cursor, read_time, write_cursor
from api.orders.part_schemas import DiscountView
from domain.carts import CartState, availability
from domain.money import Money
from services.carts import reading
from services.carts.changes import Sees
from services.carts.reading import CartRead, ListedCart, Priced
from services.orders.quotes import Quote
from services.rates.from_tables import by_tables

NOTHING = "0.00"
FIRST_PAGE = (datetime(9999, 12, 31, tzinfo=UTC), "~")


def tagged(response: Response, cart: CartView) -> CartView:
    """The cart, whose version is its ETag."""
    response.headers["ETag"] = f'"{cart.version}"'
    return cart


async def read_cart(services: Services, cart_id: str, sees: Sees, where: Destination | None = None) -> CartView:
    """Raises NotFound for a cart that is not to be seen."""
    async with services.reads.connect() as connection:
        cart = await reading.read_cart(connection, cart_id, sees)
    return await _priced(services, cart, where)


async def read_open_cart(
    services: Services, customer_id: str, sees: Sees, where: Destination | None = None
) -> CartView:
    """An empty one where there is none. Raises NotFound for a customer who is not to be seen."""
    async with services.reads.connect() as connection:
        cart = await reading.read_open_cart(connection, customer_id, sees)
    view = await _priced(services, cart, where)
    return view.model_copy(update={"customer_id": customer_id})


async def list_carts(services: Services, query: CartQuery) -> CartList:
    """One page. Raises InvalidInput for a cursor that is none."""
    after = FIRST_PAGE
    if query.cursor is not None:
        at, cart_id = read_cursor(query.cursor, 2)
        after = (read_time(at), cart_id)
    async with services.reads.connect() as connection:
        found = await reading.list_carts(connection, query.state, query.limit + 1, after, query.customer_id)
    page = [_summary(one) for one in found[: query.limit]]
    more = len(found) > query.limit
    return CartList(carts=page, next_cursor=write_cursor(page[-1].touched_at, page[-1].cart_id) if more else None)


def _summary(one: ListedCart) -> CartSummary:
    shown = {name: getattr(one.row, name) for name in CartSummary.model_fields if name != "pieces"}
    return CartSummary(**shown, pieces=one.pieces)


async def _priced(services: Services, cart: CartRead, where: Destination | None) -> CartView:
    address = where.address() if where else None
    terms = reading.Terms(address, where.shipping_option) if where and address else reading.NO_TERMS
    priced = await reading.price(services.reads, cart, by_tables(services.reads), terms)
    view = _empty(cart)
    if priced.quote is None:
        return view
    return view.model_copy(update=_sums(priced, priced.quote) | {"items": _items(services, priced.quote, cart)})


def _empty(cart: CartRead) -> CartView:
    row = cart.row
    zero = {"subtotal": NOTHING, "shipping_fee": NOTHING, "tax": NOTHING, "total": NOTHING}
    if row is None:
        return CartView(state=CartState.OPEN, currency=None, version=0, items=[], discounts=[], **zero)
    return CartView(
        cart_id=row.cart_id,
        customer_id=row.customer_id,
        state=CartState(row.state),
        currency=row.currency,
        version=row.version,
        items=[],
        coupon=row.coupon,
        discounts=[],
        order_id=row.order_id,
        merged_into=row.merged_into,
        touched_at=row.touched_at,
        **zero,
    )


def _sums(priced: Priced, quote: Quote) -> dict[str, object]:
    totals = quote.totals

    def money(minor: int) -> str:
        return Money(minor=minor, currency=quote.currency).decimal

    why = quote.unfit[0].why if quote.unfit else None
    return {
        "subtotal": money(totals.subtotal),
        "discounts": [
            DiscountView(name=one.promotion.name, code=one.promotion.coupon, amount=money(one.amount))
            for one in quote.won
        ],
        "shipping_fee": money(totals.shipping.fee) if priced.is_whole else None,
        "tax": money(totals.added_tax) if priced.is_whole else None,
        "total": money(totals.total),
        "coupon_refusal": CouponRefusal(code=why.code, detail=why.words) if why else None,
    }


def _items(services: Services, quote: Quote, cart: CartRead) -> list[CartItem]:
    def money(minor: int) -> str:
        return Money(minor=minor, currency=quote.currency).decimal

    def change(was: int, now: int) -> PriceChange | None:
        return PriceChange(was=money(was), now=money(now)) if was != now else None

    return [
        CartItem(
            product_id=line.product_id,
            name=name,
            quantity=line.quantity,
            price=money(line.unit_price),
            amount=money(line.amount),
            discount=money(summed.discount),
            availability=availability(seen.available, line.quantity, services.settings.stock_low),
            price_change=change(seen.price_seen, line.unit_price),
        )
        for seen, line, name, summed in zip(cart.lines, quote.lines, quote.names, quote.totals.lines, strict=True)
    ]
