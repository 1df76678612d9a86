"""The append-only record of what the carrier did: labels bought and voided, parcels scanned; and its audit."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from devstack.simulators.durable_store import Document, DurableStore

SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, shipment TEXT NOT NULL, reference TEXT,
    tracking_code TEXT, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS ledger_by_reference ON ledger (reference, seq);
CREATE TRIGGER IF NOT EXISTS ledger_keeps_rows BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_keeps_values BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


class LabelLedger:
    """Kinds: label_bought, void_requested, label_voided, label_not_billed, void_rejected; and of its parcel scanned,
    delivered, returned, lost."""

    def __init__(self, store: DurableStore) -> None:
        self._store = store

    def record(self, kind: str, shipment: Document) -> None:
        self._store.run(
            "INSERT INTO ledger (kind, shipment, reference, tracking_code, at) VALUES (?, ?, ?, ?, ?)",
            kind, shipment["id"], shipment["reference"], shipment["tracking_code"], self._store.now(),
        )  # fmt: skip

    def entries(self, reference: str | None = None) -> list[dict[str, Any]]:
        if reference is None:
            rows = self._store.rows("SELECT * FROM ledger ORDER BY seq")
        else:
            rows = self._store.rows("SELECT * FROM ledger WHERE reference = ? ORDER BY seq", reference)
        return [dict(row) for row in rows]


def audit(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Per reference at most one live label: bought, and not voided for certain (a void that is only requested may
    still be rejected) or never billed. A shipment without a reference counts as its own."""
    live: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    violations: list[dict[str, Any]] = []
    for entry in entries:
        reference = entry["reference"] or entry["shipment"]
        counts[entry["kind"]] += 1
        if entry["kind"] == "label_bought":
            if live[reference]:
                violations.append({"rule": "second_live_label", "reference": reference, "entry": dict(entry)})
            live[reference].add(entry["shipment"])
        elif entry["kind"] in ("label_voided", "label_not_billed"):
            live[reference].discard(entry["shipment"])
    return {
        "references": len(live),
        "entries": sum(counts.values()),
        "counts": dict(counts),
        "live_labels": sum(len(shipments) for shipments in live.values()),
        "violations": violations,
    }
