"""The states of an order: the domain's table is the database's, and every order can come to an end."""

from __future__ import annotations

import importlib.util
from itertools import product
from pathlib import Path

import pytest

from domain.order_states import ANSWERED, FINAL, TRANSITIONS, OrderStatus, allows

VERSIONS = Path(__file__).resolve().parents[2] / "migrations" / "versions"


def _transitions_of(migration: str) -> list[tuple[str, str]]:
    spec = importlib.util.spec_from_file_location(migration, VERSIONS / f"{migration}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    allowed: list[tuple[str, str]] = module.allowed_transitions()
    return allowed


def test_the_database_allows_the_transitions_of_the_domain() -> None:
    """Those of the table, and a row that leaves the state as it is; written once each."""
    written = _transitions_of("0001_orders")
    assert len(written) == len(set(written))
    assert set(written) == TRANSITIONS | {(status, status) for status in OrderStatus}


def test_allows_what_is_in_the_table_and_no_change_at_all() -> None:
    """Nothing else, for every pair of states."""
    allowed = {pair for pair in product(OrderStatus, OrderStatus) if allows(*pair)}
    assert allowed == TRANSITIONS | {(status, status) for status in OrderStatus}


def test_nothing_follows_a_final_state_and_something_every_other() -> None:
    """DELIVERED, CANCELED and REJECTED are ends, and the only ones."""
    assert {from_ for from_, _ in TRANSITIONS} == set(OrderStatus) - FINAL


@pytest.mark.parametrize("status", list(OrderStatus))
def test_every_state_is_reached_from_placed_and_leads_to_an_end(status: OrderStatus) -> None:
    """No state is out of reach, and no order is caught in one."""
    assert status in _reachable(OrderStatus.PLACED)
    assert _reachable(status) & FINAL


def _reachable(start: OrderStatus) -> set[OrderStatus]:
    reached, open_ = {start}, [start]
    while open_:
        here = open_.pop()
        after = {to for from_, to in TRANSITIONS if from_ is here} - reached
        reached |= after
        open_.extend(after)
    return reached


def test_a_confirmed_order_is_canceled_and_never_rejected() -> None:
    """REJECTED means that the customer was never told "confirmed"."""
    rejected_from = {from_ for from_, to in TRANSITIONS if to is OrderStatus.REJECTED}
    assert rejected_from == {OrderStatus.PLACED, OrderStatus.RESERVED, OrderStatus.AWAITING_CUSTOMER}


def test_an_order_behind_the_first_scan_cannot_turn_back() -> None:
    """Goods that have left are not undone."""
    forward_only = {OrderStatus.SHIPPED, OrderStatus.DELIVERED}
    assert not {(from_, to) for from_, to in TRANSITIONS if from_ in forward_only and to not in forward_only}


def test_a_checkout_is_answered_in_every_state_but_the_first_two() -> None:
    """The customer waits for no more than "confirmed", "refused" or "please act"."""
    assert set(OrderStatus) - ANSWERED == {OrderStatus.PLACED, OrderStatus.RESERVED}
