"""The arithmetic of the capacity page, on figures that can be checked in the head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from benchmarks import capacity
from benchmarks.capacity_measure import billable_actions, per_order
from benchmarks.capacity_plan import (
    PerOrder,
    connections,
    first_to_break,
    limits,
    needs,
    processes,
    shards,
    size,
)
from benchmarks.errors import BenchmarkFailed

ORDER = PerOrder(
    cpu_ms={"API": 14, "worker": 70, "relay": 7, "Temporal": 70, "PostgreSQL": 14},
    transactions=10,
    wal_bytes=20_000,
    table_bytes=10_000,
    history_bytes=5_000,
    history_events=25,
    state_transitions=20,
    actions=10,
    webhooks=5,
    stripe_calls={"payment_intents.create": 1, "payment_intents.retrieve": 2, "payment_intents.confirm": 1},
    carrier_calls={"shipments.create": 1, "shipments.buy": 1},
)


def amounts(rate: float) -> dict[str, str]:
    return {need.what: need.amount for need in needs(ORDER, rate)}


@pytest.mark.parametrize(("rate", "workers"), [(1, 1), (10, 1), (11, 2), (100, 10), (10_000, 1_000)])
def test_a_process_is_one_core_and_seventy_percent_busy(rate: float, workers: int) -> None:
    assert processes(ORDER, "worker", rate) == workers


def test_every_process_brings_its_pool_of_connections() -> None:
    assert connections(ORDER, 100) == 120 + 20 * (2 + 10 + 1)


@pytest.mark.parametrize(("rate", "wanted"), [(10, 512), (512, 512), (513, 1024), (10_000, 16_384)])
def test_shards_are_a_power_of_two_and_at_least_the_compose_file_s(rate: float, wanted: int) -> None:
    assert shards(ORDER, rate) == wanted


def test_needs_grow_with_the_rate() -> None:
    assert amounts(10)["PostgreSQL, transactions"] == "100/s"
    assert amounts(1_000)["PostgreSQL, transactions"] == "10,000/s"
    assert amounts(100)["PostgreSQL, WAL"] == "2.0 MB/s, 172.8 GB a day"
    assert amounts(100)["PostgreSQL, growth"] == "86.4 GB a day"
    assert amounts(100)["PostgreSQL, cores"] == "2.0"
    assert amounts(1)["Temporal Cloud, actions"] == "10/s, 26 million a month"
    assert amounts(1)["histories, kept"] == "13.0 GB"
    assert amounts(100)["calls to Stripe"] == "400/s"
    assert amounts(100)["webhooks"] == "500/s"


def test_limits_are_told_in_the_order_in_which_they_break() -> None:
    found = limits(ORDER)
    assert [limit.breaks_at for limit in found] == sorted(limit.breaks_at for limit in found)
    by_name = {limit.what: limit.breaks_at for limit in found}
    assert by_name["Stripe, payment_intents.retrieve"] == 25 / 2
    assert by_name["Stripe, all calls"] == 25
    assert by_name["Temporal Cloud, actions"] == 50
    assert by_name["PostgreSQL, connections"] == pytest.approx(9 / 0.13)
    assert by_name["PostgreSQL, WAL"] == 10_000
    assert by_name["PostgreSQL, cores"] == pytest.approx(3_200)


def test_the_first_to_break_is_what_this_rate_is_beyond() -> None:
    assert not first_to_break(ORDER, 10)
    assert first_to_break(ORDER, 100)[0].what == "Stripe, payment_intents.retrieve"


def test_fewer_calls_move_the_first_limit() -> None:
    lean = replace(ORDER, stripe_calls={"payment_intents.create": 1, "payment_intents.confirm": 1})
    assert first_to_break(lean, 100)[0].breaks_at == 25


@pytest.mark.parametrize(
    ("amount", "shown"), [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (2.5e9, "2.5 GB"), (7e18, "7,000.0 PB")]
)
def test_sizes_are_in_decimal_units(amount: float, shown: str) -> None:
    assert size(amount) == shown


def test_what_is_spent_at_rest_is_no_order_s() -> None:
    parts = {"API": 1.0, "worker": 2.0, "relay": 0.5, "Temporal": 3.0, "PostgreSQL": 0.25}
    spent = parts | {"transactions": 110.0, "wal_bytes": 100.0, "table_bytes": 100.0, "webhooks": 50.0}
    at_rest = dict.fromkeys(spent, 0.0) | {"Temporal": 0.1, "transactions": 1.0, "API": 9.0}
    histories = {"history_bytes": 1.0, "history_events": 2.0, "state_transitions": 3.0, "actions": 4.0}
    found = per_order(spent, at_rest, 10.0, 10, histories, {"a": 20}, {"b": 10})
    assert found.cpu_ms == {"API": 0.0, "worker": 200.0, "relay": 50.0, "Temporal": 200.0, "PostgreSQL": 25.0}
    assert (found.transactions, found.webhooks, found.stripe_calls) == (10.0, 5.0, {"a": 2.0})


def an_event(kind: str) -> HistoryEvent:
    return HistoryEvent(event_type=EventType.Value(f"EVENT_TYPE_{kind}"))


def a_local_activity(task: int) -> HistoryEvent:
    event = an_event("MARKER_RECORDED")
    event.marker_recorded_event_attributes.marker_name = "core_local_activity"
    event.marker_recorded_event_attributes.workflow_task_completed_event_id = task
    return event


def test_actions_are_counted_as_temporal_cloud_bills_them() -> None:
    """An activity counts by attempts, local activities once for each workflow task, and workflow tasks not at all."""
    retried = an_event("ACTIVITY_TASK_STARTED")
    retried.activity_task_started_event_attributes.attempt = 3
    one_each = ["WORKFLOW_EXECUTION_STARTED", "TIMER_STARTED", "WORKFLOW_EXECUTION_SIGNALED"]
    one_each += ["WORKFLOW_EXECUTION_UPDATE_ACCEPTED", "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"]
    free = [
        "WORKFLOW_TASK_SCHEDULED",
        "WORKFLOW_TASK_COMPLETED",
        "ACTIVITY_TASK_SCHEDULED",
        "ACTIVITY_TASK_COMPLETED",
    ]
    events = [an_event(kind) for kind in [*one_each, *free]]
    local = [a_local_activity(4), a_local_activity(4), a_local_activity(9)]
    assert billable_actions([*events, retried, *local]) == 5 + 3 + 2


def test_the_committed_figures_make_a_page() -> None:
    order, measured = capacity.from_file(capacity.MEASURED)
    text = capacity.page(order, [10, 10_000], measured)
    assert "| worker processes |" in text
    assert "At 10,000 orders/s" in text
    assert measured in text


def test_figures_survive_their_file(tmp_path: Path) -> None:
    import json

    file = tmp_path / "measured.json"
    file.write_text(json.dumps(capacity.to_file(ORDER, 150, "2026-01-31")))
    order, measured = capacity.from_file(file)
    assert order == ORDER
    assert measured.startswith("2026-01-31")
    with pytest.raises(BenchmarkFailed, match="--measure"):
        capacity.from_file(tmp_path / "nothing.json")


def test_without_rates_the_four_usual_ones_are_told() -> None:
    assert capacity.options_of([]).orders_per_second is None
    assert capacity.options_of(["--orders-per-second", "50"]).orders_per_second == [50]
