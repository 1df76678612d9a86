"""Large refunds and write-offs need two people: who has asked first, and who was the second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import Conflict, Forbidden
from domain.identities import Kind, Principal

WAITS = timedelta(days=1)
"""How long a first person's wish counts."""

# One statement: of two who ask at the same time one is the first, and the other one sees that.
_ASK = text("""
    INSERT INTO approvals AS known (order_id, what, principal, by, at)
    VALUES (:order_id, :what, :principal, :by, clock_timestamp())
    ON CONFLICT (order_id, what) DO UPDATE SET (principal, by, at, second_by) = (
        SELECT CASE WHEN fresh THEN known.principal ELSE excluded.principal END,
               CASE WHEN fresh THEN known.by ELSE excluded.by END,
               CASE WHEN fresh THEN known.at ELSE excluded.at END,
               CASE WHEN known.second_by IS NULL AND fresh AND known.principal <> excluded.principal
                    THEN excluded.by ELSE known.second_by END
          FROM (SELECT known.second_by IS NOT NULL
                    OR known.at >= clock_timestamp() - CAST(:waits AS interval) AS fresh) AS found
    )
    RETURNING by, second_by
""")

_WAITING = text("""
    SELECT order_id, what, by FROM approvals
     WHERE order_id = ANY(:order_ids) AND second_by IS NULL AND at >= clock_timestamp() - CAST(:waits AS interval)
""")


def write_off_of(ticket_id: int) -> str:
    """How a write-off that needs two people is known."""
    return f"write_off of ticket {ticket_id}"


async def waiting(reads: AsyncEngine, order_ids: Sequence[str]) -> Mapping[tuple[str, str], str]:
    """Who has asked for something about these orders and waits for a second person: by order, and by what."""
    async with reads.connect() as connection:
        rows = await connection.execute(_WAITING, {"order_ids": list(order_ids), "waits": WAITS})
        return {(row.order_id, row.what): row.by for row in rows}


def needs_two(amount: Decimal, limit: Decimal | None) -> bool:
    """Whether so much needs two people; both in major units of one currency."""
    return limit is not None and amount >= limit


async def ask(connection: AsyncConnection, order_id: str, what: str, principal: Principal) -> str:
    """The names of the two people who want the same, as one; a repeat by anybody gives the same names.

    `connection` commits each statement by itself. Raises Conflict for the first of them, Forbidden for a program.
    """
    if principal.kind is not Kind.PERSON:
        raise Forbidden("person_needed", "this needs two people, and you are a program")
    asked = {"order_id": order_id, "what": what, "principal": principal.name, "by": principal.by, "waits": WAITS}
    row = (await connection.execute(_ASK, asked)).one()
    if row.second_by is None:
        detail = f"so much needs two people: {row.by} has asked, another one has to ask for exactly the same"
        raise Conflict("second_person_needed", detail, order_id=order_id, asked_by=row.by)
    return f"{row.by} and {row.second_by}"
