"""A customer of whom every field says something that can be recognised, and the desk that erases them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.database import engine_of
from adapters.tombstones.folder import Tombstones
from domain.errors import TryAgain
from domain.order_states import OrderStatus
from domain.texts import TextKind
from services.customers.customers import CustomerData, add_customer
from services.orders.placement import NewOrder, place
from services.orders.pricing import Pieces
from services.privacy.at_stripe import AtStripe
from services.privacy.desk import PrivacyDesk
from services.texts import texts
from tests.support.counter import Counter

ADDRESS = {
    "name": "Zephyrine Quill", "street1": "7 Wallaby Way", "city": "Springfield", "state": "IL", "zip": "62701",
    "country": "US", "phone": "+1 555 0142",
}  # fmt: skip
EMAIL = "Zephyrine.Quill@example.com"
WORDS = "Zephyrine said so"
GIFT = "for my wallaby"
CONTACT = (EMAIL, ADDRESS["phone"], WORDS, GIFT)
ACCOUNTING = (ADDRESS["name"], ADDRESS["street1"])
KEPT = ("customers", "customer_keys", "orders", "texts")


@dataclass
class FakeStripe:
    """Stripe, which may be away."""

    away: bool = False
    deleted: list[str] = field(default_factory=list)

    async def delete(self, stripe_customer_id: str) -> None:
        if self.away:
            raise TryAgain("Stripe is away")
        self.deleted.append(stripe_customer_id)


@dataclass
class FakeMessages:
    """The folder of mails."""

    forgotten: list[int] = field(default_factory=list)

    async def forget(self, message_ids: Sequence[int]) -> None:
        self.forgotten += message_ids


class Zephyrine:
    """The customer, their orders, and what becomes of them."""

    def __init__(self, counter: Counter, folder: Path) -> None:
        self.counter, self.sessions, self.engine = counter, counter.sessions, engine_of(counter.sessions)
        self.stripe, self.messages, self.tombstones = FakeStripe(), FakeMessages(), Tombstones(folder)
        at_stripe = AtStripe(self.engine, self.stripe)
        self.desk = PrivacyDesk(self.engine, self.tombstones, at_stripe, self.messages, 10)
        self.id = ""

    async def orders(self, *ends: OrderStatus | None) -> list[str]:
        """One order for each end; None leaves it open."""
        if not self.id:
            self.id = f"c-{secrets.token_hex(4)}"
            async with self.sessions() as session, session.begin():
                assert await add_customer(session, CustomerData(self.id, ADDRESS["name"], EMAIL))
        placed = []
        for end in ends:
            order_id = (await place(self.sessions, self.wanted(await self.counter.product()))).order_id
            placed.append(order_id)
            async with self.sessions() as session, session.begin():
                await texts.keep(session, TextKind.CANCEL_REASON, WORDS, order_id=order_id, text_id=f"t{order_id}")
            if end is not None:
                async with self.counter.book.locked(order_id) as order:
                    order.move(end, "ended")
        return placed

    def wanted(self, product_id: str) -> NewOrder:
        """An order with an address, a phone number and a gift."""
        return NewOrder(
            order_id=secrets.token_hex(16),
            key=secrets.token_hex(4),
            fingerprint="f",
            customer_id=self.id,
            items=[Pieces(product_id, 1)],
            payment_method="pm_card_visa",
            shipping_address=ADDRESS,
            metadata={"gift": GIFT},
        )

    async def held(self) -> str:
        """What an export shows of them."""
        return to_json(await self.desk.export(self.id)).decode()

    async def rows(self) -> dict[str, list[str]]:
        """Their rows as a backup has them."""
        query = "SELECT to_json({0})::text FROM {0} WHERE customer_id = :id"
        return {table: await self.ask(query.format(table)) for table in KEPT}

    async def restore(self, backup: dict[str, list[str]]) -> None:
        """Puts the rows back as a restore of the database would."""
        async with self.engine.begin() as connection:
            for table, rows in backup.items():
                for row in rows:
                    await connection.execute(text(_restoring(table, from_json(row))), {"row": row})

    async def ask(self, query: str, **more: Any) -> list[Any]:
        async with self.engine.begin() as connection:
            found = await connection.execute(text(query), {"id": self.id} | more)
            return list(found.scalars()) if found.returns_rows else []

    async def in_clear(self, words: Sequence[str]) -> dict[str, int]:
        """In how many rows of which tables one of the words stands."""
        return await in_clear(self.engine, words)


def _restoring(table: str, row: dict[str, Any]) -> str:
    key = {"customer_keys": ("customer_id", "purpose"), "orders": ("order_id",), "texts": ("id",)}
    names = [name for name in row if name not in (own := key.get(table, ("customer_id",)))]
    values = ", ".join(f'"{name}" = old."{name}"' for name in names)
    same = " AND ".join(f"{table}.{name} = old.{name}" for name in own)
    old = f"json_populate_record(NULL::{table}, CAST(:row AS json)) AS old"
    return f"UPDATE {table} SET {values} FROM {old} WHERE {same}"  # noqa: S608


async def in_clear(engine: AsyncEngine, words: Sequence[str]) -> dict[str, int]:
    """Searches all columns of all tables, bytes as the text that they are."""
    found = {}
    async with engine.connect() as connection:
        names = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        for table in (await connection.execute(text(names))).scalars().all():
            shown = "convert_from(body, 'UTF8')" if table == "dead_letters" else "''"
            query = f'SELECT count(*) FROM "{table}" AS entry WHERE entry::text || {shown} ILIKE ANY (:words)'  # noqa: S608
            asked = {"words": [f"%{word}%" for word in words]}
            if count := (await connection.execute(text(query), asked)).scalar_one():
                found[table] = count
    return found
