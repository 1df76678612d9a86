"""What a relay and its consumers count; it goes through the Temporal SDK's meter to the relay's Prometheus port."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from temporalio.common import MetricMeter

from adapters.clock import now
from adapters.telemetry.runtime import CONSUMER_DELAY, PUBLISH_LAG, WEBHOOK_LAG
from events.consumer_batches import Done
from events.consumer_stream import Rewound
from services.merchant_webhooks.outcomes import Outcome


class RelayMetrics:
    def __init__(self, meter: MetricMeter) -> None:
        words = "From a webhook event's arrival until it was followed up"
        self._lag = meter.create_histogram_float(WEBHOOK_LAG, words)
        words = "Webhook events that left the inbox, long after they were followed up"
        self._pruned = meter.create_counter("ordersaga_webhooks_pruned", words)
        words = "From what an event tells until the broker's acknowledgment"
        self._publish_lag = meter.create_histogram_float(PUBLISH_LAG, words)
        self._refused = meter.create_counter("ordersaga_events_refused", "Events that the broker refused")
        words = "Times that an event was sent and not acknowledged, and waits to be sent again"
        self._failed = meter.create_counter("ordersaga_publish_failures", words)
        for counter in (self._pruned, self._refused, self._failed):
            counter.add(0)  # its series is there before the first one

    def followed_up(self, source: str, seconds: float) -> None:
        """Counts one event of `source`."""
        self._lag.record(seconds, {"source": source})

    def pruned(self, events: int) -> None:
        """Counts events that left the inbox."""
        self._pruned.add(events)

    def published(self, lags: Sequence[float]) -> None:
        """Counts events, each with the seconds that it took."""
        for lag in lags:
            self._publish_lag.record(lag)

    def refused(self) -> None:
        """Counts an event that is parked."""
        self._refused.add(1)

    def failed(self, number: int) -> None:
        """Counts events of a turn that the broker did not take."""
        self._failed.add(number)


class ConsumerMetrics:
    """What consumers count; without a meter nothing is counted."""

    def __init__(self, meter: MetricMeter | None, consumers: Collection[str] = ()) -> None:
        meter = meter or MetricMeter.noop
        self._events = meter.create_counter(
            "ordersaga_consumer_events", "Events that a consumer got, by what came of it"
        )
        self._rewinds = meter.create_counter("ordersaga_consumer_rewinds", "Partitions that were read again, and why")
        self._failures = meter.create_counter("ordersaga_consumer_failures", "Batches and reads that are tried again")
        for name in consumers:  # their series are there before the first one
            self._failures.add(0, {"consumer": name})
        self._delay = meter.create_histogram_float(
            CONSUMER_DELAY, "From the broker's taking an event until its effect"
        )

    def done(self, consumer: str, done: Done) -> None:
        for outcome, count in (
            ("applied", len(done.applied)),
            ("repeat", done.repeats),
            ("parked", len(done.parked)),
        ):
            if count:
                self._events.add(count, {"consumer": consumer, "outcome": outcome})
        at = now()
        for one in done.applied:
            if one.at is not None:
                self._delay.record(max(0.0, (at - one.at).total_seconds()), {"consumer": consumer})

    def rewound(self, consumer: str, why: Rewound) -> None:
        self._rewinds.add(1, {"consumer": consumer, "why": why.value})

    def failed(self, consumer: str) -> None:
        self._failures.add(1, {"consumer": consumer})


class DeliveryMetrics:
    """What the deliveries to merchants count; without a meter nothing is counted."""

    def __init__(self, meter: MetricMeter | None) -> None:
        words = "Tries of webhooks to merchants, by what came of them"
        self._tries = (meter or MetricMeter.noop).create_counter("ordersaga_merchant_deliveries", words)
        for outcome in Outcome:  # their series are there before the first one
            self._tries.add(0, {"outcome": outcome.value})

    def done(self, outcome: Outcome) -> None:
        """Counts one try."""
        self._tries.add(1, {"outcome": outcome.value})
