"""An order is placed once, whoever asks how often, and only at the catalogue's prices."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from decimal import Decimal

import pytest

from domain.errors import Conflict, InvalidInput
from domain.limits import MAX_QUANTITY
from domain.money import Money
from services.orders.placement import place, stored_order
from services.orders.pricing import MergedLine, Pieces, PricedProduct, currency_of, merge, require_total
from services.orders.tables import Order
from tests.support.counter import Counter


async def test_places_an_order_once_however_often_it_comes(counter: Counter) -> None:
    """Six at once: one row, one timeline row, one event."""
    new = await counter.wanted(await counter.product(price="12.50"))

    rows = await asyncio.gather(*(place(counter.sessions, new) for _ in range(6)))

    assert {(row.order_id, row.total_minor, row.currency) for row in rows} == {(new.order_id, 1250, "USD")}
    assert await counter.told(new.order_id) == ["order placed"]
    assert await counter.events(new.order_id) == 1


async def test_refuses_a_key_that_comes_with_another_wish(counter: Counter) -> None:
    """The first wish stays as it was stored."""
    new = await counter.wanted(await counter.product())
    await place(counter.sessions, new)

    with pytest.raises(InvalidInput) as refused:
        await place(counter.sessions, replace(new, fingerprint="another"))

    assert refused.value.code == "idempotency_key_reused"
    assert (await counter.order(new.order_id)).fingerprint == "f"


async def test_names_all_that_is_unknown_and_stores_nothing(counter: Counter) -> None:
    """By the index of the first item that names it."""
    known = await counter.product()
    items = [Pieces(known, 1), Pieces("p-nowhere", 1), Pieces("p-nowhere", 1)]
    new = await counter.wanted(items=items, customer_id="c-nobody")

    with pytest.raises(InvalidInput) as refused:
        await place(counter.sessions, new)

    assert [field.name for field in refused.value.fields] == ["customer_id", "items[1].product_id"]
    async with counter.sessions() as session:
        assert await session.get(Order, new.order_id) is None


async def test_stores_nothing_when_the_catalogue_has_another_price(counter: Counter) -> None:
    """The client gets both totals, exact, in the currency's own digits."""
    new = await counter.wanted(await counter.product(price="500", currency="JPY"), expected_total=Decimal(499))

    with pytest.raises(Conflict) as refused:
        await place(counter.sessions, new)

    assert refused.value.code == "total_changed"
    assert refused.value.members == {"expected_total": "499", "total_amount": "500", "currency": "JPY"}
    async with counter.sessions() as session:
        connection = await session.connection()
        assert await stored_order(connection.engine, "", new.customer_id, str(new.key)) is None


async def test_a_key_is_found_as_it_was_stored(counter: Counter) -> None:
    """Whatever the id was made of: ids of an earlier secret stay, and so do those from before principals."""
    new = replace(await counter.wanted(await counter.product()), placed_by="shop")
    stored = await place(counter.sessions, new)
    again = replace(new, order_id=secrets.token_hex(16))
    assert (await place(counter.sessions, again)).order_id == stored.order_id

    unnamed = await counter.wanted(await counter.product())
    before = await place(counter.sessions, unnamed)
    later = replace(unnamed, placed_by="shop", order_id=secrets.token_hex(16))
    assert (await place(counter.sessions, later)).order_id == before.order_id


async def test_a_key_belongs_to_a_principal(counter: Counter) -> None:
    """Another one's order under the same key for the same customer is another order."""
    new = replace(await counter.wanted(await counter.product()), placed_by="shop")
    first = await place(counter.sessions, new)
    other = replace(new, placed_by="customer", order_id=secrets.token_hex(16))
    assert (await place(counter.sessions, other)).order_id != first.order_id
    for_another = replace(new, customer_id=await counter.customer(), fingerprint="g", order_id=secrets.token_hex(16))
    with pytest.raises(InvalidInput) as refused:
        await place(counter.sessions, for_another)
    assert refused.value.code == "idempotency_key_reused"


LINES = {"a": MergedLine(0, 2), "b": MergedLine(3, 1)}


def products(**currencies: str) -> dict[str, PricedProduct]:
    return {name: PricedProduct(name, 250, currency) for name, currency in currencies.items()}


def test_takes_the_total_that_the_client_expects() -> None:
    """However many zeros it writes."""
    assert currency_of(LINES, products(a="USD", b="USD"), "USD") == "USD"
    require_total(Money(minor=750, currency="USD"), Decimal("7.500"))


@pytest.mark.parametrize(
    ("b", "currency", "expected", "field"),
    [
        ("EUR", None, None, "items[3].product_id"),
        ("USD", "EUR", None, "currency"),
        ("USD", None, Decimal("7.505"), "expected_total"),
    ],
)
def test_names_the_field_that_does_not_fit_the_prices(
    b: str, currency: str | None, expected: Decimal | None, field: str
) -> None:
    """Another currency than the first item's, than the client's, and an amount that no cents can pay."""
    with pytest.raises(InvalidInput) as refused:
        require_total(Money(minor=750, currency=currency_of(LINES, products(a="USD", b=b), currency)), expected)
    assert [one.name for one in refused.value.fields] == [field]


def test_refuses_a_total_that_stripe_does_not_charge() -> None:
    """Under 0.50 USD (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts)."""
    with pytest.raises(InvalidInput) as refused:
        require_total(Money(minor=30, currency="USD"), None)
    assert refused.value.code == "total_not_chargeable"


def test_counts_the_pieces_of_a_product_over_all_its_items() -> None:
    """Each item is small enough, both together are not."""
    with pytest.raises(InvalidInput) as refused:
        merge([Pieces("a", MAX_QUANTITY), Pieces("b", 1), Pieces("a", 1)])
    assert [field.name for field in refused.value.fields] == ["items[2].quantity"]
