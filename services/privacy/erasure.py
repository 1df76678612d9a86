"""Erases a customer: what names them goes now, names and addresses of their invoices when the law lets go of them.

The contact key is destroyed, and what it has sealed is emptied, so that neither the database nor a process that still
has the key in its memory tells anything. Append-only rows keep ids. Whatever is done here can be done again: a
tombstone does it again after a restore.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.clock import now
from adapters.tombstones.folder import Tombstone
from domain.commands import Hold
from domain.data_classes import Purpose
from domain.errors import Conflict
from domain.order_states import FINAL
from services.customers.customers import no_such_customer
from services.privacy import backfill
from services.sealing.sealing import add_keys, vault_of

MOST_NAMED = 20  # open orders that the refusal names

_LOCK = text("SELECT erased_at, stripe_customer_id FROM customers WHERE customer_id = :customer_id FOR UPDATE")
_OPEN = text("""
    SELECT order_id FROM orders
     WHERE customer_id = :customer_id
       AND (status <> ALL (:final) OR hold = ANY (:disputed)
            OR EXISTS (SELECT FROM tickets WHERE tickets.order_id = orders.order_id AND resolved_at IS NULL)
            OR EXISTS (SELECT FROM refunds
                        WHERE refunds.order_id = orders.order_id AND state IN ('asked', 'pending')))
     ORDER BY created_at LIMIT :most
""")
_LAST_ORDER = text("SELECT max(created_at) FROM orders WHERE customer_id = :customer_id")
_MARK = text("""
    UPDATE customers SET erased_at = coalesce(erased_at, :at), email = NULL, email_sealed = NULL, email_index = NULL,
                         locale = NULL
     WHERE customer_id = :customer_id
""")
_EMPTY = (
    # Words of a text, and what the shop has attached to an order: sealed with the key that goes.
    """UPDATE texts SET text = NULL, text_sealed = NULL
        WHERE customer_id = :customer_id
           OR order_id IN (SELECT order_id FROM orders WHERE customer_id = :customer_id)""",
    # A fingerprint is the hash of a body: who knows the address could tell it by it.
    """UPDATE orders SET metadata = '{}', contact_sealed = NULL, fingerprint = 'erased',
                         shipping_address = NULL
        WHERE customer_id = :customer_id""",
    """UPDATE refunds SET reason = ''
        WHERE reason <> '' AND order_id IN (SELECT order_id FROM orders WHERE customer_id = :customer_id)""",
    "DELETE FROM notification_wishes WHERE customer_id = :customer_id",
    """UPDATE notifications SET state = 'skipped', why = 'erased', ended_at = now()
        WHERE order_id IN (SELECT order_id FROM orders WHERE customer_id = :customer_id)
          AND state = 'waiting' AND ended_at IS NULL""",
    "DELETE FROM cart_operations WHERE cart_id IN (SELECT cart_id FROM carts WHERE customer_id = :customer_id)",
    "DELETE FROM cart_lines WHERE cart_id IN (SELECT cart_id FROM carts WHERE customer_id = :customer_id)",
    "DELETE FROM carts WHERE customer_id = :customer_id",
)
# A row without a key, so that none is made any more.
_DESTROY = text("""
    INSERT INTO customer_keys (customer_id, purpose, key_id, created_at, destroyed_at)
    VALUES (:customer_id, :purpose, '', :at, :at)
        ON CONFLICT (customer_id, purpose) DO UPDATE
       SET wrapped = NULL, destroyed_at = coalesce(customer_keys.destroyed_at, excluded.destroyed_at)
""")
_DUE = text("""
    UPDATE customer_keys SET due_at = :due_at
     WHERE customer_id = :customer_id AND purpose = 'accounting' AND wrapped IS NOT NULL
""")
_MAILS = text("""
    SELECT id FROM notifications WHERE order_id IN (SELECT order_id FROM orders WHERE customer_id = :customer_id)
""")
_EMPTY_ACCOUNTING = (
    "UPDATE customers SET name = NULL, name_sealed = NULL WHERE customer_id = :customer_id",
    "UPDATE orders SET address_sealed = NULL WHERE customer_id = :customer_id AND address_sealed IS NOT NULL",
)


class Erased(NamedTuple):
    """What became of the customer, and what is left to do elsewhere."""

    stone: Tombstone
    stripe_customer_id: str | None  # to be deleted there
    message_ids: list[int]  # of mails that may lie in a folder


async def plan(connection: AsyncConnection, customer_id: str, years: int) -> Tombstone:
    """The tombstone of a customer who may be erased, whose row is locked until the transaction ends.

    Raises NotFound, and Conflict while orders are open or disputed.
    """
    row = (await connection.execute(_LOCK, {"customer_id": customer_id})).one_or_none()
    if row is None:
        raise no_such_customer()
    asked = {"customer_id": customer_id, "final": [*FINAL], "disputed": [Hold.DISPUTE, Hold.REVIEW]}
    open_orders = list((await connection.execute(_OPEN, asked | {"most": MOST_NAMED})).scalars())
    if open_orders:
        detail = "orders of this customer are open, disputed, or have an open ticket or refund"
        raise Conflict("orders_open", detail, order_ids=open_orders)
    last = (await connection.execute(_LAST_ORDER, {"customer_id": customer_id})).scalar_one()
    erased_at = row.erased_at or now()
    return Tombstone(customer_id, erased_at, erased_at if last is None else end_of_term(last, years))


def end_of_term(last: datetime, years: int) -> datetime:
    """The term begins with the end of the year of the last order."""
    return datetime(last.astimezone(UTC).year + 1 + years, 1, 1, tzinfo=UTC)


async def carry_out(connection: AsyncConnection, stone: Tombstone) -> Erased | None:
    """Erases the customer of a tombstone, in a transaction; None where there is no such customer.

    Whatever the rows say: orders that a restore has opened again are no reason to keep what was promised to go.
    """
    customer_id, asked = stone.customer_id, {"customer_id": stone.customer_id}
    row = (await connection.execute(_LOCK, asked)).one_or_none()
    if row is None:
        return None
    await add_keys(connection, customer_id)  # of a customer from before the sealing
    await backfill.seal_one_customer(connection, customer_id)
    await connection.execute(_MARK, asked | {"at": stone.erased_at})
    for statement in _EMPTY:
        await connection.execute(text(statement), asked)
    await connection.execute(_DESTROY, asked | {"purpose": Purpose.CONTACT, "at": now()})
    if stone.accounting_until <= now():
        await forget_accounting(connection, customer_id)
    else:
        await connection.execute(_DUE, asked | {"due_at": stone.accounting_until})
    if (vault := vault_of(connection)) is not None:
        vault.forget(customer_id)
    message_ids = list((await connection.execute(_MAILS, asked)).scalars())
    return Erased(stone, row.stripe_customer_id, message_ids)


async def forget_accounting(connection: AsyncConnection, customer_id: str) -> None:
    """The term is over: nothing names the customer any more."""
    for statement in _EMPTY_ACCOUNTING:
        await connection.execute(text(statement), {"customer_id": customer_id})
    asked = {"customer_id": customer_id, "purpose": Purpose.ACCOUNTING, "at": now()}
    await connection.execute(_DESTROY, asked)
