"""The append-only record of money effects, and the audit that reads it.

Every authorization, void, expiry, capture (and release of what a partial capture left), refund, and withdrawal or
reinstatement by a dispute is one row, written in the transaction of its effect. The audit
answers the question that matters of any fault run: was anybody's money held or taken twice, or given back too often?
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devstack.simulators.durable_store import Document, DurableStore

SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, payment_intent TEXT NOT NULL, order_id TEXT,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS ledger_by_order ON ledger (order_id, seq);
CREATE TRIGGER IF NOT EXISTS ledger_keeps_rows BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_keeps_values BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""

Entry = Mapping[str, Any]


class MoneyLedger:
    """Amounts are minor units; `order_id` is the intent's metadata of that name."""

    def __init__(self, store: DurableStore) -> None:
        self._store = store

    def record(self, kind: str, intent: Document, amount: int) -> None:
        self._store.run(
            "INSERT INTO ledger (kind, payment_intent, order_id, amount, currency, at) VALUES (?, ?, ?, ?, ?, ?)",
            kind, intent["id"], intent["metadata"].get("order_id"), amount, intent["currency"], self._store.now(),
        )  # fmt: skip

    def entries(self, order_id: str | None = None) -> list[dict[str, Any]]:
        if order_id is None:
            rows = self._store.rows("SELECT * FROM ledger ORDER BY seq")
        else:
            rows = self._store.rows("SELECT * FROM ledger WHERE order_id = ? ORDER BY seq", order_id)
        return [dict(row) for row in rows]


@dataclass
class _Payment:
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    withdrawn: int = 0
    held: bool = False

    @property
    def live(self) -> bool:
        """Money is held, or was taken and not wholly given back or withdrawn."""
        return self.held or self.kept > 0

    @property
    def kept(self) -> int:
        return self.captured - self.refunded - self.withdrawn


@dataclass
class _OrderAudit:
    order_id: str
    payments: dict[str, _Payment] = field(default_factory=lambda: defaultdict(_Payment))
    violations: list[dict[str, Any]] = field(default_factory=list)

    def read(self, entry: Entry) -> None:
        payment = self.payments[entry["payment_intent"]]
        kind, amount = entry["kind"], entry["amount"]
        if kind == "authorize":
            if any(other.live for other in self.payments.values()):
                self._violated("second_live_authorization", entry)
            payment.authorized, payment.held = payment.authorized + amount, True
        elif kind in ("void", "expire"):
            if not payment.held:
                self._violated("void_without_authorization", entry)
            payment.held = False
        elif kind == "capture":
            if not payment.held or payment.captured + amount > payment.authorized:
                self._violated("capture_above_authorization", entry)
            payment.captured, payment.held = payment.captured + amount, False
        elif kind == "release":
            if payment.captured + amount != payment.authorized:
                self._violated("release_is_not_the_rest", entry)
        else:
            self._read_return(payment, entry)

    def _read_return(self, payment: _Payment, entry: Entry) -> None:
        kind, amount = entry["kind"], entry["amount"]
        if kind == "refund":
            payment.refunded += amount
        elif kind == "refund_failed":
            payment.refunded -= amount
        elif kind == "dispute_withdrawn":
            payment.withdrawn += amount
        elif kind == "dispute_reinstated":
            payment.withdrawn -= amount
        if payment.kept < 0:
            disputed = kind.startswith("dispute")
            self._violated("withdrawal_above_capture" if disputed else "refund_above_capture", entry)

    def _violated(self, rule: str, entry: Entry) -> None:
        self.violations.append({"rule": rule, "order_id": self.order_id, "entry": dict(entry)})


def audit(entries: Iterable[Entry]) -> dict[str, Any]:
    """Violations per order (an intent without an order id counts as its own), with totals by kind."""
    orders: dict[str, _OrderAudit] = {}
    totals: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for entry in entries:
        order_id = entry["order_id"] or entry["payment_intent"]
        orders.setdefault(order_id, _OrderAudit(order_id)).read(entry)
        totals[entry["kind"]] += entry["amount"]
        counts[entry["kind"]] += 1
    payments = [payment for order in orders.values() for payment in order.payments.values()]
    return {
        "orders": len(orders),
        "entries": sum(counts.values()),
        "counts": dict(counts),
        "amounts": dict(totals),
        "held_payments": sum(payment.held for payment in payments),
        "charged_payments": sum(payment.kept > 0 for payment in payments),
        "violations": [violation for order in orders.values() for violation in order.violations],
    }
