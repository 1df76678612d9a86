"""How long each kind of step may take and how it is retried: named here, splatted at the call.

Times that belong to one kind of saga are with that kind (`workflows/order/time_limits.py`).
"""

from __future__ import annotations

from datetime import timedelta

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig, LocalActivityConfig

# One attempt in the worker that holds the workflow: no queue, no history event until it has ended. Short, because
# the workflow task, and with it the customer's answer, waits for it.
LOCAL_ATTEMPT = LocalActivityConfig(
    start_to_close_timeout=timedelta(seconds=4),
    retry_policy=RetryPolicy(maximum_attempts=1),
)

# Every longer attempt sends heartbeats (`activities/interceptors/heartbeats.py`): a dead worker's step is soon
# another's.
HEARTBEAT_TIMEOUT = timedelta(seconds=5)

# A cancel ends a waiting retry at once, but an attempt that has started finishes: its outcome would be unknown.
WITH_TIME_LIMIT = ActivityConfig(
    start_to_close_timeout=timedelta(seconds=30),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    schedule_to_close_timeout=timedelta(minutes=15),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=0.5), maximum_interval=timedelta(seconds=30)),
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
"""Of a step that somebody waits for: after 15 minutes it has failed, and the saga turns back."""

WITHOUT_TIME_LIMIT = ActivityConfig(
    start_to_close_timeout=timedelta(seconds=30),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=0.5), maximum_interval=timedelta(minutes=1)),
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
"""Of a forward step after that: it is retried until it succeeds or is refused."""

# Undo and bookkeeping go on until they are done, without an attempt cap and whatever arrives meanwhile. Only an
# operator's decision ends a waiting retry, so that the step begins again at once.
UNTIL_DONE = ActivityConfig(
    start_to_close_timeout=timedelta(seconds=30),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=0.5), maximum_interval=timedelta(minutes=1)),
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)

ATTENTION_AFTER = timedelta(minutes=2)
"""How long a step that may not fail is tried before a person is called; it goes on meanwhile."""

LOOK_AGAIN_AFTER = timedelta(hours=12)
"""How long a step is left alone that rightly waits for another system, before a ticket is asked for again."""

FIRST_SLOW_RETRY = timedelta(minutes=5)
LAST_SLOW_RETRY = timedelta(hours=12)
"""Pauses between two tries of a step that was refused and waits for a person: doubled, from the first to the last."""
