"""What a process tells about itself, begun once at its entry point: logs, the Temporal SDK's metrics, traces."""

from __future__ import annotations

import logging

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from adapters.settings import Settings
from adapters.telemetry import tracing
from adapters.telemetry.logs import CORE, configure_logs

CONFIRMED_AFTER = "ordersaga_checkout_to_confirmed_seconds"
SHIPPED_AFTER = "ordersaga_checkout_to_shipped_seconds"
WEBHOOK_LAG = "ordersaga_webhook_lag_seconds"
PUBLISH_LAG = "ordersaga_publish_lag_seconds"
CONSUMER_DELAY = "ordersaga_consumer_delay_seconds"

HOUR, DAY = 3600.0, 86_400.0
BUCKETS = {
    CONFIRMED_AFTER: [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0],
    SHIPPED_AFTER: [60.0, 600.0, HOUR, 4 * HOUR, 12 * HOUR, DAY, 2 * DAY, 3 * DAY, 5 * DAY, 7 * DAY, 14 * DAY],
    CONSUMER_DELAY: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 300.0],
    WEBHOOK_LAG: [0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0],
    PUBLISH_LAG: [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, HOUR],
}


def start(settings: Settings, service: str, metrics_port: int) -> None:
    """Takes over the process: its loggers, and what every client and worker in it reports.

    Raises RuntimeError when the metrics port cannot be had.
    """
    configure_logs(settings.log_level, settings.log_format)
    Runtime.set_default(create_runtime(settings.metrics_host, metrics_port))
    tracing.start(settings, service)


def create_runtime(host: str, port: int) -> Runtime:
    """The SDK's native part, with metrics at its own port unless that is 0. Raises RuntimeError for a taken one."""
    native_lines = LogForwardingConfig(
        logging.getLogger(CORE),
        append_target_to_name=False,
        prepend_target_on_message=False,
        append_log_fields_to_message=False,
    )
    logs = LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=native_lines)
    if not port:
        return Runtime(telemetry=TelemetryConfig(logging=logs))
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    metrics = PrometheusConfig(
        bind_address=address,
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides=BUCKETS,
    )
    try:
        return Runtime(telemetry=TelemetryConfig(logging=logs, metrics=metrics, attach_service_name=False))
    except ValueError as error:
        raise RuntimeError(f"no metrics at {address}: {error}") from None
