"""Holds an import's report against the books of others: Stripe's and the carrier's ledgers, and our stock."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import asyncpg
import httpx

Report = Mapping[str, Any]

_STOCK = "SELECT product_id, on_hand, reserved FROM stock WHERE product_id = ANY ($1)"


async def faults(report: Report, *, stripe: str, carrier: str, database_url: str) -> list[str]:
    """Everything that does not agree, to the penny, the piece and the label; empty when all does."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        money, money_audit = await _ledger(http, stripe)
        labels, labels_audit = await _ledger(http, carrier)
    ours = {order["orderId"] for order in report["placed"]}
    found = [f"Stripe's audit: {one}" for one in money_audit if one["order_id"] in ours]
    found += [f"the carrier's audit: {one}" for one in labels_audit if one["reference"] in ours]
    found += _money_faults(report, money)
    found += _label_faults(report, labels)
    found += _stock_faults(report, await _stock(database_url, report))
    return found


async def _ledger(http: httpx.AsyncClient, base: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    entries = (await http.get(f"{base}/_control/ledger")).raise_for_status().json()
    audit = (await http.get(f"{base}/_control/audit")).raise_for_status().json()
    return entries, audit["violations"]


def _money_faults(report: Report, entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """By order what was authorized once, and kept or given back; the sum is the report's."""
    by_order: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        by_order[entry["order_id"]][entry["kind"]] += entry["amount"]
    kept: Counter[str] = Counter()
    for order in report["placed"]:
        pence, seen = _pence(order["total"]), by_order[order["orderId"]]
        balance = seen["capture"] - seen["refund"]
        held = seen["authorize"] - seen["capture"] - seen["void"]
        wanted = 0 if order["canceled"] else pence
        if (seen["authorize"], balance, held) != (pence, wanted, 0):
            found = f"authorized {seen['authorize']}, kept {balance}, held {held}"
            yield f"invoice {order['invoice']} of {pence} pence: {found}"
        kept[order["currency"]] += balance
    for book in report["books"]:
        if _pence(book["kept"]) != kept[book["currency"]]:
            yield f"the report says {book['kept']} {book['currency']} are kept, Stripe {kept[book['currency']]} pence"


def _label_faults(report: Report, entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One live label for an order that goes out, none for a canceled one."""
    live: Counter[str] = Counter()
    for entry in entries:
        live[entry["reference"]] += {"label_bought": 1, "label_voided": -1, "label_not_billed": -1}.get(
            entry["kind"], 0
        )
    for order in report["placed"]:
        if live[order["orderId"]] != (0 if order["canceled"] else 1):
            yield f"invoice {order['invoice']} has {live[order['orderId']]} live labels"


def _stock_faults(report: Report, stock: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """On hand is what the file orders, reserved what goes out; nothing may have been scanned yet."""
    brought, reserved = _pieces(report)
    for product, pieces in brought.items():
        if stock.get(product) != (pieces, reserved[product]):
            yield f"{product}: on hand and reserved {stock.get(product)}, not {(pieces, reserved[product])}"


def _pieces(report: Report) -> tuple[Counter[str], Counter[str]]:
    """By product what was brought in for orders, also for those that were refused then, and what is held for them."""
    canceled = {order["orderId"] for order in report["placed"] if order["canceled"]}
    brought: Counter[str] = Counter()
    reserved: Counter[str] = Counter()
    for line in report["lines"]:
        if "productId" in line and line["quantity"] > 0:  # below 0 is a cancellation's
            goes_out = line["outcome"] == "ordered" and line["orderId"] not in canceled
            brought[line["productId"]] += line["quantity"]
            reserved[line["productId"]] += line["quantity"] if goes_out else 0
    return brought, reserved


async def _stock(database_url: str, report: Report) -> dict[str, tuple[int, int]]:
    products = sorted({line["productId"] for line in report["lines"] if "productId" in line})
    connection = await asyncpg.connect(database_url, ssl=False)
    try:
        rows = await connection.fetch(_STOCK, products)
    finally:
        await connection.close()
    return {row["product_id"]: (row["on_hand"], row["reserved"]) for row in rows}


def _pence(amount: str) -> int:
    return int(Decimal(amount) * 100)
