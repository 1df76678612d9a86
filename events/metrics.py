"""What a relay counts; it goes through the Temporal SDK's meter to the relay's Prometheus port."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio.common import MetricMeter

from adapters.telemetry.runtime import PUBLISH_LAG, WEBHOOK_LAG


class RelayMetrics:
    def __init__(self, meter: MetricMeter) -> None:
        words = "From a webhook event's arrival until it was followed up"
        self._lag = meter.create_histogram_float(WEBHOOK_LAG, words)
        words = "Webhook events that left the inbox, long after they were followed up"
        self._pruned = meter.create_counter("ordersaga_webhooks_pruned", words)
        words = "From what an event tells until the broker's acknowledgment was noted"
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
