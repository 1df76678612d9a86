"""Seals what lies in clear in rows from before the sealing, in batches; the clear columns are emptied with it."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.customers import CustomerData
from services.customers.customers import sealed as sealed_customer
from services.orders import private_fields
from services.sealing.sealing import sealing_vault
from services.texts import texts

BATCH = 200
ALL = 1_000_000

_CUSTOMERS = text("""
    SELECT customer_id, name, email FROM customers
     WHERE (name IS NOT NULL OR email IS NOT NULL) AND erased_at IS NULL
       AND (CAST(:only AS text) IS NULL OR customer_id = :only)
     ORDER BY customer_id LIMIT :most FOR UPDATE SKIP LOCKED
""")
_ORDERS = text("""
    SELECT order_id, customer_id, shipping_address::text AS address, metadata::text AS metadata FROM orders
     WHERE (jsonb_typeof(shipping_address) = 'object' OR metadata <> '{}')
       AND (CAST(:only AS text) IS NULL OR customer_id = :only)
       AND NOT EXISTS (SELECT FROM customers WHERE customers.customer_id = orders.customer_id
                                               AND erased_at IS NOT NULL)
     ORDER BY order_id LIMIT :most FOR UPDATE OF orders SKIP LOCKED
""")
_TEXTS = text("""
    SELECT id, text, coalesce((SELECT orders.customer_id FROM orders WHERE orders.order_id = texts.order_id), '')
               AS customer_id
      FROM texts WHERE text IS NOT NULL ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED
""")
_SEAL_CUSTOMER = text("""
    UPDATE customers SET name = NULL, email = NULL, name_sealed = :name_sealed, email_sealed = :email_sealed,
                         email_index = :email_index
     WHERE customer_id = :customer_id
""")
_SEAL_ORDER = text("""
    UPDATE orders SET shipping_address = NULL, metadata = '{}', address_sealed = :address_sealed,
                      contact_sealed = :contact_sealed
     WHERE order_id = :order_id
""")
_SEAL_TEXT = text("""
    UPDATE texts SET text = NULL, text_sealed = :text_sealed, customer_id = :customer_id WHERE id = :id
""")
_LEFT = text("""
    SELECT (SELECT count(*) FROM customers WHERE name IS NOT NULL OR email IS NOT NULL)
         + (SELECT count(*) FROM orders WHERE jsonb_typeof(shipping_address) = 'object' OR metadata <> '{}')
         + (SELECT count(*) FROM texts WHERE text IS NOT NULL)
""")


async def seal_customers(connection: AsyncConnection, most: int = BATCH, only: str | None = None) -> int:
    """Names and e-mail addresses; how many rows. `only`: of one customer."""
    rows = await _clear(connection, _CUSTOMERS, most=most, only=only)
    for row in rows:
        columns = await sealed_customer(connection, CustomerData(row.customer_id, row.name or "", row.email or ""))
        sealed = {name: value for name, value in columns.items() if name not in ("name", "email")}
        await connection.execute(_SEAL_CUSTOMER, sealed)
    return len(rows)


async def seal_orders(connection: AsyncConnection, most: int = BATCH, only: str | None = None) -> int:
    """Where orders went, and what was attached to them."""
    rows = await _clear(connection, _ORDERS, most=most, only=only)
    for row in rows:
        address = from_json(row.address) if row.address else None
        said = from_json(row.metadata)
        private = await private_fields.sealed(connection, row.order_id, row.customer_id, address, said)
        columns = {"address_sealed": private.address_sealed, "contact_sealed": private.contact_sealed}
        await connection.execute(_SEAL_ORDER, columns | {"order_id": row.order_id})
    return len(rows)


async def seal_texts(connection: AsyncConnection, most: int = BATCH) -> int:
    """What people wrote; of a customer who was erased nothing is left of it."""
    rows = await _clear(connection, _TEXTS, most=most)
    for row in rows:
        sealed = await texts.seal(connection, row.id, row.customer_id, row.text)
        await connection.execute(_SEAL_TEXT, {"id": row.id, "customer_id": row.customer_id, "text_sealed": sealed})
    return len(rows)


async def seal_one_customer(connection: AsyncConnection, customer_id: str) -> None:
    """All that lies in clear of one customer but their texts, before they are erased."""
    await seal_customers(connection, ALL, customer_id)
    await seal_orders(connection, ALL, customer_id)


async def left_in_clear(connection: AsyncConnection) -> int:
    """How many rows are still to be sealed."""
    return int((await connection.execute(_LEFT)).scalar_one())


async def _clear(connection: AsyncConnection, query: TextClause, **asked: Any) -> list[Row[Any]]:
    if sealing_vault(connection) is None:
        return []
    return list((await connection.execute(query, asked)).all())
