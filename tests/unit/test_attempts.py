"""The worker's own account of its attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from temporalio import activity

from activities.interceptors.attempts import Attempts, time_of

SCHEDULED = datetime(2026, 1, 1, tzinfo=UTC)


def info(step: str, **timeouts: timedelta) -> activity.Info:
    """Of an attempt, as much of it as is looked at."""
    both = {"start_to_close_timeout": None, "schedule_to_close_timeout": None}
    waited = timeouts.pop("waited", timedelta(0))  # since the step was scheduled: queue, earlier attempts, pauses
    times = {"scheduled_time": SCHEDULED, "started_time": SCHEDULED + waited}
    found = SimpleNamespace(activity_type=step, workflow_id="order-1", attempt=3, **{**both, **timeouts, **times})
    return cast(activity.Info, found)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_attempt_is_overdue_when_its_time_and_the_margin_are_over(clock: Clock) -> None:
    """Not before, and not once it has ended; the oldest is named first."""
    attempts = Attempts(timedelta(seconds=5), clock)
    slow = attempts.began(info("ship_order", start_to_close_timeout=timedelta(seconds=30)))
    quick = attempts.began(info("reserve_inventory", start_to_close_timeout=timedelta(seconds=4)))
    clock.now += 8.9
    assert (attempts.count, attempts.overdue()) == (2, [])
    clock.now += 0.2
    assert attempts.overdue() == [quick]
    clock.now += 26
    assert attempts.overdue() == [quick, slow]
    assert str(slow) == "ship_order of order-1, attempt 3"
    attempts.ended(quick)
    attempts.ended(slow)
    assert (attempts.count, attempts.overdue()) == (0, [])


def test_an_attempt_may_take_as_long_as_its_activity_where_nothing_shorter_is_said(clock: Clock) -> None:
    """And one without any limit is never overdue."""
    attempts = Attempts(timedelta(0), clock)
    whole = attempts.began(info("close_order", schedule_to_close_timeout=timedelta(seconds=60)))
    attempts.began(info("endless"))
    clock.now += 61
    assert attempts.overdue() == [whole]


@pytest.mark.parametrize(("waited", "left"), [(0, 30), (100, 20), (119, 1), (150, 0)])
def test_an_attempt_ends_with_the_time_of_its_step(waited: int, left: int) -> None:
    """The engine gives the step up then and it is begun anew: no attempt goes on beside the new one."""
    limits = {"start_to_close_timeout": timedelta(seconds=30), "schedule_to_close_timeout": timedelta(minutes=2)}
    found = time_of(info("ship_order", **limits, waited=timedelta(seconds=waited)))
    assert found == timedelta(seconds=left)
