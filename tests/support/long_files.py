"""The files that take longest, longest first: they begin first, so that no worker of pytest-xdist is idle at the end.

By `pytest --durations=0`; a file that is missing here costs no more than some seconds of idleness.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
LONGEST_FIRST = (
    "tools/test_payment_storm.py",
    "tools/test_devstack.py",
    "deployment/test_migrations_in_use.py",
    "deployment/test_one_shots.py",
    "integration/test_our_faults.py",
    "workflows/test_recovery.py",
    "integration/test_foreign_refunds.py",
    "workflows/test_order_refund.py",
    "workflows/test_reconciliation.py",
    "workflows/test_refused_key.py",
    "workflows/decisions/test_races_in_memory.py",
    "integration/test_settled_payments.py",
    "workflows/test_races_with_the_carrier.py",
    "workflows/test_crash.py",
    "workflows/test_payment_time.py",
    "integration/test_silent_database.py",
    "workflows/test_versions.py",
    "integration/test_repairs_of_closed_orders.py",
    "workflows/test_races.py",
    "workflows/test_time.py",
    "integration/test_cli_import_again.py",
    "workflows/test_replay.py",
    "workflows/test_no_scan.py",
    "integration/test_holds.py",
    "workflows/test_heartbeats.py",
    "integration/test_worker_process.py",
    "integration/test_book_drift.py",
    "integration/test_cli_orders.py",
    "integration/test_failing_tasks.py",
    "integration/test_refund_news.py",
    "integration/test_api_rush.py",
)


def longest_first(paths: Sequence[Path]) -> list[int]:
    """The positions of the paths in the order in which they should begin; the rest stays as it is."""
    place = {TESTS / name: number for number, name in enumerate(LONGEST_FIRST)}
    return sorted(range(len(paths)), key=lambda index: place.get(paths[index], len(place)))
