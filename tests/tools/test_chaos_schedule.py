"""What a run of faults is made of: drawn from the seed alone, with every kind in it."""

from __future__ import annotations

import ast
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from chaos.books import Books
from chaos.faults import BAD_LINK, SHORT, SINGLE_PARTS, Fault, FaultKind, Happened, schedule, worker_kills
from chaos.links import LINKS, RELAYS, WORKERS
from chaos.long_faults import long_schedule
from chaos.recovery import in_hand, recoveries
from chaos.relay_faults import SESSIONS_END_AFTER, TABLES
from chaos.wishes import HOT, MIX, PLENTY, Course, catalogue, wishes

SERVICE = {
    "domain", "adapters", "services", "activities", "workflows", "engine", "events", "api", "worker", "relay", "cli",
    "commandline",
}  # fmt: skip


def test_the_same_seed_gives_the_same_faults_and_orders() -> None:
    """A run can be repeated as far as it was planned."""
    assert schedule(3, 60) == schedule(3, 60)
    assert wishes(3, 100, 60.0) == wishes(3, 100, 60.0)
    assert schedule(3, 60) != schedule(4, 60)


def test_a_fault_comes_every_three_seconds_at_least() -> None:
    """From the beginning to the last one."""
    times = [0.0, *(fault.at for fault in schedule(1, 60))]
    assert len(times) == 61
    assert all(0 < later - earlier <= 3.0 for earlier, later in pairwise(times))


def test_each_deck_of_faults_has_every_kind() -> None:
    """Every part is killed, two workers' and two relays' deaths are among them; no kind of bad link is missing."""
    for seed in range(20):
        faults = schedule(seed, 85)
        for deck in (faults[number : number + 17] for number in range(0, 85, 17)):
            assert {fault.kind for fault in deck} == SHORT
            killed = Counter(fault.target for fault in deck if fault.kind is FaultKind.KILL)
            assert set(killed) - {*WORKERS, *RELAYS} == set(SINGLE_PARTS)
            assert [sum(killed[part] for part in peers) for peers in (WORKERS, RELAYS)] == [2, 2]
            assert {fault.target for fault in deck if fault.kind in BAD_LINK} <= set(LINKS)


def test_relays_are_paused_for_longer_than_their_locks_live_and_killed_in_each_batch() -> None:
    """Either one; whichever table the batch writes to."""
    faults = [fault for seed in range(20) for fault in schedule(seed, 102)]
    pauses = [fault for fault in faults if fault.kind is FaultKind.PAUSE]
    assert {fault.target for fault in pauses} == set(RELAYS)
    assert all(fault.seconds > 2 * SESSIONS_END_AFTER for fault in pauses)
    assert {fault.target for fault in faults if fault.kind is FaultKind.KILL_IN_BATCH} == set(TABLES)


def test_long_faults_come_one_after_the_other() -> None:
    """With pauses in which orders get through; the carrier and the broker, for which no checkout waits, go beside."""
    faults = long_schedule(1, 250.0)
    assert Counter((fault.kind, fault.target) for fault in faults if fault.kind is not FaultKind.SWALLOW) == Counter(
        [
            *((FaultKind.ANSWERS, "carrier"), (FaultKind.ANSWERS, "stripe"), (FaultKind.FAILOVER, "postgres")),
            *((FaultKind.LOSE_TAIL, "nats"), (FaultKind.LOSE_TAIL, "nats")),
        ]
    )
    assert sum(fault.kind is FaultKind.SWALLOW for fault in faults) == 3
    in_turn = [fault for fault in faults if fault.target not in ("carrier", "nats")]
    assert all(later.at >= earlier.at + earlier.seconds + 12 for earlier, later in pairwise(in_turn))
    assert all(35 <= fault.seconds <= 45 for fault in faults if fault.kind is FaultKind.SWALLOW)
    assert all(fault.seconds >= 54 for fault in faults if fault.kind is FaultKind.ANSWERS)


def test_three_seeds_swallow_nine_links_and_a_short_run_none() -> None:
    """The same for the same seed."""
    assert long_schedule(3, 250.0) == long_schedule(3, 250.0)
    swallowed = {fault.target for seed in (1, 2, 3) for fault in long_schedule(seed, 250.0)} & set(LINKS)
    assert len(swallowed) == 9
    assert long_schedule(1, 15.0) == []


def test_kills_of_workers_last_as_long_as_the_storm() -> None:
    """Two at least, also in a short one."""
    assert len(worker_kills(1, 0.0)) == 2
    assert worker_kills(1, 60.0)[-1].at >= 60.0
    assert {fault.target for fault in worker_kills(1, 60.0)} == set(WORKERS)


def test_the_load_has_every_course_and_unique_keys() -> None:
    """A thousand orders: each kind of customer, no key twice, every product in the catalogue."""
    load = wishes(1, 1000, 150.0)
    assert {wish.course for wish in load} == set(MIX) == set(Course)
    assert len({wish.key for wish in load}) == 1000
    known = {product.product_id for product in catalogue(1000)}
    assert len(known) == PLENTY + HOT
    assert {item["productId"] for wish in load for item in wish.body["items"]} <= known


def test_chaos_imports_nothing_of_the_service() -> None:
    """The auditor would believe what the service believes."""
    for file in (Path(__file__).resolve().parents[2] / "chaos").glob("*.py"):
        imported = [
            name.partition(".")[0]
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        ]
        assert not SERVICE & set(imported), file


def test_an_order_in_hand_counts_until_its_next_step() -> None:
    """An order that waits for its customer or for the carrier is in nobody's hand, nor is one that is over."""
    steps = {
        "working": [(10.0, "PLACED"), (13.5, "RESERVED")],
        "with the carrier": [(10.0, "READY_TO_SHIP"), (19.0, "SHIPPED")],
        "over": [(10.0, "CANCELED")],
        "not yet there": [(12.0, "PLACED"), (12.1, "RESERVED")],
    }
    assert in_hand(steps, 11.0) == [2.5]


def test_recovery_is_told_by_the_kind_of_fault() -> None:
    """Either worker's death is a worker's; a link's fault has no part that comes back."""
    happened = [
        Happened(Fault(1.0, FaultKind.KILL, "worker"), 100.0, 1.5),
        Happened(Fault(2.0, FaultKind.KILL, "worker-2"), 101.0, 2.5),
        Happened(Fault(3.0, FaultKind.DROP, "api-postgres"), 102.0),
        Happened(Fault(4.0, FaultKind.PAUSE, "relay-2", 5.0), 200.0),
    ]
    placed = {"order_id": "1", "to_status": "PLACED", "at": datetime.fromtimestamp(99, UTC)}
    reserved = {"order_id": "1", "to_status": "RESERVED", "at": datetime.fromtimestamp(103, UTC)}
    found = recoveries(happened, Books(timeline=[placed, reserved]))
    assert list(found) == ["drop", "kill worker", "pause relay"]
    assert (found["kill worker"].faults, found["kill worker"].ready) == (2, [1.5, 2.5])
    assert found["kill worker"].in_hand == [3.0, 2.0]
    assert found["drop"].ready == []
