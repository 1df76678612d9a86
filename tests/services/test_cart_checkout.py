"""An order from a cart is placed once, at the price that was seen; a rejected one gives the cart back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from pydantic import SecretStr

from activities.orders.orders import Orders
from adapters.postgres.database import autocommit, engine_of
from domain.commands import CloseOrder
from domain.errors import Conflict, InvalidInput, Stale, Unavailable
from domain.order_states import OrderStatus
from domain.pricing.taxes import Tax, TaxRate
from services.carts import changes, checkout
from services.carts.changes import Asked
from services.carts.checkout import Contents, ToPlace
from services.carts.reading import Terms, price
from services.catalogue import products
from services.identities.actors import Actors
from services.orders.placement import NewOrder
from services.orders.tables import Order
from services.rates.from_tables import by_tables
from services.rates.ports import Providers, StoredRates, TaxAnswer, TaxQuestion
from tests.support.carts import Carts
from tests.support.counter import Counter


def expecting(total: str, fingerprint: str = "f") -> ToPlace:
    def to_place(cart: Contents) -> NewOrder:
        return NewOrder(
            order_id=cart.order_id,
            key=None,
            fingerprint=fingerprint,
            customer_id=cart.customer_id,
            items=cart.items,
            payment_method="pm_card_visa",
            expected_total=Decimal(total),
            coupon_codes=cart.coupon_codes,
            cart_id=cart.cart_id,
        )

    return to_place


async def check_out(carts: Carts, cart_id: str, total: str, key: str | None = None, fingerprint: str = "f") -> Order:
    asked = Asked(fingerprint, key)
    planned = await checkout.plan(autocommit(engine_of(carts.sessions)), cart_id, asked)
    return await checkout.place(carts.sessions, planned, asked, expecting(total, fingerprint))


async def reject(carts: Carts, order_id: str) -> None:
    closing = CloseOrder(
        order_id=order_id, status=OrderStatus.REJECTED, code="out_of_stock", detail="none", by="saga"
    )
    await Orders(carts.counter.book, Actors(SecretStr("not asked here"))).close_order(closing)


async def test_ten_checkouts_by_two_keys_make_one_order(carts: Carts, counter: Counter) -> None:
    """Five have it, five are refused and told which it is; an add meanwhile is not lost."""
    customer_id, lamp, desk = await counter.customer(), await counter.product("24.50"), await counter.product()
    cart_id = await carts.of(customer_id, (lamp, 2))

    found = await asyncio.gather(
        *(check_out(carts, cart_id, "49.00", key) for key in ["one", "two"] * 5), return_exceptions=True
    )
    await carts.add_to_open(customer_id, desk)

    orders = [one for one in found if isinstance(one, Order)]
    refused = [one for one in found if isinstance(one, Conflict)]
    assert {one.order_id for one in orders} == {checkout.order_id_of(cart_id, 1)}
    assert (len(orders), [one.code for one in refused]) == (5, ["cart_ordered"] * 5)
    assert {one.members["order_id"] for one in refused} == {orders[0].order_id}
    assert (orders[0].total_minor, orders[0].cart_id) == (4900, cart_id)
    assert await carts.events(cart_id) == ["updated", "checked_out"]
    newer = await carts.open(customer_id)
    assert [(line.product_id, line.quantity) for line in newer.lines] == [(desk, 1)]


async def test_an_add_whose_answer_was_lost_is_known_after_the_checkout(carts: Carts, counter: Counter) -> None:
    """Its pieces are in the order: the same key again must not begin a new cart with them."""
    customer_id, lamp = await counter.customer(), await counter.product()
    await carts.add_to_open(customer_id, lamp, key="k")
    cart = await carts.open(customer_id)
    assert cart.row is not None
    await check_out(carts, cart.row.cart_id, "10.00")

    await carts.add_to_open(customer_id, lamp, key="k")

    assert (await carts.open(customer_id)).lines == []


async def test_the_same_checkout_again_has_the_same_order(carts: Carts, counter: Counter) -> None:
    """With a key and without one; another wish is refused."""
    lamp = await counter.product()
    by_key = await carts.of(await counter.customer(), (lamp, 1))
    without = await carts.of(await counter.customer(), (lamp, 1))
    for cart_id, key in ((by_key, "k"), (without, None)):
        placed = [(await check_out(carts, cart_id, "10.00", key)).order_id for _ in range(2)]
        assert placed[0] == placed[1]
    with pytest.raises(InvalidInput) as reused:
        await check_out(carts, by_key, "10.00", "k", "another")
    with pytest.raises(Conflict) as ordered:
        await check_out(carts, without, "10.00", None, "another")
    assert (reused.value.code, ordered.value.code) == ("idempotency_key_reused", "cart_ordered")


async def test_a_changed_price_is_told_and_nothing_is_placed(carts: Carts, counter: Counter) -> None:
    """The customer agrees to the new total, or not; the cart stays open meanwhile."""
    lamp = await counter.product(price="24.50")
    cart_id = await carts.of(await counter.customer(), (lamp, 2))
    async with counter.sessions() as session, session.begin():
        await products.change_product(session, lamp, price=Decimal(27))

    with pytest.raises(Conflict) as refused:
        await check_out(carts, cart_id, "49.00", "k")

    assert (refused.value.code, refused.value.members["total_amount"]) == ("total_changed", "54.00")
    assert (await check_out(carts, cart_id, "54.00", "k")).total_minor == 5400


async def test_only_a_customers_cart_with_something_in_it_is_ordered(carts: Carts, counter: Counter) -> None:
    """Each refusal has its own code."""
    lamp = await counter.product()
    guests, empty = await carts.of(None, (lamp, 1)), await carts.of(await counter.customer())
    stale = await carts.of(await counter.customer(), (lamp, 1))
    codes = []
    for cart_id in (guests, empty):
        with pytest.raises(Conflict) as refused:
            await check_out(carts, cart_id, "10.00")
        codes.append(refused.value.code)
    with pytest.raises(Stale):
        await checkout.plan(autocommit(engine_of(carts.sessions)), stale, Asked("f", version=1))
    assert codes == ["cart_of_a_guest", "cart_empty"]


async def test_a_rejected_order_gives_its_cart_back(carts: Carts, counter: Counter) -> None:
    """For one more attempt, which is another order; the first key still has the first order."""
    lamp = await counter.product()
    cart_id = await carts.of(await counter.customer(), (lamp, 1))
    first = await check_out(carts, cart_id, "10.00", "one")

    for _ in range(2):
        await reject(carts, first.order_id)
    again = await check_out(carts, cart_id, "10.00", "one")
    second = await check_out(carts, cart_id, "10.00", "two")

    assert again.order_id == first.order_id != second.order_id
    cart = await carts.read(cart_id)
    assert cart.row is not None and (cart.row.state, cart.row.attempt, cart.row.order_id) == (
        "ordered",
        2,
        second.order_id,
    )
    assert await carts.events(cart_id) == ["updated", "checked_out", "updated", "checked_out"]


async def test_the_lines_of_a_rejected_order_move_to_the_newer_cart(carts: Carts, counter: Counter) -> None:
    """The customer has one open cart at most; adds that come at the same moment are not lost."""
    customer_id, lamp = await counter.customer(), await counter.product()
    cart_id = await carts.of(customer_id, (lamp, 2))
    order = await check_out(carts, cart_id, "20.00")

    await asyncio.gather(reject(carts, order.order_id), *(carts.add_to_open(customer_id, lamp) for _ in range(5)))

    now = await carts.open(customer_id)
    assert [(line.product_id, line.quantity) for line in now.lines] == [(lamp, 7)]
    old = (await carts.read(cart_id)).row
    assert old is not None and now.row is not None
    assert now.row.cart_id == cart_id or (old.state, old.merged_into) == ("merged", now.row.cart_id)


async def test_what_fits_no_newer_cart_stays_where_it_was(carts: Carts, counter: Counter) -> None:
    """In another currency: the old cart is over, and its lines can be read."""
    customer_id, lamp, euro = await counter.customer(), await counter.product(), await counter.product(currency="EUR")
    cart_id = await carts.of(customer_id, (lamp, 2))
    order = await check_out(carts, cart_id, "20.00")
    await carts.add_to_open(customer_id, euro)

    await reject(carts, order.order_id)

    old = (await carts.read(cart_id)).row
    assert old is not None and old.state == "expired"
    assert await carts.quantities(cart_id) == {lamp: 2}
    assert [line.product_id for line in (await carts.open(customer_id)).lines] == [euro]


async def test_a_merge_of_a_cart_that_was_ordered_is_refused(carts: Carts, counter: Counter) -> None:
    """It names the order."""
    lamp = await counter.product()
    cart_id = await carts.of(await counter.customer(), (lamp, 1))
    order = await check_out(carts, cart_id, "10.00")
    with pytest.raises(Conflict) as refused:
        await changes.merge(carts.sessions, cart_id, await carts.of(None, (lamp, 1)))
    assert (refused.value.code, refused.value.members["order_id"]) == ("cart_ordered", order.order_id)


async def nothing() -> None: ...


class SlowTaxes:
    """A provider far away: something happens while it is asked, the first time."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._meanwhile, self.asked = meanwhile, 0

    def applies(self, stored: StoredRates) -> bool:
        return True

    async def quote(self, asked: TaxQuestion) -> TaxAnswer:
        """A tenth on top of each line."""
        self.asked += 1
        if self.asked == 1:
            await self._meanwhile()
        return TaxAnswer([Tax.by(TaxRate(100_000), line.net) for line in asked.lines])


async def with_taxes(carts: Carts, cart_id: str, taxes: SlowTaxes, total: str) -> Order:
    asked, reads = Asked("f"), autocommit(engine_of(carts.sessions))
    planned = await checkout.plan(reads, cart_id, asked)

    def to_place(cart: Contents) -> NewOrder:
        return replace(expecting(total)(cart), shipping_address={"country": "US"})

    providers = Providers(taxes, by_tables(reads).shipping)
    return await checkout.place(carts.sessions, planned, asked, to_place, providers)


async def test_what_changes_while_a_provider_is_asked_is_quoted_again(carts: Carts, counter: Counter) -> None:
    """A price: the order has the new one, with its tax, or none is placed where the customer has not seen it."""
    lamp = await counter.product(price="10.00")
    first = await carts.of(await counter.customer(), (lamp, 2))
    second = await carts.of(await counter.customer(), (lamp, 2))

    async def dearer(price: str) -> None:
        async with counter.sessions() as session, session.begin():
            await products.change_product(session, lamp, price=Decimal(price))

    taxes = SlowTaxes(lambda: dearer("11.00"))
    order = await with_taxes(carts, first, taxes, "24.20")
    assert (order.total_minor, order.added_tax_minor, taxes.asked) == (2420, 220, 2)

    taxes = SlowTaxes(lambda: dearer("12.00"))
    with pytest.raises(Conflict) as refused:
        await with_taxes(carts, second, taxes, "24.20")
    assert (refused.value.code, refused.value.members["total_amount"]) == ("total_changed", "26.40")
    cart = await carts.read(second)
    assert cart.row is not None and cart.row.state == "open"


async def test_nothing_is_placed_while_nobody_can_say_the_tax(carts: Carts, counter: Counter) -> None:
    """The cart is as it was, and the same checkout places the order when the provider is back."""

    async def away() -> None:
        raise ConnectionError

    lamp = await counter.product(price="10.00")
    cart_id = await carts.of(await counter.customer(), (lamp, 2))
    before = (await carts.read(cart_id)).row
    with pytest.raises(Unavailable) as refused:
        await with_taxes(carts, cart_id, SlowTaxes(away), "22.00")
    assert refused.value.code == "tax_rates_away"
    assert (await carts.read(cart_id)).row == before
    assert before is not None and before.order_id is None
    assert (await with_taxes(carts, cart_id, SlowTaxes(nothing), "22.00")).total_minor == 2200


async def test_an_add_while_a_provider_is_asked_is_not_lost(carts: Carts, counter: Counter) -> None:
    """It is in the cart that is ordered, so that the total is another one: nothing is placed behind the customer."""
    lamp = await counter.product(price="10.00")
    cart_id = await carts.of(await counter.customer(), (lamp, 2))
    with pytest.raises(Conflict) as refused:
        await with_taxes(carts, cart_id, SlowTaxes(lambda: carts.add(cart_id, lamp)), "22.00")
    assert (refused.value.code, refused.value.members["total_amount"]) == ("total_changed", "33.00")
    assert await carts.quantities(cart_id) == {lamp: 3}
    assert (await with_taxes(carts, cart_id, SlowTaxes(nothing), "33.00")).total_minor == 3300


async def test_a_cart_is_priced_without_its_tax_until_there_is_an_address(carts: Carts, counter: Counter) -> None:
    """It says that something is still to come."""
    lamp, reads = await counter.product(price="10.00"), autocommit(engine_of(counter.sessions))
    cart = await carts.read(await carts.of(None, (lamp, 2)))
    providers = Providers(SlowTaxes(nothing), by_tables(reads).shipping)
    found = []
    for terms in (Terms(), Terms(address={"country": "US"})):
        priced = await price(reads, cart, providers, terms)
        assert priced.quote is not None
        found.append((priced.quote.totals.total, priced.is_whole))
    assert found == [(2000, False), (2200, True)]
