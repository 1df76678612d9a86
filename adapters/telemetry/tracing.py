"""OpenTelemetry traces of request, workflow and steps, where a collector is configured.

Where none is, every function here does nothing and imports nothing: a thread, some megabytes and a tenth of a second
at the start are worth it only to those who read traces. One per process, as OpenTelemetry's own context is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from adapters.settings import Settings

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext
    from temporalio.contrib.opentelemetry import TracingInterceptor

LAST_WORDS = 2.0  # seconds at the end of the process for a collector that may not answer
UNTRACED = frozenset(["/healthz", "/readyz", "/metrics"])  # asked every few seconds by machines


class _Tracing(NamedTuple):
    provider: TracerProvider
    interceptor: TracingInterceptor
    span_context: Callable[[], SpanContext]


_tracing: _Tracing | None = None


def start(settings: Settings, service: str) -> None:
    """Traces this process from now on as `ordersaga-<service>`; without `otlp_endpoint` nothing is traced.

    The SDK's usual variables hold as well: OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER and so on.
    """
    global _tracing
    if not settings.otlp_endpoint:
        return
    from opentelemetry import propagate, trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    from temporalio.contrib.opentelemetry import TracingInterceptor

    # Without baggage: it is free text of the client's, which would be stored in every workflow's history.
    propagator = TraceContextTextMapPropagator()
    propagate.set_global_textmap(propagator)
    names = {"service.name": f"ordersaga-{service}", "service.namespace": "ordersaga"}
    provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
    address = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)))
    interceptor = TracingInterceptor(provider.get_tracer("ordersaga"))
    interceptor.text_map_propagator = propagator
    _tracing = _Tracing(provider, interceptor, lambda: trace.get_current_span().get_span_context())


def stop() -> None:
    """Sends what was not sent yet, unless that takes too long."""
    global _tracing
    if _tracing is None:
        return
    # The SDK's own end waits half a minute for a dead collector, while whoever stops us waits ten seconds.
    last = threading.Thread(target=_tracing.provider.shutdown, daemon=True)
    last.start()
    last.join(LAST_WORDS)
    _tracing = None


def interceptors() -> list[TracingInterceptor]:
    """For a Temporal client: they trace its calls, and what the workers of that client run."""
    return [_tracing.interceptor] if _tracing else []


def of_requests() -> TelemetryConfig:
    """For FastAPI's own telemetry: a span for every request, or going on with the client's (`traceparent`).

    Its span holds neither headers nor the client's address. Its logs stay off: they would quote whole exceptions.
    """
    return {
        "tracing": _tracing is not None,
        "tracer_provider": _tracing.provider if _tracing else None,
        "operation_spans": False,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
        "exclude": lambda scope: scope["path"] in UNTRACED,
    }


def traceparent() -> str | None:
    """The current span as a W3C `traceparent`, to be stored with an event; None where nothing is traced."""
    context = _context()
    if context is None:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def ids() -> dict[str, str]:
    """`trace_id` and `span_id` for a log line."""
    context = _context()
    if context is None:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def _context() -> SpanContext | None:
    if _tracing is None:
        return None
    context = _tracing.span_context()
    return context if context.is_valid else None
