"""What the worker counts: attempts and failures by step, how orders ended, and how long customers and parcels took.

All of it goes through the Temporal SDK's meter to the worker's Prometheus port, with the SDK's own metrics;
`docs/metrics.md` explains each. A count follows its commit, and a repeat of a step commits nothing, so nothing is
counted twice; a worker that dies in between counts nothing.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import structlog
from temporalio import activity
from temporalio.common import MetricMeter
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from adapters.clock import now
from adapters.telemetry.runtime import CONFIRMED_AFTER, SHIPPED_AFTER
from domain.commands import CloseOrder
from domain.errors import Misconfigured, OnItsWay, OurFault, TryAgain
from domain.order_states import FINAL, OrderStatus
from domain.recovery import NEVER_STARTED, RECOVERED
from services.orders.tables import Order

UNDOS = frozenset(["release_inventory", "return_payment", "cancel_shipment", "confirm_void"])
BOOKS = ("orders", "stock", "payments")
FAR_STEPS = (
    "authorize_payment", "check_payment", "keep_authorization", "capture_payment", "send_refund", "follow_refund",
    "ship_order", "check_shipment",
)  # fmt: skip

log = structlog.get_logger(__name__)


class StepMetrics(Interceptor):
    """Counts each attempt of a worker. Must be the outermost, so that failures come with the codes that we gave."""

    def __init__(self, meter: MetricMeter) -> None:
        self.steps = meter.create_counter("ordersaga_step_attempts", "Attempts of steps that are no undo")
        self.step_failures = meter.create_counter("ordersaga_step_failures", "Those that were refused or failed")
        self.undos = meter.create_counter("ordersaga_undo_attempts", "Attempts of undos")
        self.undo_failures = meter.create_counter("ordersaga_undo_failures", "Those that failed, or have to wait")
        self.closed = meter.create_counter("ordersaga_orders_closed", "Orders that reached their end")
        self.confirmed_after = meter.create_histogram_float(
            CONFIRMED_AFTER, "From the checkout to the customer's confirmation"
        )
        self.shipped_after = meter.create_histogram_float(
            SHIPPED_AFTER, "From the checkout to the carrier's first scan"
        )
        self.recovered = meter.create_counter("ordersaga_orders_recovered", "Orders that nobody looked after")
        self.drifts = meter.create_counter("ordersaga_drifts_found", "Differences between books, at each comparison")
        self.missed = meter.create_counter("ordersaga_events_missed", "Events of Stripe that were never delivered")
        self.reconciled = meter.create_counter("ordersaga_reconciliations", "Comparisons of all books, at their end")
        self.stopped = meter.create_counter("ordersaga_reconciliations_stopped", "Those that would undo too much")
        self._begin()

    def _begin(self) -> None:
        """Series that begin at 0: Prometheus sees no increase in one that begins at 1."""
        for step in UNDOS:
            self.undos.add(0, {"step": step})
            for waits in (TryAgain, OnItsWay):
                self.undo_failures.add(0, {"step": step, "code": waits.code})
        for step in FAR_STEPS:
            for fault in (Misconfigured, OurFault):
                self.step_failures.add(0, {"step": step, "code": fault.code})
        for outcome, code in (("delivered", ""), ("canceled", "canceled"), ("rejected", "out_of_stock")):
            self.closed.add(0, {"outcome": outcome, "code": code})
        for code in (RECOVERED, NEVER_STARTED):
            self.recovered.add(0, {"code": code})
        for book in BOOKS:
            self.drifts.add(0, {"book": book})
        self.missed.add(0)
        self.reconciled.add(0)
        self.stopped.add(0)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Called by the SDK for each attempt."""
        return _Counted(next, self)

    def reached(self, row: Order, status: OrderStatus, code: str) -> None:
        """Counts a new status of an order; `code` says why an order ended that was undone."""
        age = (now() - row.created_at).total_seconds()
        if status is OrderStatus.CONFIRMED:
            self.confirmed_after.record(age)
        elif status is OrderStatus.SHIPPED:
            self.shipped_after.record(age)
        elif status in FINAL:
            self.closed.add(1, {"outcome": status.lower(), "code": code})


class _Counted(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, metrics: StepMetrics) -> None:
        super().__init__(next)
        self._metrics = metrics

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        step, metrics = activity.info().activity_type, self._metrics
        undo = step in UNDOS
        (metrics.undos if undo else metrics.steps).add(1, {"step": step})
        _running.set((metrics, input.args[0] if input.args else None))  # this attempt's context is its own
        try:
            return await super().execute_activity(input)
        except Exception as error:
            failures = metrics.undo_failures if undo else metrics.step_failures
            failures.add(1, {"step": step, "code": _code(error)})
            raise


_running: ContextVar[tuple[StepMetrics, Any] | None] = ContextVar("running", default=None)


def order_reached(row: Order, status: OrderStatus) -> None:
    """For the order book: an order has a new status, and that is committed."""
    log.info("order reached", order_id=row.order_id, status=status.value)
    running = _running.get()
    if running is not None:
        metrics, command = running
        metrics.reached(row, status, command.code if isinstance(command, CloseOrder) else "")


def recovered(code: str) -> None:
    """Counts a recovery that was started; `code` is RECOVERED or NEVER_STARTED."""
    if (running := _running.get()) is not None:
        running[0].recovered.add(1, {"code": code})


def reconciled() -> None:
    """Counts a comparison of all books that came to its end."""
    if (running := _running.get()) is not None:
        running[0].reconciled.add(1)


def reconciliation_stopped() -> None:
    """Counts a comparison that stopped itself, since it would have undone too many orders."""
    if (running := _running.get()) is not None:
        running[0].stopped.add(1)


def drifts_found(book: str, count: int) -> None:
    """Counts the differences that one comparison has found; `book` is one of BOOKS."""
    if (running := _running.get()) is not None:
        running[0].drifts.add(count, {"book": book})


def events_missed(count: int) -> None:
    """Counts events of Stripe that were found in its list, and were never delivered."""
    if (running := _running.get()) is not None:
        running[0].missed.add(count)


def _code(error: Exception) -> str:
    return (isinstance(error, ApplicationError) and error.type) or type(error).__name__
