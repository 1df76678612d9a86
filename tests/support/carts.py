"""Carts without HTTP: filled, read and aged by the services themselves."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from adapters.clock import now
from adapters.postgres.database import engine_of
from services.carts import changes, reading
from services.carts.changes import Asked
from services.carts.reading import CartRead
from tests.support.counter import Counter


class Carts:
    def __init__(self, counter: Counter) -> None:
        self.counter, self.sessions = counter, counter.sessions

    async def of(self, customer_id: str | None, *pieces: tuple[str, int]) -> str:
        cart_id, _ = await changes.open_cart(self.sessions, customer_id)
        for product_id, quantity in pieces:
            await self.add(cart_id, product_id, quantity)
        return cart_id

    async def add(self, cart_id: str, product_id: str, quantity: int = 1, key: str | None = None) -> None:
        asked = Asked(f"add {product_id} {quantity}", key)
        await changes.change_cart(self.sessions, cart_id, asked, changes.add(product_id, quantity), product_id)

    async def add_to_open(self, customer_id: str, product_id: str, key: str | None = None) -> None:
        asked = Asked(f"add {product_id}", key)
        await changes.change_open_cart(self.sessions, customer_id, asked, changes.add(product_id, 1), product_id)

    async def read(self, cart_id: str) -> CartRead:
        async with engine_of(self.sessions).connect() as connection:
            return await reading.read_cart(connection, cart_id)

    async def open(self, customer_id: str) -> CartRead:
        async with engine_of(self.sessions).connect() as connection:
            return await reading.read_open_cart(connection, customer_id)

    async def quantities(self, cart_id: str) -> dict[str, int]:
        return {line.product_id: line.quantity for line in (await self.read(cart_id)).lines}

    async def events(self, cart_id: str) -> list[str]:
        told = text("SELECT type, sequence FROM outbox WHERE source = '/carts' AND subject = :id ORDER BY sequence")
        async with engine_of(self.sessions).connect() as connection:
            rows = (await connection.execute(told, {"id": cart_id})).all()
        assert [row.sequence for row in rows] == [*range(1, len(rows) + 1)]
        return [row.type.split(".")[2] for row in rows]

    async def age(self, cart_id: str, by: timedelta) -> None:
        touched = text("UPDATE carts SET touched_at = :at WHERE cart_id = :id")
        async with engine_of(self.sessions).begin() as connection:
            await connection.execute(touched, {"at": now() - by, "id": cart_id})
