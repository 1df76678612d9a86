"""The files that take longest, longest first: they begin first, so that no worker of pytest-xdist is idle at the end.

By `pytest --durations=0`; a file that is missing here costs no more than some seconds of idleness. Files that share
processes (`distribution.py`) begin with the first of them.
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
    "workflows/test_refused_key.py",
    "integration/test_alerts.py",
    "integration/test_our_faults.py",
    "workflows/test_reconciliation.py",
    "workflows/test_order_refund.py",
    "workflows/test_recovery.py",
    "integration/test_settled_payments.py",
    "workflows/test_pending_voids.py",
    "integration/test_fences.py",
    "integration/test_cli_import_again.py",
    "workflows/test_crash.py",
    "integration/test_foreign_refunds.py",
    "integration/test_api_rush.py",
    "workflows/test_races.py",
    "integration/test_repairs_of_undos.py",
    "integration/test_missed_events.py",
    "workflows/test_replay.py",
    "integration/test_api_cancel.py",
    "integration/test_refunds.py",
    "integration/test_silent_database.py",
    "integration/test_api_cancel_rush.py",
    "workflows/test_versions.py",
    "integration/test_renewals.py",
    "integration/test_cli_repairs.py",
    "integration/test_cli_orders.py",
    "integration/test_cli_import.py",
    "integration/test_refund_money.py",
    "integration/test_parcel_news.py",
    "workflows/test_heartbeats.py",
    "integration/test_book_drift.py",
    "workflows/test_races_with_the_carrier.py",
    "workflows/decisions/test_cancel_forms.py",
    "integration/test_refund_outcomes.py",
    "integration/test_brake.py",
    "integration/test_failing_tasks.py",
    "workflows/decisions/test_cancel_at_each_step.py",
    "integration/test_repairs_of_parcels.py",
)


def longest_first(paths: Sequence[Path]) -> list[int]:
    """The positions of the paths in the order in which they should begin; the rest stays as it is."""
    place = {TESTS / name: number for number, name in enumerate(LONGEST_FIRST)}
    return sorted(range(len(paths)), key=lambda index: place.get(paths[index], len(place)))
