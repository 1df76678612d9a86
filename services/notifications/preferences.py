"""What a customer wants to hear of, and in which language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import BadField, InvalidInput
from domain.notifications import MessageKind
from services.customers.customers import no_such_customer
from services.notifications import outgoing
from services.notifications.rendering import LOCALES, has_texts

# Of a customer who was erased nobody learns anything, and nothing is kept.
_LOCALE = text("SELECT locale FROM customers WHERE customer_id = :customer_id AND erased_at IS NULL")
_SPEAK = text("""
    UPDATE customers SET locale = :locale WHERE customer_id = :customer_id AND erased_at IS NULL RETURNING customer_id
""")


class Preferences(NamedTuple):
    """`locale` None is the shop's own; of each kind whether messages of it are wanted."""

    locale: str | None
    wanted: Mapping[MessageKind, bool]


async def read(connection: AsyncConnection, customer_id: str) -> Preferences:
    """The customer's; each kind is wanted unless they said otherwise. Raises NotFound."""
    row = (await connection.execute(_LOCALE, {"customer_id": customer_id})).one_or_none()
    if row is None:
        raise no_such_customer()
    return Preferences(row.locale, await outgoing.wishes(connection, customer_id))


async def write(connection: AsyncConnection, customer_id: str, said: Preferences) -> Preferences:
    """Replaces them; a kind that is not named is wanted. Messages that wait already go by them, too.

    Raises NotFound, and InvalidInput for a language without texts, with those that have some. `connection` is in a
    transaction.
    """
    if said.locale is not None and not has_texts(said.locale):
        fault = f"there are no texts in this language; there are {', '.join(LOCALES)}"
        raise InvalidInput("unknown_locale", fault, fields=[BadField("locale", fault)])
    spoken = await connection.execute(_SPEAK, {"customer_id": customer_id, "locale": said.locale})
    if spoken.one_or_none() is None:
        raise no_such_customer()
    for kind in MessageKind:
        await outgoing.wish(connection, customer_id, kind, wanted=said.wanted.get(kind, True))
    return Preferences(said.locale, await outgoing.wishes(connection, customer_id))
