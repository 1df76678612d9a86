"""The one place that writes and reads what people say in their own words: reasons, notes, evidence.

Timeline, refunds, audit trail, outbox, fences and workflow histories carry the ids of these rows, so that a person's
words can be erased in one place, although some of those never change.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from domain.card_numbers import mask_card_numbers
from domain.texts import ERASED, TextKind
from services.texts.tables import StoredText


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
    row = {
        "id": text_id,
        "order_id": order_id,
        "kind": kind.value,
        # NUL cannot be stored, and card numbers must not be: the API refuses them, but signals come past it.
        "text": mask_card_numbers(words.replace("\0", "\N{REPLACEMENT CHARACTER}")),
        "created_at": now(),
    }
    connection = await session.connection()
    await connection.execute(insert(StoredText).values(**row).on_conflict_do_nothing())
    return text_id


async def read(connection: AsyncConnection, ids: Collection[str]) -> Words:
    """The texts of these ids; without any, nothing is asked."""
    if not ids:
        return Words({})
    query = select(StoredText.id, StoredText.text).where(col(StoredText.id).in_(set(ids)))
    return Words({row.id: row.text for row in await connection.execute(query)})
