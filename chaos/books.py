"""The books of a run, read from where they are kept: the database (plain SQL), the far ends' ledgers, the journal."""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg

from chaos.journal import read

Row = Mapping[str, Any]

EPOCH = datetime.fromtimestamp(0, UTC)
AWAITING = "AWAITING_CUSTOMER"
OUR_FAULT = "our_fault"  # the kind of a ticket that is about a cause, not about one order


@dataclass(frozen=True)
class Books:
    """Rows as dictionaries by their columns' names; amounts in minor units."""

    orders: list[Row] = field(default_factory=list)
    order_lines: list[Row] = field(default_factory=list)
    adjustments: list[Row] = field(default_factory=list)
    promotions: list[Row] = field(default_factory=list)
    coupons: list[Row] = field(default_factory=list)
    carts: list[Row] = field(default_factory=list)
    cart_lines: list[Row] = field(default_factory=list)
    redemptions: list[Row] = field(default_factory=list)
    reservations: list[Row] = field(default_factory=list)
    stock: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    refunds: list[Row] = field(default_factory=list)
    shipments: list[Row] = field(default_factory=list)
    timeline: list[Row] = field(default_factory=list)
    outbox: list[Row] = field(default_factory=list)
    tickets: list[Row] = field(default_factory=list)  # the open ones
    inbox: list[Row] = field(default_factory=list)  # what is not followed up
    money: list[Row] = field(default_factory=list)  # Stripe's ledger
    labels: list[Row] = field(default_factory=list)  # the carrier's ledger
    journal: list[Row] = field(default_factory=list)
    read_at: datetime = EPOCH  # by the database's clock
    # what became of the events, read at the end by `event_books.py`
    events: list[Row] = field(default_factory=list)  # the outbox once more, with all that it says
    stream: list[Row] = field(default_factory=list)  # what the broker has, in its order
    archive: list[Row] = field(default_factory=list)
    notifications: list[Row] = field(default_factory=list)
    mails: list[Row] = field(default_factory=list)  # the files
    hints: list[Row] = field(default_factory=list)
    positions: list[Row] = field(default_factory=list)  # of consumers
    last_sequences: list[Row] = field(default_factory=list)  # by consumer and subject
    dead_letters: list[Row] = field(default_factory=list)  # that wait for a person

    @cached_property
    def statuses(self) -> dict[str, str]:
        """By order."""
        return {order["order_id"]: order["status"] for order in self.orders}

    @cached_property
    def called_for(self) -> set[str]:
        """The orders that have an open ticket of their own: a person looks after them."""
        return {ticket["order_id"] for ticket in self.tickets} - {None}

    @cached_property
    def attended(self) -> set[str]:
        """Those, and the orders that wait for a cause that has an open ticket, one for all of them."""
        causes = {ticket["subject"] for ticket in self.tickets if ticket["kind"] == OUR_FAULT}
        return self.called_for | {order["order_id"] for order in self.orders if order["waits_for"] in causes - {None}}

    @cached_property
    def waited_for(self) -> dict[str, tuple[datetime, datetime]]:
        """From when to when each order waited for its customer's 3-D Secure; until now, if it still does."""
        found = {}
        for order_id, rows in by(self.timeline, "order_id").items():
            own = sorted(rows, key=lambda row: int(row["sequence"]))
            began = next((row["at"] for row in own if row["to_status"] == AWAITING), None)
            left = (row["at"] for row in own if row["from_status"] == AWAITING != row["to_status"])
            if began is not None:
                found[order_id] = (began, next(left, self.read_at))
        return found

    @cached_property
    def touched(self) -> set[str]:
        """The orders whose payments somebody changed at Stripe's dashboard, or tried to."""
        return {entry["orderId"] for entry in self.journal if entry["kind"] == "hand"}


SQL = {
    "orders": """
        SELECT order_id, idempotency_key, status, total_minor, version, event_sequence, refusal ->> 'code' AS refusal,
               customer_id, cart_id,
               waits_for ->> 'cause' AS waits_for, discount_minor, shipping_fee_minor, added_tax_minor, coupon_codes
          FROM orders
    """,
    "order_lines": """
        SELECT order_id, product_id, quantity, unit_price_minor, dropped, discount_minor,
               CASE WHEN tax_inclusive THEN 0 ELSE tax_minor END AS added_tax_minor
          FROM order_lines
    """,
    "adjustments": "SELECT order_id, kind, product_id, amount_minor, inclusive FROM order_adjustments",
    "promotions": "SELECT promotion_id, event_sequence FROM promotions",
    "carts": "SELECT cart_id, customer_id, state, order_id, event_sequence FROM carts",
    "cart_lines": "SELECT cart_id, product_id, quantity FROM cart_lines",
    "coupons": "SELECT code, usage_limit, per_customer, used FROM coupons",
    "redemptions": "SELECT order_id, code, customer_id, state FROM coupon_redemptions",
    "reservations": "SELECT order_id, product_id, quantity, state FROM reservations",
    "stock": "SELECT product_id, on_hand, reserved, event_sequence FROM stock",
    "payments": "SELECT payment_intent_id, order_id, state, captured_minor, refunded_minor FROM payments",
    "refunds": "SELECT order_id, amount_minor, state FROM refunds",
    "shipments": "SELECT order_id, shipment_id, state, parcel_status, updated_at FROM shipments",
    "timeline": """
        SELECT order_id, sequence, from_status, to_status, at, what, by FROM timeline ORDER BY order_id, sequence
    """,
    "outbox": "SELECT source, subject, sequence FROM outbox ORDER BY source, subject, sequence",
    "tickets": "SELECT id, order_id, kind, step, detail, subject FROM tickets WHERE resolved_at IS NULL",
    "inbox": "SELECT source, event_id, type, last_error FROM webhook_inbox WHERE processed_at IS NULL",
}


async def read_books(database_url: str, folder: Path, journal: Path) -> Books:
    """All of them. `folder` is the stack's, where the simulators keep their ledgers."""
    connection = await asyncpg.connect(database_url, ssl=False, timeout=10)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):  # one moment for all tables
            tables = {name: await _rows(connection, sql) for name, sql in SQL.items()}
            read_at = await connection.fetchval("SELECT now()")
    finally:
        await connection.close()
    money = await asyncio.to_thread(read_ledger, folder / "stripe.db")
    labels = await asyncio.to_thread(read_ledger, folder / "carrier.db")
    return Books(**tables, money=money, labels=labels, journal=list(read(journal)), read_at=read_at)


async def _rows(connection: asyncpg.Connection, sql: str) -> list[Row]:
    return [dict(row) for row in await connection.fetch(sql)]


def read_ledger(path: Path) -> list[Row]:
    """Read-only, whether its simulator runs or not."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM ledger ORDER BY seq")]


def by(rows: Iterable[Row], *columns: str) -> dict[Any, list[Row]]:
    """The rows in groups; the key is a column's value, or a tuple of several."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        key = row[columns[0]] if len(columns) == 1 else tuple(row[column] for column in columns)
        groups[key].append(row)
    return groups
