"""A shop that has been open for long, made by SQL in the tables as they were at revision 0002."""

from __future__ import annotations

import asyncpg

PRODUCTS = 1000

# Of a hundred orders of the past ninety-four were delivered. What is open is young: the last 2 % of all orders.
_ORDERS = """
    CREATE TEMPORARY TABLE made AS
    SELECT lpad(to_hex(n), 32, '0') AS order_id, n, 'p' || n % {products} AS product_id,
           now() - ({orders} - n) * interval '100 days' / {orders} AS at,
           CASE WHEN n <= {orders} * 0.98 THEN
                CASE WHEN n % 100 < 94 THEN 'DELIVERED' WHEN n % 100 < 97 THEN 'CANCELED' ELSE 'REJECTED' END
                ELSE (ARRAY['SHIPPED', 'SHIPPED', 'READY_TO_SHIP', 'CONFIRMED', 'SHIPPED'])[n % 5 + 1] END AS status
      FROM generate_series(1, {orders}) AS n
"""

_ROWS = """
    INSERT INTO customers (customer_id, name, email, created_at)
    SELECT 'c' || n, 'A customer', 'c@example.com', now() FROM generate_series(1, 1000) AS n;
    INSERT INTO products (product_id, name, price_minor, currency, created_at)
    SELECT 'p' || n, 'A thing', 1000, 'USD', now() FROM generate_series(0, {products} - 1) AS n;
    INSERT INTO orders (order_id, customer_id, fingerprint, status, payment_status, currency, total_minor,
                        payment_method, metadata, needs_attention, version, event_sequence, created_at, updated_at)
    SELECT order_id, 'c' || n % 1000 + 1, '', status, 'Captured', 'USD', 1000, 'pm', '{{}}', false,
           CASE WHEN status IN ('CANCELED', 'REJECTED') THEN 2 ELSE array_position(way, status) END, 1, at, at
      FROM made, way;
    INSERT INTO order_lines (order_id, product_id, line_number, name, quantity, unit_price_minor)
    SELECT order_id, product_id, 1, 'A thing', 1, 1000 FROM made;
    INSERT INTO reservations (order_id, product_id, quantity, state)
    SELECT order_id, product_id, 1,
           CASE WHEN status IN ('CANCELED', 'REJECTED') THEN 'released'
                WHEN status IN ('SHIPPED', 'DELIVERED') THEN 'shipped' ELSE 'held' END FROM made;
    INSERT INTO stock (product_id, on_hand, reserved, event_sequence)
    SELECT product_id, 1000000, coalesce(held, 0), 1
      FROM products LEFT JOIN (SELECT product_id, count(*) AS held FROM reservations WHERE state = 'held' GROUP BY 1)
                           AS held USING (product_id);
    INSERT INTO payments (payment_intent_id, order_id, attempt, state, amount_minor, captured_minor, refunded_minor,
                          currency, updated_at)
    SELECT 'pi_' || order_id, order_id, 1,
           CASE status WHEN 'CANCELED' THEN 'voided' WHEN 'REJECTED' THEN 'declined'
                       WHEN 'CONFIRMED' THEN 'authorized' ELSE 'captured' END,
           1000, CASE WHEN status IN ('CANCELED', 'REJECTED', 'CONFIRMED') THEN 0 ELSE 1000 END, 0, 'USD', at
      FROM made;
    INSERT INTO payment_attempts (order_id, operation, attempt, params, first_sent_at)
    SELECT order_id, 'create', 1, '{{"amount": 1000}}', at FROM made;
    INSERT INTO shipments (order_id, shipment_id, state, parcel_status, updated_at)
    SELECT order_id, 'shp_' || order_id, 'bought', 'delivered', at FROM made WHERE status IN ('SHIPPED', 'DELIVERED');
    INSERT INTO order_steps (order_id, step, state, updated_at)
    SELECT order_id, step, 'done', at FROM made, unnest(ARRAY['reserve_inventory', 'authorize_payment']) AS step;
    INSERT INTO outbox (id, event_id, type, source, subject, sequence, time, data, published_at)
    SELECT n, order_id, 'order.placed', '/orders', order_id, 1, at, '{{}}', at FROM made;
    INSERT INTO tickets (id, order_id, kind, step, detail, opened_at, resolved_at, resolved_by)
    SELECT n, order_id, 'step_keeps_failing', 'ship_order', '', at, at, 'ann' FROM made WHERE n % 100 = 0;
    SELECT setval('tickets_id_seq', {orders}), setval('outbox_id_seq', {orders});
"""

_TIMELINE = """
    INSERT INTO timeline (order_id, sequence, previous, at, from_status, to_status, what)
    SELECT order_id, step, step - 1, at, path[step - 1], path[step], 'as it went'
      FROM (SELECT order_id, at, CASE WHEN status IN ('CANCELED', 'REJECTED') THEN ARRAY['PLACED', status]
                                      ELSE way[1:array_position(way, status)] END AS path FROM made, way) AS gone,
           generate_subscripts(path, 1) AS step
"""


async def fill(database: asyncpg.Connection, orders: int, *, timeline: bool = True) -> None:
    """Some hundred thousand orders in seconds; foreign keys are not checked, and hold."""
    numbers = {"orders": orders, "products": PRODUCTS}
    await database.execute("SET session_replication_role = replica")
    await database.execute(
        "CREATE TEMPORARY TABLE way AS SELECT ARRAY['PLACED', 'RESERVED', 'CONFIRMED', 'READY_TO_SHIP', 'SHIPPED',"
        " 'DELIVERED'] AS way"
    )
    await database.execute(_ORDERS.format(**numbers))
    await database.execute(_ROWS.format(**numbers))
    if timeline:
        await database.execute(_TIMELINE)
    await database.execute("SET session_replication_role = origin")
    await database.execute("VACUUM ANALYZE")
