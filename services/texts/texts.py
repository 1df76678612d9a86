"""The one place that writes and reads what people say in their own words: reasons, notes, evidence.

They are sealed with the contact key of the customer whose order they are about, those about no order with a key of
the shop's own (`NOBODY`).

Timeline, refunds, audit trail, outbox, fences and workflow histories carry the ids of these rows, so that a person's
words can be erased in one place, although some of those never change.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from adapters.keys.vault import Place
from domain.card_numbers import mask_card_numbers
from domain.data_classes import Purpose
from domain.texts import ERASED, TextKind
from services.sealing.sealing import KEYS_OF, KeyDestroyed, cipher_of, opener, sealing_vault
from services.texts.tables import StoredText

COLUMN = "texts.text_sealed"
NOBODY = ""
"""Whose key texts are sealed with that are about no order."""

_CUSTOMER = text("SELECT customer_id FROM orders WHERE order_id = :order_id")
_READ = text(f"""
    SELECT id, customer_id, text, text_sealed,
           CASE WHEN text_sealed IS NOT NULL THEN {KEYS_OF.format(customer="texts.customer_id")} END AS keys
      FROM texts WHERE id = ANY (:ids)
""")  # noqa: S608  # words of ours


class Words:
    """Texts that were read, by their ids."""

    def __init__(self, found: dict[str, str | None]) -> None:
        self._found = found

    def __getitem__(self, text_id: str) -> str:
        """What was written; a placeholder for what was erased."""
        return self._found.get(text_id) or ERASED


def id_of(order_id: str, name: str) -> str:
    """The id of a text of which an order has one, for those who cannot remember an id that they made up."""
    return hashlib.sha256(f"{order_id}:{name}".encode()).hexdigest()[:32]


async def keep(
    session: AsyncSession, kind: TextKind, words: str, *, order_id: str | None, text_id: str | None = None
) -> str:
    """Stores the words; their id, 128 random bits in hex unless one is given, under which a repeat writes nothing."""
    text_id = text_id or secrets.token_hex(16)
    # NUL cannot be stored, and card numbers must not be: the API refuses them, but signals come past it.
    clear = mask_card_numbers(words.replace("\0", "\N{REPLACEMENT CHARACTER}"))
    connection = await session.connection()
    row = {"id": text_id, "order_id": order_id, "kind": kind.value, "created_at": now()}
    row |= await _written(connection, text_id, order_id, clear)
    await connection.execute(insert(StoredText).values(**row).on_conflict_do_nothing())
    return text_id


async def read(connection: AsyncConnection, ids: Collection[str]) -> Words:
    """The texts of these ids; without any, nothing is asked."""
    if not ids:
        return Words({})
    found = {}
    for row in (await connection.execute(_READ, {"ids": list(set(ids))})).all():
        found[row.id] = row.text
        if row.text_sealed is not None:
            keys = opener(connection, row.customer_id, row.keys)
            found[row.id] = await keys.open(Purpose.CONTACT, COLUMN, row.id, row.text_sealed)
    return Words(found)


async def _written(
    connection: AsyncConnection, text_id: str, order_id: str | None, clear: str
) -> dict[str, str | None]:
    """The columns with the words. About a customer who was erased none are kept."""
    if sealing_vault(connection) is None:
        return {"text": clear, "customer_id": None, "text_sealed": None}
    customer_id = NOBODY
    if order_id is not None:
        customer_id = (await connection.execute(_CUSTOMER, {"order_id": order_id})).scalar_one_or_none() or NOBODY
    return {
        "text": None,
        "customer_id": customer_id,
        "text_sealed": await seal(connection, text_id, customer_id, clear),
    }


async def seal(connection: AsyncConnection, text_id: str, customer_id: str, clear: str) -> str | None:
    """The words as they are stored; None of a customer who was erased, and where nothing is sealed."""
    try:
        cipher = await cipher_of(connection, customer_id, Purpose.CONTACT)
    except KeyDestroyed:
        return None
    return cipher.seal(Place(COLUMN, customer_id, text_id), clear) if cipher else None
