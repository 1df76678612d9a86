"""Simulators as slow as real far ends: the distribution, its seed, the journal, and one run over HTTP."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import stripe
from starlette.requests import Request

from benchmarks.far_ends import FarEnd, Journal
from benchmarks.figures import percentile
from devstack.simulators.call_times import JOURNAL, Call, CallClock, CallTimes
from tests.support.simulators import CarrierProcess, StripeProcess, running


def a_request(port: int = 1) -> Request:
    return Request({"type": "http", "client": ("127.0.0.1", port), "headers": []})


async def drawn(times: CallTimes | None, calls: int) -> list[float]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    clock = CallClock(sleep)
    clock.set(times)
    for number in range(calls):
        await clock.take("payment_intents.create", f"order-{number}", a_request())
    return slept


async def test_times_have_the_median_and_the_tail_that_were_asked_for() -> None:
    slept = await drawn(CallTimes(0.35, 1.4), 20_000)
    assert percentile(slept, 50) == pytest.approx(0.35, rel=0.03)
    assert percentile(slept, 99) == pytest.approx(1.4, rel=0.06)
    assert min(slept) > 0


async def test_a_seed_repeats_the_times_and_another_one_does_not() -> None:
    first, again = [await drawn(CallTimes(0.35, 1.4, seed=7), 5) for _ in range(2)]
    assert first == again != await drawn(CallTimes(0.35, 1.4, seed=8), 5)


async def test_a_healthy_simulator_answers_at_once() -> None:
    assert await drawn(None, 3) == []


@pytest.mark.parametrize(("median", "p99"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.5)])
def test_times_that_are_no_distribution_are_refused(median: float, p99: float) -> None:
    with pytest.raises(ValueError, match="median_seconds"):
        CallTimes(median, p99)


async def test_without_a_tail_every_call_takes_the_median() -> None:
    assert await drawn(CallTimes(0.5, 0.5), 3) == [pytest.approx(0.5)] * 3


async def test_what_else_is_called_between_changes_no_operation_s_times() -> None:
    """A look more or less between two runs leaves the times of create and confirm as they were."""
    row = CallTimes(0.35, 1.4).row("payment_intents.create")
    clock = CallClock(lambda seconds: _at_once())
    clock.set(CallTimes(0.35, 1.4))
    for operation in ("payment_intents.create", "payment_intents.retrieve", "payment_intents.create"):
        await clock.take(operation, "o1", a_request())
    first, _, second = (call["seconds"] for call in clock.state()["calls"])
    assert (first, second) == (next(row), next(row))


async def _at_once() -> None:
    """In place of a sleep."""


def test_twenty_calls_have_their_share_of_slow_ones() -> None:
    row = CallTimes(0.35, 1.4).row("payment_intents.confirm")
    for _ in range(50):
        twenty = sorted(next(row) for _ in range(20))
        assert twenty[9] < 0.35 < twenty[10]
        assert twenty[-1] > 0.9


async def test_the_journal_begins_anew_with_new_times_and_keeps_the_last_calls() -> None:
    clock = CallClock()
    for number in range(JOURNAL + 5):
        await clock.take("shipments.buy", str(number), a_request())
    assert [call["about"] for call in clock.state()["calls"]][::JOURNAL] == ["5"]
    assert len(clock.state()["calls"]) == JOURNAL
    clock.set(None)
    assert clock.state() == {"times": None, "calls": []}


def a_call(operation: str, about: str, seconds: float = 0.1, connection: int = 1) -> Call:
    return Call(operation, about, connection, 0.0, seconds)


def test_an_answer_waits_for_its_own_order_s_create_and_confirm() -> None:
    journal = Journal(
        [
            a_call("payment_intents.create", "o1:create:1", 0.1),
            a_call("payment_intents.create", "o2:create:1", 0.9),
            a_call("payment_intents.confirm", "o1:confirm:1", 0.2, connection=2),
            a_call("payment_intents.capture", "o1:capture:1", 0.8),
        ]
    )
    assert journal.before_the_answer("o1") == [0.1, 0.2]
    assert journal.connections == 2
    assert journal.by_operation()["payment_intents.create"] == 2


async def test_a_slow_stripe_answers_after_its_time_and_tells_which_call_took_it(tmp_path: Path) -> None:
    async with running(StripeProcess(tmp_path)) as simulator:
        far_end = FarEnd(simulator.http, simulator.base_url)
        await far_end.take(CallTimes(0.2, 0.2))
        began = time.monotonic()
        options: stripe.RequestOptions = {"idempotency_key": "o1:create:1"}
        intent = {"amount": 1999, "currency": "usd", "metadata": {"order_id": "o1"}}
        await simulator.client.v1.payment_intents.create_async(intent, options)  # type: ignore[arg-type]
        assert time.monotonic() - began >= 0.2
        assert (await far_end.journal()).before_the_answer("o1") == [pytest.approx(0.2)]
        await far_end.take(None)
        assert (await far_end.journal()).calls == []


async def test_a_slow_carrier_answers_after_its_time(tmp_path: Path) -> None:
    async with running(CarrierProcess(tmp_path)) as carrier:
        far_end = FarEnd(carrier.http, carrier.base_url)
        await far_end.take(CallTimes(0.2, 0.2))
        began = time.monotonic()
        await carrier.created("order-1:1")
        assert time.monotonic() - began >= 0.2
        assert (await far_end.journal()).by_operation() == {"shipments.create": 1}
        assert (await carrier.http.post("/_control/call_times", json={"median_seconds": 2})).status_code == 400
