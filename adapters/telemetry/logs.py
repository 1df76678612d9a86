"""Structured logs: one JSON object a line, with the order's id and never with personal data.

Our lines and those of the libraries go to standard error in the same shape. A line about an order carries `order_id`,
one that a request caused its `request_id`, and one inside a trace `trace_id` and `span_id`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from temporalio import activity, workflow

from adapters.telemetry import tracing
from adapters.temporal.client import order_of
from domain.card_numbers import all_masked

Line = MutableMapping[str, Any]

OURS = ("activities", "adapters", "api", "domain", "engine", "events", "services", "workflows", "worker", "__main__")
ONE_PER_REQUEST = ("httpx", "stripe")  # a line per request says nothing that a step's does not
UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access")
CORE = "temporalio.core"  # the Temporal SDK's native part


def configure_logs(level: str = "info", form: str = "json", stream: TextIO | None = None) -> None:
    """Takes over every logger of the process. `level` is that of our own lines, `form` is json or console.

    Libraries never say more than `info`: beyond that they quote headers, parameters and bodies.
    """
    wanted = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(wanted),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[_add_details, _add_order, *_rendering(form, handler.stream)],
            foreign_pre_chain=shared,
            pass_foreign_args=True,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(wanted, logging.INFO))
    for name in OURS:
        logging.getLogger(name).setLevel(wanted)
    for name in ONE_PER_REQUEST:
        logging.getLogger(name).setLevel(logging.WARNING)
    _take_over_libraries()


def _take_over_libraries() -> None:
    for name in UVICORN:
        logger = logging.getLogger(name)
        if logger.handlers:  # without any, uvicorn was told to be quiet, and takes a handler for the opposite
            logger.handlers[:] = []
            logger.propagate = True
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False


def _rendering(form: str, stream: Any) -> list[structlog.typing.Processor]:
    if form == "console":
        return [_drop_meta, _mask_cards, structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    return [_drop_meta, structlog.processors.format_exc_info, _mask_cards, structlog.processors.JSONRenderer()]


def _add_trace(logger: Any, method: str, line: Line) -> Line:
    line.update(tracing.ids())
    return line


def _add_details(logger: Any, method: str, line: Line) -> Line:
    """What a library's record says besides its message, as fields."""
    record = line["_record"]
    arguments = line.pop("positional_args", None)
    if record.name == "uvicorn.access" and isinstance(arguments, tuple) and len(arguments) == 5:
        _, http_method, path, _, status = arguments  # without the client's address: that is personal data
        line.update(event="request", method=http_method, path=path.partition("?")[0], status=status)
    for attribute in ("temporal_activity", "temporal_workflow"):
        said = getattr(record, attribute, None) or {}
        known = {"step": "activity_type", "attempt": "attempt", "workflow_id": "workflow_id", "run_id": "run_id"}
        line.update({field: said[name] for field, name in known.items() if name in said})
    native = getattr(record, "temporal_log", None)
    if native is not None:
        line.update({name: value for name, value in native.fields.items() if name not in line})
    return line


def _add_order(logger: Any, method: str, line: Line) -> Line:
    """Whoever knows the workflow knows the order."""
    if "order_id" not in line and (order_id := order_of(line.get("workflow_id"))):
        line["order_id"] = order_id
    return line


def _mask_cards(logger: Any, method: str, line: Line) -> Line:
    """Whoever quotes a person may quote a card's number; ids are not looked at."""
    for field, said in line.items():
        if not field.endswith("id") and isinstance(said, str | list | tuple | dict):
            line[field] = all_masked(said)
    return line


def _drop_meta(logger: Any, method: str, line: Line) -> Line:
    del line["_record"], line["_from_structlog"]
    return line
