"""The shape of log lines, whoever says them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from temporalio import activity, workflow

from adapters.telemetry.logs import OURS, UVICORN, configure_logs

Configure = Callable[..., Callable[[], list[dict[str, Any]]]]


@pytest.fixture
def configure() -> Iterator[Configure]:
    """Takes over the logs as a process does, and hands back the lines so far; afterwards all is as it was."""
    loggers = [logging.getLogger(name) for name in ("", *OURS, *UVICORN, "httpx", "stripe")]
    before = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    for name in UVICORN:  # as in a new process, whatever servers ran in this one before
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.handlers[:], logger.propagate = [], True
    structured, about = structlog.get_config(), (activity.logger, workflow.logger)
    said: Any = (about[0].activity_info_on_message, about[1].workflow_info_on_message)

    def start(**options: str) -> Callable[[], list[dict[str, Any]]]:
        stream = io.StringIO()
        configure_logs(**options, stream=stream)
        if options.get("form") == "console":
            return lambda: [{"text": line} for line in stream.getvalue().splitlines()]
        return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]

    yield start
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers[:], logger.propagate = handlers, propagate
    structlog.configure(**structured)
    about[0].activity_info_on_message, about[1].workflow_info_on_message = said


def test_our_lines_and_those_of_libraries_have_one_shape(configure: Configure) -> None:
    """What reads the log need not know who wrote a line."""
    lines = configure()
    structlog.get_logger("api.orders.checkout").info("checkout", order_id="a1")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received from %s.", "somebody")

    ours, theirs = lines()
    assert (ours["event"], ours["logger"], ours["level"], ours["order_id"]) == (
        "checkout",
        "api.orders.checkout",
        "info",
        "a1",
    )
    assert (theirs["event"], theirs["level"]) == ("Invalid HTTP request received from somebody.", "warning")
    assert ours.keys() - {"order_id"} == theirs.keys()


def test_debug_is_for_our_own_lines_only(configure: Configure) -> None:
    """Beyond info, libraries quote headers, parameters and bodies."""
    lines = configure(level="debug")
    structlog.get_logger("api.orders.checkout").debug("ours")
    for library in ("httpcore.http11", "sqlalchemy.engine", "asyncio", "stripe", "httpx"):
        logging.getLogger(library).debug("theirs")
    logging.getLogger("some.library").info("theirs, but harmless")

    assert [line["event"] for line in lines()] == ["ours", "theirs, but harmless"]


def test_a_higher_level_quiets_everybody(configure: Configure) -> None:
    """`warning` leaves out the story of orders that go well."""
    lines = configure(level="warning")
    for name in ("api.orders.checkout", "uvicorn.error"):
        logging.getLogger(name).info("all is well")
        structlog.get_logger(name).info("all is well")
        logging.getLogger(name).warning("not quite")

    assert [line["event"] for line in lines()] == ["not quite", "not quite"]


def test_an_error_comes_with_its_traceback_in_one_line(configure: Configure) -> None:
    """A traceback over many lines is many log entries to whatever collects them."""
    lines = configure()
    try:
        raise ZeroDivisionError("of nothing")
    except ZeroDivisionError:
        structlog.get_logger("worker").exception("broken")
        logging.getLogger("temporalio.worker").exception("broken too")

    for line in lines():
        assert line["exception"].startswith("Traceback")
        assert line["exception"].endswith("ZeroDivisionError: of nothing")


@pytest.mark.parametrize(
    ("attribute", "details"),
    [
        ("temporal_activity", {"activity_type": "ship_order", "attempt": 3, "workflow_id": "order-a1"}),
        ("temporal_workflow", {"workflow_type": "OrderFulfillment", "run_id": "r", "workflow_id": "order-a1"}),
    ],
)
def test_what_the_sdk_knows_of_the_order_is_in_fields(
    configure: Configure, attribute: str, details: dict[str, Any]
) -> None:
    """A step or a workflow task that fails names its order, although the SDK knows of none."""
    lines = configure()
    logging.getLogger("temporalio.activity").warning("failed", extra={attribute: details})

    (line,) = lines()
    assert (line["event"], line["order_id"], line["workflow_id"]) == ("failed", "a1", "order-a1")
    assert line.get("step") == details.get("activity_type")
    assert line.get("attempt") == details.get("attempt")


def test_workflows_that_carry_no_order_name_none(configure: Configure) -> None:
    """A scheduled reconciliation is about many."""
    lines = configure()
    logging.getLogger("temporalio.workflow").warning(
        "failed", extra={"temporal_workflow": {"workflow_id": "reconciliation"}}
    )

    assert "order_id" not in lines()[0]


def test_an_access_line_has_neither_address_nor_query(configure: Configure) -> None:
    """Who asked, and for whom, is personal data."""
    logger = logging.getLogger("uvicorn.access")
    logger.addHandler(logging.NullHandler())  # as uvicorn configures it
    logger.propagate = False
    lines = configure()
    path = "/api/orders?customerId=zephyrine"
    logger.info('%s - "%s %s HTTP/%s" %d', "203.0.113.7:4242", "GET", path, "1.1", 200)

    (line,) = lines()
    assert (line["event"], line["method"], line["path"], line["status"]) == ("request", "GET", "/api/orders", 200)
    assert "203.0.113.7" not in str(line)
    assert "zephyrine" not in str(line)


def test_access_lines_that_were_turned_off_stay_off(configure: Configure) -> None:
    """`--no-access-log` leaves the logger without a handler, and uvicorn asks just that before every request."""
    logger = logging.getLogger("uvicorn.access")
    logger.handlers[:], logger.propagate = [], False
    configure()

    assert not logger.hasHandlers()


def test_card_numbers_are_masked(configure: Configure) -> None:
    """Wherever in a line, also in a traceback; what is an id stays whole."""
    lines = configure()
    card, log = "4242 4242 4242 4242", structlog.get_logger("worker")
    try:
        raise ValueError(f"card {card}")
    except ValueError:
        log.exception(f"said {card}", words=[{"why": card}], order_id=card)
    logging.getLogger("httpx").warning("told %s", card)
    first, second = lines()
    masked = "•••• •••• •••• 4242"
    assert (first["event"], first["words"], second["event"]) == (
        f"said {masked}",
        [{"why": masked}],
        f"told {masked}",
    )
    assert f"card {masked}" in first["exception"] and card not in first["exception"]
    assert first["order_id"] == card


def test_the_console_form_is_for_people(configure: Configure) -> None:
    """The same fields, without braces."""
    lines = configure(form="console")
    structlog.get_logger("worker").info("worker started", task_queue="orders")

    (line,) = lines()
    assert "worker started" in line["text"]
    assert "task_queue=orders" in line["text"]
    assert "{" not in line["text"]
