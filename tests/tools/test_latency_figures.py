"""What a customer's wait is made of: its stretches, its multiples of Stripe's call, what is told of it."""

from __future__ import annotations

import pytest

from benchmarks.latency import options_of, remarks, rows
from benchmarks.latency_figures import OrderTimes, Wait

QUICK = OrderTimes(
    asked=100.0, answered=100.8, placed=100.01, reserved=100.04, confirmed=100.77, ready=103.0, stripe=[0.3, 0.4]
)
SLOW = OrderTimes(
    asked=100.0, answered=109.0, placed=100.01, reserved=100.04, confirmed=108.9, ready=112.0, stripe=[4.0, 0.3, 0.4]
)


def a_wait(*orders: OrderTimes, call: float = 0.35) -> Wait:
    return Wait(1, orders, call=call, drawn=[0.3, 0.4], carrier=2.0, busy=0.25, refused=3, connections=2)


def test_the_stretches_of_a_wait_add_up_to_it() -> None:
    stretches = QUICK.stretches()
    assert sum(stretches.values()) == pytest.approx(QUICK.answer) == pytest.approx(0.8)
    assert stretches["Stripe's calls"] == pytest.approx(0.7)
    assert stretches["worker: the payment, but for Stripe's calls"] == pytest.approx(0.03)
    assert QUICK.beyond == pytest.approx(0.1)


def test_a_breakdown_is_the_mean_over_the_orders() -> None:
    wait = a_wait(QUICK, SLOW)
    assert sum(wait.breakdown().values()) == pytest.approx((0.8 + 9.0) / 2)
    assert wait.after_confirmed == pytest.approx((103.0 - 100.77 + 112.0 - 108.9) / 2 - 2.0)


def test_the_aim_is_in_simulated_calls() -> None:
    assert a_wait(QUICK).met
    assert not a_wait(QUICK, call=0.34).met


def test_an_order_that_sent_a_call_again_is_counted() -> None:
    assert a_wait(QUICK, SLOW).repeated == 1


def test_the_table_has_milliseconds_and_multiples() -> None:
    answer, alone, ours, ready = rows(a_wait(QUICK))
    assert answer == ["the answer", "1", "800", "800", "2.29", "2.29", "2.29", "2.29", "2.3", "yes"]
    assert alone[:4] == ["its two calls alone", "1", "700", "700"]
    assert ours[:4] == ["what we add", "1", "100", "100"]
    assert ready[:4] == ["ready to ship", "1", "3000", "3000"]
    assert "3 times a checkout was put off" in remarks(a_wait(QUICK))[1]


def test_loads_are_chosen_on_the_command_line() -> None:
    assert options_of(["--concurrency", "1,5"]).concurrency == (1, 5)
    assert options_of([]).stripe_ms == 350
