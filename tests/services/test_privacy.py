"""What is held on a customer is sealed, handed out, erased, and stays erased after a restore."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from adapters.tombstones.folder import Tombstones, TombstonesUnusable
from domain.errors import Conflict, InvalidInput, NotFound, OurMistake
from domain.order_states import OrderStatus
from domain.texts import ERASED, TextKind
from services.customers import customers
from services.customers.customers import CustomerData, add_customer
from services.orders.placement import place
from services.privacy.differences import differences
from services.privacy.erasure import end_of_term
from services.privacy.export import HELD
from services.privacy.upkeep import forget_due
from services.tables import METADATA
from services.texts import texts
from tests.support.carts import Carts
from tests.support.counter import Counter
from tests.support.privacy import ACCOUNTING, ADDRESS, CONTACT, EMAIL, GIFT, WORDS, Zephyrine

REJECTED = OrderStatus.REJECTED


@pytest.fixture
async def someone(counter: Counter, tmp_path: Path) -> Zephyrine:
    return Zephyrine(counter, tmp_path / "tombstones")


async def erase(someone: Zephyrine) -> None:
    await someone.desk.erase(someone.id)


async def test_no_table_has_anything_in_clear(someone: Zephyrine) -> None:
    """And everything is there for those who have the keys."""
    [order_id] = await someone.orders(None)
    assert await someone.in_clear([*CONTACT, *ACCOUNTING]) == {}
    async with someone.engine.connect() as connection:
        read = await customers.read_customer(connection, someone.id)
        words = (await texts.read(connection, [f"t{order_id}"]))[f"t{order_id}"]
    assert read == CustomerData(someone.id, ADDRESS["name"], EMAIL)
    row = await someone.counter.order(order_id)
    assert (await someone.counter.book.address_of(row), words) == (ADDRESS, WORDS)
    assert (row.shipping_address, row.order_metadata) == (None, {})


async def test_is_found_by_an_address_however_it_is_written(someone: Zephyrine) -> None:
    """Also where the row is still in clear."""
    await someone.orders()
    async with someone.engine.connect() as connection:
        for written in (EMAIL, EMAIL.upper(), f" {EMAIL.lower()}"):
            assert someone.id in [one.customer_id for one in await customers.with_email(connection, written)]
        assert await customers.with_email(connection, "nobody@example.com") == []


async def test_an_export_has_every_field_with_its_class(someone: Zephyrine) -> None:
    """But no secret."""
    [order_id] = await someone.orders(REJECTED)
    tables = (await someone.desk.export(someone.id))["tables"]
    assert tables["customers"][0]["email"] == {"class": "contact", "value": EMAIL}
    assert tables["orders"][0]["shipping_address"]["value"] == {k: v for k, v in ADDRESS.items() if k != "phone"}
    assert tables["orders"][0]["contact"]["value"] == {"metadata": {"gift": GIFT}, "phone": ADDRESS["phone"]}
    assert tables["texts"][0]["text"] == {"class": "text", "value": WORDS}
    assert [row["to_status"]["value"] for row in tables["timeline"]] == ["PLACED", "REJECTED"]
    assert {row["subject"]["value"] for row in tables["outbox"]} == {order_id}
    assert "wrapped" not in tables["customer_keys"][0]
    with pytest.raises(NotFound):
        await someone.desk.export("nobody")


def test_an_export_misses_no_table() -> None:
    """Whatever names a customer, an order or a cart."""
    naming = {"customer_id", "order_id", "cart_id", "subject"}
    named = {table.name for table in METADATA.sorted_tables if naming & set(table.columns.keys())}
    # `subject` of the audit is who did something, an operator or a program; a ticket's actions are of a ticket.
    assert named - {"audit"} | {"ticket_actions"} == set(HELD)


@pytest.mark.parametrize("why", ["open", "disputed", "ticket", "refund"])
async def test_nobody_is_erased_while_something_is_open(someone: Zephyrine, why: str) -> None:
    """The refusal names the orders, and nothing has changed."""
    [order_id] = await someone.orders(None if why == "open" else REJECTED)
    opened = {
        "disputed": "UPDATE orders SET hold = 'dispute' WHERE order_id = :order",
        "ticket": "INSERT INTO tickets (order_id, kind, step, detail, opened_at)"
        " VALUES (:order, 'k', 's', 'd', now())",
        "refund": "INSERT INTO refunds (order_id, key, amount_minor, reason, by, state, created_at, updated_at)"
        " VALUES (:order, 'k', 1, '', 'a', 'pending', now(), now())",
    }
    if why in opened:
        await someone.ask(opened[why], order=order_id)
    with pytest.raises(Conflict) as refused:
        await erase(someone)
    assert (refused.value.code, refused.value.members["order_ids"]) == ("orders_open", [order_id])
    assert EMAIL in await someone.held() and await someone.tombstones.read_all() == []


async def test_an_erasure_leaves_what_the_law_keeps(someone: Zephyrine, carts: Carts) -> None:
    """Nobody reads it but by an export."""
    [order_id] = await someone.orders(REJECTED)
    cart = await carts.of(someone.id, (await carts.counter.product(), 1))
    answer = await someone.desk.erase(someone.id)
    assert answer.stone.accounting_until == datetime(datetime.now(UTC).year + 11, 1, 1, tzinfo=UTC)

    held = await someone.held()
    assert [word for word in CONTACT if word in held] == [] and all(word in held for word in ACCOUNTING)
    async with someone.engine.connect() as connection:
        with pytest.raises(NotFound):
            await customers.read_customer(connection, someone.id)
        assert (await texts.read(connection, [f"t{order_id}"]))[f"t{order_id}"] == ERASED
        assert someone.id not in [one.customer_id for one in await customers.with_email(connection, EMAIL)]
    assert await someone.ask("SELECT count(*) FROM carts WHERE cart_id = :cart", cart=cart) == [0]
    assert await someone.ask("SELECT fingerprint FROM orders WHERE customer_id = :id") == ["erased"]


async def test_an_id_that_was_erased_is_nobodys_for_good(someone: Zephyrine) -> None:
    """Neither a new customer nor an order gets it, and no words about it are kept."""
    [order_id] = await someone.orders(REJECTED)
    await erase(someone)
    async with someone.sessions() as session, session.begin():
        with pytest.raises(Conflict, match="was erased"):
            await add_customer(session, CustomerData(someone.id, "A", "a@example.com"))
    with pytest.raises(InvalidInput):
        await place(someone.sessions, someone.wanted(await someone.counter.product()))
    async with someone.sessions() as session, session.begin():
        kept = await texts.keep(session, TextKind.REFUND_REASON, WORDS, order_id=order_id)
        assert (await texts.read(await session.connection(), [kept]))[kept] == ERASED


async def test_at_the_end_of_the_term_nothing_is_left(someone: Zephyrine) -> None:
    """The relay's job destroys the second key."""
    [order_id] = await someone.orders(REJECTED)
    await erase(someone)
    async with someone.engine.begin() as connection:
        await connection.execute(
            text("UPDATE customer_keys SET due_at = now() WHERE customer_id = :id AND wrapped IS NOT NULL"),
            {"id": someone.id},
        )
        assert await forget_due(connection) >= 1
    held = await someone.held()
    assert [word for word in (*CONTACT, *ACCOUNTING) if word in held] == []
    assert await someone.ask("SELECT DISTINCT wrapped FROM customer_keys WHERE customer_id = :id") == [None]
    row = await someone.counter.order(order_id)
    assert await someone.counter.book.address_of(row) is None


async def test_a_customer_without_orders_has_no_term(someone: Zephyrine) -> None:
    await someone.orders()
    answer = await someone.desk.erase(someone.id)
    assert answer.stone.accounting_until == answer.stone.erased_at
    assert ADDRESS["name"] not in await someone.held()


async def test_the_term_begins_with_the_end_of_the_year() -> None:
    assert end_of_term(datetime(2026, 1, 2, tzinfo=UTC), 10) == datetime(2037, 1, 1, tzinfo=UTC)
    assert end_of_term(datetime(2026, 12, 31, 23, tzinfo=UTC), 0) == datetime(2027, 1, 1, tzinfo=UTC)


async def test_who_was_erased_stays_erased_after_a_restore(someone: Zephyrine) -> None:
    """The restored rows have their keys again: until the tombstones are read, everything opens."""
    [order_id] = await someone.orders(REJECTED)
    backup = await someone.rows()
    await erase(someone)
    await someone.restore(backup)
    held = await someone.held()
    assert all(word in held for word in CONTACT)
    async with someone.engine.connect() as connection:
        assert (await differences(connection, [someone.id])).not_erased == [someone.id]

    await someone.ask("UPDATE orders SET hold = 'dispute' WHERE order_id = :order", order=order_id)
    assert await someone.desk.replay() == [someone.id]
    held = await someone.held()
    assert [word for word in CONTACT if word in held] == [] and all(word in held for word in ACCOUNTING)
    assert await someone.desk.replay() == []


async def test_a_sealed_value_of_a_backup_opens_with_nothing_that_is_left(someone: Zephyrine) -> None:
    """Its key is gone from the database: rows that were never emptied, e.g. of a copy, tell nothing."""
    await someone.orders(REJECTED)
    backup = await someone.rows()
    await erase(someone)
    await someone.restore({table: rows for table, rows in backup.items() if table != "customer_keys"})
    held = await someone.held()
    assert [word for word in CONTACT if word in held] == []


async def test_stripes_customer_goes_too(someone: Zephyrine) -> None:
    """Now, or when Stripe is there again."""
    await someone.orders(REJECTED)
    theirs = f"cus_{someone.id}"
    await someone.ask("UPDATE customers SET stripe_customer_id = :cus WHERE customer_id = :id", cus=theirs)
    someone.stripe.away = True
    assert not (await someone.desk.erase(someone.id)).at_stripe
    someone.stripe.away = False
    assert await someone.desk.at_stripe.forget() >= 1
    assert theirs in someone.stripe.deleted
    assert (await someone.desk.erase(someone.id)).at_stripe  # a repeat has nothing left to do
    assert await someone.ask("SELECT stripe_customer_id FROM customers WHERE customer_id = :id") == [None]


async def test_an_address_that_no_key_opens_calls_a_person(someone: Zephyrine) -> None:
    """No parcel leaves without it."""
    [order_id] = await someone.orders(REJECTED)
    row = await someone.counter.order(order_id)
    await erase(someone)
    await someone.ask(
        "UPDATE customer_keys SET wrapped = NULL, destroyed_at = now()"
        " WHERE customer_id = :id AND wrapped IS NOT NULL"
    )
    with pytest.raises(OurMistake, match="address was erased"):
        await someone.counter.book.address_of(row)


async def test_a_tombstone_is_made_once(tmp_path: Path, someone: Zephyrine) -> None:
    """The first one counts; a folder that cannot be read is no empty one."""
    await someone.orders(REJECTED)
    first = (await someone.desk.erase(someone.id)).stone
    again = first._replace(accounting_until=first.erased_at)
    assert await someone.tombstones.add(again) == first == (await someone.tombstones.read_all())[0]
    names = [file.name for file in (tmp_path / "tombstones").iterdir()]
    assert len(names) == 1 and re.fullmatch(r"[0-9a-f]{64}\.json", names[0])
    (tmp_path / "tombstones" / names[0]).write_text("{}")
    with pytest.raises(TombstonesUnusable, match="is no tombstone"):
        await Tombstones(tmp_path / "tombstones").read_all()
