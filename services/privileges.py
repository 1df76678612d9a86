"""What each process may do with each table: one database role a process, and nothing that it does not need.

The tables belong to the role that migrates. A process is a member of its group role, owns nothing, and so can neither
change a trail nor take its triggers off. Every table has a line here; `migrations/grants.py` grants what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class DatabaseRole(StrEnum):
    """The group roles; who logs in is a member of one."""

    API = "ordersaga_api"
    WORKER = "ordersaga_worker"
    RELAY = "ordersaga_relay"
    REPORTING = "ordersaga_reporting"  # people and programs that count: figures, nobody's contact data


LETTERS: Mapping[str, str] = {"s": "SELECT", "i": "INSERT", "u": "UPDATE", "d": "DELETE"}


class Access(NamedTuple):
    """The letters of what each process may do with a table; of reporting the columns, `*` for all."""

    api: str = ""
    worker: str = ""
    relay: str = ""
    reporting: str = ""


TABLES: Mapping[str, Access] = {
    # orders: what is read and written under the lock of an order's row
    "orders": Access(
        "siu",
        "su",
        "su",
        "order_id, status, payment_status, currency, total_minor, subtotal_minor, discount_minor, shipping_fee_minor,"
        " added_tax_minor, coupon_codes, shipping_option, payment_method, needs_attention, hold, created_at,"
        " updated_at",
    ),
    "order_lines": Access("siu", "su", "s", "*"),
    "order_adjustments": Access("siu", "su", "s", "*"),
    "order_steps": Access("siu", "siu", "siu"),
    "order_transitions": Access("s", "s", "s", "*"),
    "payments": Access("su", "siu", "siu", "*"),
    "payment_attempts": Access("s", "siu", "siu"),
    "shipments": Access("su", "siu", "su"),
    "cancel_wishes": Access("siu", "siu", "s"),
    "refunds": Access("siu", "siu", "siu", "order_id, amount_minor, state, created_at, updated_at"),
    "refund_lines": Access("si", "s", "s", "*"),
    # trails: rows are only added
    "timeline": Access("si", "si", "si"),
    "ticket_actions": Access("si", "si", "si"),
    "promotion_changes": Access("si"),
    "audit": Access("si", "", "s"),
    "audit_seals": Access("s", "", "si"),
    "event_archive": Access("s", "", "si"),
    # what is to be done, and by whom
    "outbox": Access("siu", "si", "siud"),
    "webhook_inbox": Access("si", "si", "siud"),
    "tickets": Access("siu", "siu", "siu", "id, order_id, kind, step, opened_at, resolved_at"),
    "texts": Access("siu", "si", "siu"),
    "approvals": Access("siu"),
    "brake_pulls": Access("su", "siu", "s"),
    "ends_by_our_fault": Access("s", "siu", "s"),
    "cursors": Access("s", "siu", "s"),
    # goods, prices, customers
    "products": Access("siu", "s", "s", "*"),
    "stock": Access("siu", "su", "s", "*"),
    "reservations": Access("su", "siu", "s", "*"),
    "stock_hints": Access("s", "", "siu", "*"),
    "promotions": Access("siu", "su", "s", "*"),
    "coupons": Access("siu", "su", "s"),
    "coupon_redemptions": Access("s", "siu", "s", "*"),
    "tax_rates": Access("siu", "s", "s", "*"),
    "shipping_rates": Access("siu", "s", "s", "*"),
    "customers": Access("siu", "su", "su"),
    "customer_keys": Access("siu", "si", "siu"),
    "carts": Access("siud", "su", "sud"),
    "cart_lines": Access("siud", "siud", "sd"),
    "cart_operations": Access("sid", "s", "sud"),
    # programs and merchants
    "api_keys": Access("siu"),
    "rate_limits": Access("siu", "", "sud"),
    "webhook_endpoints": Access("siu", "", "sud"),
    "webhook_secrets": Access("siud", "", "sud"),
    "webhook_deliveries": Access("siu", "", "siud"),
    # consumers of events
    "consumer_positions": Access("s", "", "siu"),
    "consumer_sequences": Access("s", "", "siud"),
    "dead_letters": Access("s", "", "siud"),
    "notifications": Access("su", "", "siud"),
    "notification_wishes": Access("siud", "", "siu"),
    "alembic_version": Access("s", "s", "s"),
}
"""By table. Docs: `docs/security.md` is made of it, and a test compares it with PostgreSQL's own catalogue."""

TRAILS = ("timeline", "ticket_actions", "promotion_changes", "audit", "audit_seals", "event_archive")
"""Rows that are only added: no process may change or delete one."""


def granted(role: DatabaseRole, table: str) -> Mapping[str, str]:
    """The privileges that a role has on a table, each with the columns that it is for; `` is all of them."""
    access = TABLES[table]
    if role is DatabaseRole.REPORTING:
        return {"SELECT": access.reporting.replace("*", "")} if access.reporting else {}
    letters: str = getattr(access, role.removeprefix("ordersaga_"))
    return {LETTERS[letter]: "" for letter in letters}


def markdown_table() -> str:
    """Table by process: what each may do; of reporting the columns that it reads."""
    rows = ["| table | api | worker | relay | reporting reads |", "|---|---|---|---|---|"]
    for table in sorted(TABLES):
        access = TABLES[table]
        cells = (_words(access.api), _words(access.worker), _words(access.relay), _columns(access.reporting))
        rows.append(f"| `{table}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def _words(letters: str) -> str:
    return " ".join(LETTERS[letter].lower() for letter in letters)


def _columns(named: str) -> str:
    if named in ("", "*"):
        return {"": "", "*": "all"}[named]
    return ", ".join(f"`{column}`" for column in named.split(", "))
