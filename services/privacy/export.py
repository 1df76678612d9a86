"""Everything that is held on one customer, as one document: table by table, with the class of each field.

What is sealed is opened where a key opens it; secrets are left out. A test asks for each table that names a customer,
an order or a cart to be here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.clock import now
from domain.data_classes import DataClass, Purpose, classes_of
from services.customers.customers import EMAIL, NAME, no_such_customer
from services.orders.private_fields import ADDRESS, CONTACT
from services.sealing.sealing import Opener, read_opener
from services.texts.texts import COLUMN as WORDS

_OF_CUSTOMER = "customer_id = :customer_id"
_OF_ORDERS = "order_id IN (SELECT order_id FROM orders WHERE customer_id = :customer_id)"
_OF_CARTS = "cart_id IN (SELECT cart_id FROM carts WHERE customer_id = :customer_id)"
_SUBJECT = """(source, subject) IN (SELECT '/orders', order_id FROM orders WHERE customer_id = :customer_id UNION ALL
                                     SELECT '/carts', cart_id FROM carts WHERE customer_id = :customer_id)"""
_OF_TICKETS = f"ticket_id IN (SELECT id FROM tickets WHERE {_OF_ORDERS})"  # noqa: S608

HELD: Mapping[str, str] = {
    "customers": _OF_CUSTOMER,
    "customer_keys": _OF_CUSTOMER,
    "orders": _OF_CUSTOMER,
    **dict.fromkeys(("carts", "notification_wishes"), _OF_CUSTOMER),
    **dict.fromkeys(("coupon_redemptions", "notifications"), _OF_ORDERS),
    **dict.fromkeys(("cart_lines", "cart_operations"), _OF_CARTS),
    **dict.fromkeys(("approvals", "cancel_wishes", "ends_by_our_fault", "order_adjustments"), _OF_ORDERS),
    **dict.fromkeys(("order_lines", "order_steps", "payment_attempts", "payments"), _OF_ORDERS),
    **dict.fromkeys(("refund_lines", "refunds", "reservations", "shipments", "tickets", "timeline"), _OF_ORDERS),
    **dict.fromkeys(("consumer_sequences", "dead_letters", "event_archive", "outbox"), _SUBJECT),
    "webhook_deliveries": _SUBJECT,
    "texts": f"{_OF_CUSTOMER} OR {_OF_ORDERS}",
    "ticket_actions": _OF_TICKETS,
}
"""Of each table that holds something on customers which rows are one customer's."""

_OPENED_AS = {
    ("customers", "name_sealed"): (Purpose.ACCOUNTING, NAME, "customer_id", "name"),
    ("customers", "email_sealed"): (Purpose.CONTACT, EMAIL, "customer_id", "email"),
    ("orders", "address_sealed"): (Purpose.ACCOUNTING, ADDRESS, "order_id", "shipping_address"),
    ("orders", "contact_sealed"): (Purpose.CONTACT, CONTACT, "order_id", "contact"),
    ("texts", "text_sealed"): (Purpose.CONTACT, WORDS, "id", "text"),
}
"""By sealed column its key, its place, the column of the row's id, and the name that it has in the document."""


async def export(connection: AsyncConnection, customer_id: str) -> dict[str, Any]:
    """Raises NotFound. Also of a customer who was erased: then it shows what the law keeps."""
    query = text("SELECT erased_at FROM customers WHERE customer_id = :customer_id")
    found = (await connection.execute(query, {"customer_id": customer_id})).one_or_none()
    if found is None:
        raise no_such_customer()
    keys = await read_opener(connection, customer_id)
    tables = {}
    for table, condition in HELD.items():
        statement = text(f"SELECT to_json(entry)::text FROM {table} AS entry WHERE {condition}")  # noqa: S608
        rows = (await connection.execute(statement, {"customer_id": customer_id})).scalars().all()
        if rows:
            tables[table] = [await _fields(keys, table, from_json(row)) for row in rows]
    erased_at = found.erased_at.isoformat() if found.erased_at else None
    return {"customerId": customer_id, "exportedAt": now().isoformat(), "erasedAt": erased_at, "tables": tables}


async def _fields(keys: Opener, table: str, row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each field with its class; an empty one is left out, and a secret one."""
    fields: dict[str, dict[str, Any]] = {}
    for name, data_class in classes_of(table).items():
        value = row.get(name)
        if (table, name) in _OPENED_AS:
            purpose, place, id_, name = _OPENED_AS[table, name]
            value = await keys.open(purpose, place, row[id_], value)
            if value is not None and table == "orders":
                value = from_json(value)
        if data_class is not DataClass.SECRET and value is not None and value != {} and name != "email_index":
            fields[name] = {"class": data_class.value, "value": value}
    return fields
