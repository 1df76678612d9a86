"""How much is in stock of a product, and changes of it by people: by a difference or to a level."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.errors import Conflict, bad_fields
from domain.limits import MAX_ON_HAND
from services.catalogue.products import no_such_product
from services.inventory.events import inventory_updated
from services.inventory.tables import Stock

stock = Stock.__table__  # type: ignore[attr-defined]


class Level(NamedTuple):
    """Pieces of a product; orders hold the reserved ones, which are on hand as well."""

    product_id: str
    on_hand: int
    reserved: int

    @property
    def available(self) -> int:
        """Pieces that can still be ordered."""
        return self.on_hand - self.reserved


class LevelChange(NamedTuple):
    """A change of what is on hand, by a difference or to a level: exactly one of the two is given."""

    quantity_change: int | None
    on_hand: int | None

    def after(self, before: int) -> int:
        """What will be on hand. Raises InvalidInput for too many pieces, and for none or both of the two."""
        if (self.quantity_change is None) == (self.on_hand is None):
            raise bad_fields({"on_hand": "exactly one of quantityChange and onHand is needed"})
        after = self.on_hand if self.quantity_change is None else before + self.quantity_change
        assert after is not None
        if after > MAX_ON_HAND:
            raise bad_fields({"quantity_change": f"there can be {MAX_ON_HAND} pieces at most"})
        return after


async def read_level(connection: AsyncConnection, product_id: str) -> Level:
    """What is in stock of the product now. Raises NotFound."""
    row = (await connection.execute(select(stock).where(stock.c.product_id == product_id))).one_or_none()
    if row is None:
        raise no_such_product()
    return Level(row.product_id, row.on_hand, row.reserved)


async def change_level(session: AsyncSession, product_id: str, change: LevelChange) -> Level:
    """The stock after the change, under the lock of its row; a change of `on_hand` writes an InventoryUpdated.

    Raises NotFound, InvalidInput for a change that is none, and Conflict when orders hold more than would be left.
    """
    row = await session.get(Stock, product_id, with_for_update=True)
    if row is None:
        raise no_such_product()
    on_hand = change.after(row.on_hand)
    if on_hand < row.reserved:
        detail = f"orders hold {row.reserved} pieces: there cannot be {on_hand}"
        raise Conflict("below_reserved", detail, on_hand=row.on_hand, reserved=row.reserved)
    difference, row.on_hand = on_hand - row.on_hand, on_hand
    if difference:
        row.event_sequence += 1
        session.add(inventory_updated(product_id, difference, row.on_hand, row.event_sequence))
    return Level(product_id, row.on_hand, row.reserved)
