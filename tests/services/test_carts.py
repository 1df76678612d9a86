"""Carts on PostgreSQL: nothing is lost or doubled, whoever changes one at the same time."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from adapters.postgres.database import engine_of
from domain.carts import Lives
from domain.errors import Conflict, InvalidInput, NotFound, Stale
from services.carts import changes, reading
from services.carts.changes import Asked
from services.carts.upkeep import OldCarts
from services.catalogue import products
from services.rates.from_tables import by_tables
from tests.support.carts import Carts
from tests.support.counter import Counter


async def test_adds_at_once_are_all_kept(carts: Carts, counter: Counter) -> None:
    """Twenty into the one cart of a customer who had none, five of them sent twice by key."""
    customer_id, lamp = await counter.customer(), await counter.product()
    keys = [secrets.token_hex(4) for _ in range(20)]

    await asyncio.gather(*(carts.add_to_open(customer_id, lamp, key) for key in [*keys, *keys[:5]]))

    cart = await carts.open(customer_id)
    assert cart.row is not None
    assert await carts.quantities(cart.row.cart_id) == {lamp: 20}
    assert cart.row.version == 21
    assert await carts.events(cart.row.cart_id) == ["updated"] * 20


async def test_a_key_does_one_thing(carts: Carts, counter: Counter) -> None:
    """Another wish under it is refused and changes nothing."""
    lamp = await counter.product()
    cart_id = await carts.of(None)
    await carts.add(cart_id, lamp, 2, key="k")
    with pytest.raises(InvalidInput) as refused:
        await carts.add(cart_id, lamp, 3, key="k")
    assert refused.value.code == "idempotency_key_reused"
    assert await carts.quantities(cart_id) == {lamp: 2}


async def test_a_customer_has_one_open_cart(counter: Counter) -> None:
    """However many ask for one at once; each guest gets a cart of their own."""
    customer_id = await counter.customer()
    made = await asyncio.gather(*(changes.open_cart(counter.sessions, customer_id) for _ in range(6)))
    assert len({cart_id for cart_id, _ in made}) == 1
    assert sum(is_new for _, is_new in made) == 1
    assert len({await changes.open_cart(counter.sessions, None) for _ in range(2)}) == 2
    with pytest.raises(NotFound):
        await changes.open_cart(counter.sessions, "c-nobody")


async def test_refuses_what_does_not_go_into_the_cart(carts: Carts, counter: Counter) -> None:
    """An unknown product, and one in another currency: the cart stays as it was, and so does its version."""
    lamp, euro = await counter.product(), await counter.product(currency="EUR")
    cart_id = await carts.of(None, (lamp, 1))
    with pytest.raises(InvalidInput) as unknown:
        await carts.add(cart_id, "p-nowhere")
    with pytest.raises(Conflict) as other:
        await carts.add(cart_id, euro)
    assert (unknown.value.code, other.value.code) == ("unknown_product", "other_currency")
    cart = await carts.read(cart_id)
    assert cart.row is not None and cart.row.version == 2

    await changes.change_cart(carts.sessions, cart_id, Asked("remove"), changes.remove(lamp))
    await carts.add(cart_id, euro)
    assert await carts.quantities(cart_id) == {euro: 1}


async def test_an_old_version_is_refused(carts: Carts, counter: Counter) -> None:
    """Only of who names one."""
    lamp = await counter.product()
    cart_id = await carts.of(None, (lamp, 1))
    set_three = changes.set_quantity(lamp, 3)
    with pytest.raises(Stale) as refused:
        await changes.change_cart(carts.sessions, cart_id, Asked("set", version=1), set_three, lamp)
    assert refused.value.members == {"version": 2}
    await changes.change_cart(carts.sessions, cart_id, Asked("set", version=2), set_three, lamp)
    await changes.change_cart(carts.sessions, cart_id, Asked("set"), set_three, lamp)  # makes no other version
    cart = await carts.read(cart_id)
    assert cart.row is not None and cart.row.version == 3


async def test_who_has_seen_no_cart_may_begin_one(carts: Carts, counter: Counter) -> None:
    """Version 0 is of no cart; who knows a later one has seen another cart, and begins none."""
    lamp, customer = await counter.product(), await counter.customer()

    async def add(version: int | None, key: str | None = None) -> None:
        asked = Asked("add", key, version)
        await changes.change_open_cart(carts.sessions, customer, asked, changes.add(lamp, 1), lamp)

    for version in (1, 2):
        with pytest.raises(Stale) as refused:
            await add(version)
        assert refused.value.members == {"version": 0}
    assert (await carts.open(customer)).row is None
    for _ in range(2):  # the answer was lost
        await add(0, "k")
    with pytest.raises(Stale):
        await add(0)
    cart = await carts.open(customer)
    assert cart.row is not None and (cart.row.version, cart.pieces[0].quantity) == (2, 1)


async def test_a_cart_that_is_not_to_be_seen_is_none(carts: Carts, counter: Counter) -> None:
    """Neither read nor changed, nor merged."""
    lamp, owner = await counter.product(), await counter.customer()
    cart_id, mine = await carts.of(owner, (lamp, 1)), await carts.of(None, (lamp, 1))

    def sees(customer_id: str | None) -> bool:
        return customer_id != owner

    with pytest.raises(NotFound):
        await changes.change_cart(carts.sessions, cart_id, Asked("x", sees=sees), changes.remove(lamp))
    with pytest.raises(NotFound):
        await changes.merge(carts.sessions, mine, cart_id, sees)
    async with engine_of(carts.sessions).connect() as connection:
        with pytest.raises(NotFound):
            await reading.read_cart(connection, cart_id, sees)
    assert await carts.quantities(cart_id) == {lamp: 1}


async def test_merges_a_guests_cart_once(carts: Carts, counter: Counter) -> None:
    """Six at once, in both directions of the locks: the pieces are added once, and the source is over."""
    lamp, desk = await counter.product(), await counter.product()
    mine, guests = await carts.of(await counter.customer(), (lamp, 1)), await carts.of(None, (lamp, 2), (desk, 1))

    with pytest.raises(Stale):
        await changes.merge(carts.sessions, mine, guests, version=1)

    await asyncio.gather(*(changes.merge(carts.sessions, mine, guests) for _ in range(6)))

    assert await carts.quantities(mine) == {lamp: 3, desk: 1}
    source = (await carts.read(guests)).row
    assert source is not None and (source.state, source.merged_into) == ("merged", mine)
    with pytest.raises(Conflict) as over:
        await carts.add(guests, lamp)
    assert over.value.code == "cart_merged"


async def test_merges_nothing_that_does_not_fit(carts: Carts, counter: Counter) -> None:
    """Another currency, another customer's, itself: both carts stay as they were."""
    lamp, euro = await counter.product(), await counter.product(currency="EUR")
    mine, guests = await carts.of(await counter.customer(), (lamp, 1)), await carts.of(None, (euro, 1))
    others = await carts.of(await counter.customer(), (lamp, 1))
    codes = []
    for source in (guests, others, mine):
        with pytest.raises(Conflict) as refused:
            await changes.merge(carts.sessions, mine, source)
        codes.append(refused.value.code)
    assert codes == ["other_currency", "cart_of_another", "same_cart"]
    assert (await carts.quantities(mine), await carts.quantities(guests)) == ({lamp: 1}, {euro: 1})


async def test_shows_todays_price_and_what_it_was(carts: Carts, counter: Counter) -> None:
    """And what is in stock; a changed line has seen the new price."""
    lamp = await counter.product(price="24.50", on_hand=7)
    cart_id = await carts.of(None, (lamp, 2))
    async with counter.sessions() as session, session.begin():
        await products.change_product(session, lamp, price=Decimal(27))
    reads = engine_of(counter.sessions).execution_options(isolation_level="AUTOCOMMIT")

    cart = await carts.read(cart_id)
    priced = await reading.price(reads, cart, by_tables(reads))

    assert priced.quote is not None and priced.quote.totals.total == 5400
    assert [(line.price_seen, line.available) for line in cart.lines] == [(2450, 7)]
    await carts.add(cart_id, lamp)
    assert [line.price_seen for line in (await carts.read(cart_id)).lines] == [2700]


LIVES = Lives(timedelta(days=30), timedelta(days=90), empty=timedelta(hours=6), abandoned=timedelta(hours=4))


async def test_time_ends_each_kind_of_cart(carts: Carts, counter: Counter) -> None:
    """A guest's after 30 days, a customer's after 90, an empty one after 6 hours; then they leave."""
    lamp, day = await counter.product(), timedelta(days=1)
    guests, kept = await carts.of(None, (lamp, 1)), await carts.of(await counter.customer(), (lamp, 1))
    customers, empty = await carts.of(await counter.customer(), (lamp, 1)), await carts.of(None)
    fresh = await carts.of(None)
    for cart_id, age in ((guests, 31 * day), (kept, 31 * day), (customers, 91 * day), (empty, day)):
        await carts.age(cart_id, age)
    old = OldCarts(engine_of(carts.sessions), LIVES, ended=60 * day, keys=day)

    while await old.expire(100) == 100:
        pass
    found = [(await carts.read(one)).row for one in (guests, kept, customers, empty, fresh)]
    assert [row.state for row in found if row] == ["expired", "open", "expired", "expired", "open"]

    while await old.delete_ended(100) == 100:
        pass
    with pytest.raises(NotFound):
        await carts.read(customers)
    assert await carts.quantities(guests) == {lamp: 1}


async def test_tells_of_an_abandoned_cart_once(carts: Carts, counter: Counter) -> None:
    """Not of an empty one, and not again after it was touched."""
    lamp = await counter.product()
    left, empty = await carts.of(None, (lamp, 1)), await carts.of(None)
    for cart_id in (left, empty):
        await carts.age(cart_id, timedelta(hours=5))
    old = OldCarts(engine_of(carts.sessions), LIVES, ended=timedelta(days=1), keys=timedelta(days=1))
    for _ in range(2):
        while await old.tell_abandoned(100) == 100:
            pass
    assert await carts.events(left) == ["updated", "abandoned"]
    assert await carts.events(empty) == []


async def test_forgets_old_keys(carts: Carts, counter: Counter) -> None:
    """Only theirs: a key of today still does one thing."""
    lamp = await counter.product()
    cart_id = await carts.of(None)
    await carts.add(cart_id, lamp, key="old")
    await carts.add(cart_id, lamp, key="new")
    async with engine_of(carts.sessions).begin() as connection:
        gone = text("UPDATE cart_operations SET at = at - interval '2 days' WHERE cart_id = :id AND key = 'old'")
        await connection.execute(gone, {"id": cart_id})
    old = OldCarts(engine_of(carts.sessions), LIVES, ended=timedelta(days=1), keys=timedelta(days=1))
    while await old.forget_keys(100) == 100:
        pass
    for key in ("old", "new"):
        await carts.add(cart_id, lamp, key=key)
    assert await carts.quantities(cart_id) == {lamp: 3}
