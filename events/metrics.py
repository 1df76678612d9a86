"""What a relay and its consumers count; it goes through the Temporal SDK's meter to the relay's Prometheus port."""

from __future__ import annotations

from temporalio.common import MetricMeter

from adapters.clock import now
from adapters.telemetry.runtime import CONSUMER_DELAY, WEBHOOK_LAG
from events.consumer_batches import Done
from events.consumer_stream import Rewound


class RelayMetrics:
    def __init__(self, meter: MetricMeter) -> None:
        words = "From a webhook event's arrival until it was followed up"
        self._lag = meter.create_histogram_float(WEBHOOK_LAG, words)

    def followed_up(self, source: str, seconds: float) -> None:
        """Counts one event of `source`."""
        self._lag.record(seconds, {"source": source})


class ConsumerMetrics:
    """What consumers count; without a meter nothing is counted."""

    def __init__(self, meter: MetricMeter | None) -> None:
        meter = meter or MetricMeter.noop
        self._events = meter.create_counter(
            "ordersaga_consumer_events", "Events that a consumer got, by what came of it"
        )
        self._rewinds = meter.create_counter("ordersaga_consumer_rewinds", "Partitions that were read again, and why")
        self._failures = meter.create_counter("ordersaga_consumer_failures", "Batches and reads that are tried again")
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
