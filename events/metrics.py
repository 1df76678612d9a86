"""What a relay counts; it goes through the Temporal SDK's meter to the relay's Prometheus port."""

from __future__ import annotations

from temporalio.common import MetricMeter

from adapters.telemetry.runtime import WEBHOOK_LAG


class RelayMetrics:
    def __init__(self, meter: MetricMeter) -> None:
        words = "From a webhook event's arrival until it was followed up"
        self._lag = meter.create_histogram_float(WEBHOOK_LAG, words)
        words = "Webhook events that left the inbox, long after they were followed up"
        self._pruned = meter.create_counter("ordersaga_webhooks_pruned", words)
        self._pruned.add(0)  # shown from the start: it may take a month until one leaves

    def followed_up(self, source: str, seconds: float) -> None:
        """Counts one event of `source`."""
        self._lag.record(seconds, {"source": source})

    def pruned(self, events: int) -> None:
        """Counts events that left the inbox."""
        self._pruned.add(events)
