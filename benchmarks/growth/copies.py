"""Makes a shop large: orders that really went through the service are copied by SQL, with every row that they left.

So a copy occupies what a real order does, also in columns and tables that do not exist yet. Its ids are its own and
as long as the original's, random as those of orders are; its times are shifted into the past, those of open orders
to minutes ago. What a copy's JSON says still names the original: nobody reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import asyncpg

PRODUCTS = 1000
ORDERS_OF_A_CUSTOMER = 100
SHARES = {"delivered": 89, "refunded": 3, "canceled": 3, "declined": 3, "shipped": 1, "ready": 1}
"""Of a hundred orders; the last two are open, and so of a million 20,000."""

OPEN = ("shipped", "ready")
OLDEST, YOUNGEST = 400, 4  # days: younger payments would be looked for at Stripe, which knows no copy
AFTER_ALL = 100_000_000  # the number of the first order beyond those of every size
PAST_SEQUENCE = 1_000_000_000  # the events of a product go on after it

OWN_IDS = {
    "payment_intent_id",
    "shipment_id",
    "stripe_refund_id",
    "idempotency_key",
    "event_id",
    "object_id",
    "tracking_number",
    "reason_id",
    "id",
}
"""Texts of which each order has its own; the last digits count the copies."""

_COLUMNS = """
    SELECT table_name, column_name, data_type FROM information_schema.columns
     WHERE table_schema = 'public' ORDER BY table_name, ordinal_position
"""

_MADE = """
    CREATE UNLOGGED TABLE made AS
    SELECT n, md5('growth ' || n) AS order_id, sample,
           'growth-' || lpad((n % {products})::text, 4, '0') AS product_id,
           'growth-' || lpad((n / {per_customer})::text, 7, '0') AS customer_id, lpad(to_hex(n), 7, '0') AS digits,
           CASE WHEN open THEN random() * interval '5 minutes'
                ELSE interval '1 day' * ({oldest} - ({oldest} - {youngest}) * (n - {first})::float8 / {orders})
           END AS ago
      FROM generate_series({first}, {first} + {orders} - 1) AS n
      JOIN courses ON {course}
"""
BY_SHARE = "n % 100 >= courses.first AND n % 100 < courses.last"
PARKED = "courses.sample = (SELECT sample FROM courses WHERE open ORDER BY first DESC LIMIT 1)"
"""Which of the samples is copied: each by its share, or only the one that waits for its parcel."""

_TICKETS = """
    CREATE TEMPORARY TABLE opened AS
    SELECT nextval('tickets_id_seq') AS id, n, order_id, now() - ago AS at FROM made WHERE n % 100 = 1;
    INSERT INTO tickets (id, order_id, kind, step, detail, opened_at, resolved_at, resolved_by)
    SELECT id, order_id, 'step_keeps_failing', 'ship_order', 'the carrier answers 503: try again later', at,
           CASE WHEN n % 10000 = 1 THEN NULL ELSE at END, CASE WHEN n % 10000 = 1 THEN NULL ELSE 'alice' END
      FROM opened;
    INSERT INTO ticket_actions (ticket_id, at, by, action, note, evidence)
    SELECT id, at, 'saga', unnest(ARRAY['opened', 'retry', 'closed']), '', '' FROM opened;
    INSERT INTO ends_by_our_fault (order_id, turn, at, step, code)
    SELECT order_id, 1, now() - ago, 'ship_order', 'our_fault' FROM made WHERE n % 100 = 2
"""
_STOCK = """
    UPDATE stock SET on_hand = 1000000000, event_sequence = greatest(event_sequence, {past} * 2), reserved = held
      FROM (SELECT product_id, coalesce(sum(quantity) FILTER (WHERE state = 'held'), 0) AS held
              FROM products LEFT JOIN reservations USING (product_id) GROUP BY product_id) AS counted
     WHERE stock.product_id = counted.product_id AND stock.product_id LIKE 'growth-%'
"""
_CUSTOMERS = """
    INSERT INTO customers (customer_id, name, email, created_at)
    SELECT DISTINCT customer_id, 'A customer', customer_id || '@example.com', now() FROM made ON CONFLICT DO NOTHING
"""
_PRODUCTS = """
    INSERT INTO products (product_id, name, price_minor, currency, created_at)
    SELECT 'growth-' || lpad(n::text, 4, '0'), 'A thing', 1999, 'USD', now() FROM generate_series(0, {last}) AS n;
    INSERT INTO stock (product_id, on_hand, reserved, event_sequence)
    SELECT product_id, 1000000000, 0, 0 FROM products WHERE product_id LIKE 'growth-%'
"""

PRUNED = f"made.ago < interval '{YOUNGEST + 30} days'"
NOT_COPIED = ("made", "samples", "courses", "sampled_rows", "tickets", "ends_by_our_fault", "opened")

Tell = Callable[[str], None]


async def open_catalogue(database: asyncpg.Connection) -> None:
    """The products of the copies; the samples are orders of the first one."""
    await database.execute(_PRODUCTS.format(last=PRODUCTS - 1))


async def sort_samples(database: asyncpg.Connection, samples: Mapping[str, str]) -> None:
    """Notes which order is the original of which share of the copies, and what its webhooks are about."""
    await database.execute("""
        CREATE UNLOGGED TABLE courses (sample text, first int, last int, open bool);
        CREATE UNLOGGED TABLE sampled_rows (sample text, source text, event_id text);
        CREATE UNLOGGED TABLE samples AS SELECT order_id FROM orders
    """)
    first = 0
    for course, share in SHARES.items():
        values = (samples[course], first, first + share, course in OPEN)
        await database.execute("INSERT INTO courses VALUES ($1, $2, $3, $4)", *values)
        first += share
    await database.execute("""
        INSERT INTO sampled_rows
        SELECT order_id, source, event_id FROM webhook_inbox
          JOIN (SELECT order_id, payment_intent_id AS object_id FROM payments
                UNION ALL SELECT order_id, shipment_id FROM shipments) AS theirs USING (object_id)
    """)


async def grow(
    database: asyncpg.Connection,
    first: int,
    orders: int,
    tell: Tell,
    *,
    course: str = BY_SHARE,
    pruned: bool = False,
) -> None:
    """Adds so many orders, numbered from `first`. Foreign keys are not checked, and hold.

    `pruned`: inbox and outbox get only what is younger than 30 days beyond the youngest copies.
    """
    await database.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    await database.execute(
        "DROP TABLE IF EXISTS made; DROP TABLE IF EXISTS opened;"
        + _MADE.format(
            first=first,
            orders=orders,
            course=course,
            products=PRODUCTS,
            per_customer=ORDERS_OF_A_CUSTOMER,
            oldest=OLDEST,
            youngest=YOUNGEST,
        )
    )
    await database.execute("ANALYZE made")
    for table, statement in (await _copies(database, PRUNED if pruned else "true")).items():
        tell(f"{table} of {orders:,} orders")
        await database.execute(statement, timeout=3600)
    tell("customers, tickets and stock")
    for statement in (_CUSTOMERS, _TICKETS, _STOCK.format(past=PAST_SEQUENCE)):
        await database.execute(statement, timeout=3600)
    await database.execute("SET session_replication_role = origin; DROP TABLE made")
    tell("vacuum and statistics")
    await database.execute("VACUUM ANALYZE", timeout=3600)
    await database.execute("CHECKPOINT", timeout=3600)


async def _copies(database: asyncpg.Connection, events: str) -> dict[str, str]:
    """A statement for each table that has rows of an order; `events` says whose events have not left yet."""
    columns: dict[str, dict[str, str]] = {}
    for row in await database.fetch(_COLUMNS):
        columns.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
    mine = {
        table: _copy(table, kinds, "SELECT t.*, order_id AS sample FROM {table} AS t JOIN samples USING (order_id)")
        for table, kinds in columns.items()
        if "order_id" in kinds and table not in NOT_COPIED
    }
    inbox = "SELECT t.*, sample FROM {table} AS t JOIN sampled_rows USING (source, event_id)"
    outbox = "SELECT t.*, subject AS sample FROM {table} AS t WHERE subject IN (SELECT order_id FROM samples)"
    return mine | {
        "webhook_inbox": _copy("webhook_inbox", columns["webhook_inbox"], inbox, events),
        "outbox": _copy("outbox", columns["outbox"], outbox, events),
    }


def _copy(table: str, kinds: Mapping[str, str], originals: str, which: str = "true") -> str:
    """The originals are the side that is hashed: so an order's rows follow each other, as in life, and in indexes."""
    names = [name for name, kind in kinds.items() if not (name == "id" and kind == "bigint")]
    values = ", ".join(_value(table, name, kinds[name]) for name in names)
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"""
        CREATE TEMPORARY TABLE originals AS {originals.format(table=table)};
        ANALYZE originals;
        INSERT INTO {table} ({quoted}) SELECT {values} FROM made JOIN originals AS t USING (sample) WHERE {which};
        DROP TABLE originals
    """  # noqa: S608


def _value(table: str, name: str, kind: str) -> str:
    if name in ("order_id", "product_id", "customer_id"):
        return f"made.{name}"
    if (table, name) == ("outbox", "subject"):
        return "made.order_id"
    if (table, name) == ("outbox", "published_at"):
        return 't."time" - made.ago'  # as if a relay had published it
    if name in OWN_IDS and kind == "text":
        return f'left(t."{name}", -7) || made.digits'
    if kind == "timestamp with time zone":
        return f't."{name}" - made.ago'
    return f't."{name}"'
