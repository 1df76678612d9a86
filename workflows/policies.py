"""How long each kind of step may take and how it is retried: named here, splatted at the call."""

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

# Every longer attempt shows signs of life (`activities/interceptors/heartbeats.py`): a dead worker's step is soon
# another's.
HEARTBEAT_TIMEOUT = timedelta(seconds=5)

# A cancel ends a waiting retry at once, but a started attempt is left to finish: its outcome would be unknown.
BEFORE_CONFIRMATION = ActivityConfig(
    start_to_close_timeout=timedelta(seconds=30),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    schedule_to_close_timeout=timedelta(minutes=15),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=0.5), maximum_interval=timedelta(seconds=30)),
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
AFTER_CONFIRMATION = ActivityConfig(
    start_to_close_timeout=timedelta(seconds=30),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=0.5), maximum_interval=timedelta(minutes=1)),
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)

# Undo and bookkeeping go on until they are done, without an attempt cap and whatever arrives meanwhile. Only an
# operator's decision ends a waiting retry, so that the step begins anew at once.
UNTIL_DONE = ActivityConfig(
    start_to_close_timeout=timedelta(seconds=30),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=0.5), maximum_interval=timedelta(minutes=1)),
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)

FIRST_TEXT_RETRY = timedelta(seconds=1)
LAST_TEXT_RETRY = timedelta(minutes=10)
"""Between two tries to store what somebody wrote; doubled from the first to the last."""

ATTENTION_AFTER = timedelta(minutes=2)
"""How long a step that may not fail is tried before a person is called; it goes on meanwhile."""

LOOK_AGAIN_AFTER = timedelta(hours=12)
"""How long a step that waits for a far end in good order is left alone before it is asked again who is needed."""

FIRST_SLOW_RETRY = timedelta(minutes=5)
LAST_SLOW_RETRY = timedelta(hours=12)
"""Between two tries of a step that refused to succeed and waits for a person; doubled from the first to the last."""

CUSTOMER_PATIENCE = timedelta(minutes=15)
"""How long a customer has for 3-D Secure before the order is undone, where the order does not say."""

PAYMENT_POLL = timedelta(minutes=1)
"""How often a payment that waits for its customer is looked at: webhooks are faster, but may be lost."""

RENEWAL_MARGIN = timedelta(hours=12)
"""How long before its end an authorization is renewed."""

RENEWAL_PAUSE = timedelta(days=1)
"""An authorization is not renewed more often, whatever its end is said to be."""

TIME_TO_CAPTURE = timedelta(hours=2)
"""From the moment when an order may ship to its capture: an authorization that lasts longer is not renewed."""

KEEP_CARD_BEYOND = timedelta(days=2)
"""An order that waits longer than this for its shipment asks its customer to keep the card, for renewals."""

HOLD_POLL = timedelta(hours=6)
"""How often a payment on hold, or one whose authorization cannot be renewed, is looked at: webhooks may be lost."""

NO_SCAN_AFTER = timedelta(days=3)
"""How long a parcel may wait for its first scan before a person is called; seen at a tracking poll."""

TRACKING_POLL = timedelta(hours=6)
"""How often the carrier is asked for a parcel: its webhooks are faster, but may be lost."""
