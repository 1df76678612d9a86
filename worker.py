"""The worker: carries out the saga's steps. `python worker.py`; SIGTERM drains it.

Exit codes: those of `adapters/process.py`, and 3 when attempts hung (`activities/interceptors/health.py`). Any number
of workers may run; what a worker that dies was doing is done by another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.common import MetricMeter, VersioningBehavior, WorkerDeploymentVersion
from temporalio.runtime import Runtime
from temporalio.worker import Interceptor, UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig, WorkflowRunner

from activities.brake.brake import Brakes
from activities.interceptors.attempts import Attempts
from activities.interceptors.failures import FailureTranslation
from activities.interceptors.health import HUNG, WorkerHangs, WorkerHealth
from activities.interceptors.heartbeats import INTERVAL, Heartbeats
from activities.interceptors.metrics import StepMetrics, order_reached
from activities.interceptors.our_faults import OurFaults, order_opened
from activities.inventory.inventory import Inventory
from activities.orders.orders import Orders
from activities.payments.payments import Payments
from activities.recovery.book_comparison import BookComparison
from activities.recovery.missed_events import MissedEvents
from activities.recovery.reconciliation import Reconciliations
from activities.recovery.recovery import Recoveries
from activities.refunds.refunds import Refunds
from activities.shipping.labels import Shipping, VoidRules
from activities.shipping.parcels import Parcels
from activities.texts.texts import Texts
from activities.tickets.tickets import Tickets
from adapters.carrier.gateway import CarrierGateway
from adapters.postgres import reachability
from adapters.postgres.database import create_engine, create_sessions, dispose
from adapters.postgres.hints import Hints
from adapters.process import BROKE, exit_code, leave, told_to_stop
from adapters.settings import Settings
from adapters.stripe.connection import StripeConnection
from adapters.stripe.lists import StripeLists
from adapters.stripe.payments import StripeGateway
from adapters.stripe.refunds import RefundGateway
from adapters.telemetry import health_page
from adapters.temporal import client as temporal
from adapters.temporal.namespace import check_search_attributes
from adapters.temporal.schedules import ensure_schedules
from services.brake.brake import BrakeRule
from services.identities.actors import Actors
from services.orders.book import OrderBook
from services.orders.hints import hinting
from services.refunds.foreign import RefundBooking
from workflows.order import search_attributes
from workflows.order_fulfillment import OrderFulfillment
from workflows.order_recovery import OrderRecovery
from workflows.order_refund import OrderRefund
from workflows.pinned import PinnedReconciliation, PinnedStripeEvents
from workflows.reconciliation import Reconciliation, StripeEvents

log = structlog.get_logger("worker")

WORKFLOWS: tuple[type, ...] = (OrderFulfillment, OrderRecovery, OrderRefund, Reconciliation, StripeEvents)
VERSIONED: tuple[type, ...] = (OrderFulfillment, OrderRecovery, OrderRefund, PinnedReconciliation, PinnedStripeEvents)
STICKY_TIMEOUT = timedelta(seconds=1)  # how long a dead worker's orders wait before another one takes them


@dataclass
class Activities:
    """Every activity of the saga, with the clients that they share."""

    inventory: Inventory
    payments: Payments
    shipping: Shipping
    parcels: Parcels
    orders: Orders
    tickets: Tickets
    refunds: Refunds
    recoveries: Recoveries
    reconciliations: Reconciliations
    comparison: BookComparison
    missed_events: MissedEvents
    texts: Texts
    brakes: Brakes
    book: OrderBook
    engine: AsyncEngine  # of all of them

    def interceptors(self) -> list[Interceptor]:
        """What stands around each attempt, next to it."""
        return [OurFaults(self.book)]

    def methods(self) -> list[object]:
        return [
            self.inventory.reserve_inventory,
            self.inventory.release_inventory,
            self.payments.authorize_payment,
            self.payments.check_payment,
            self.payments.keep_authorization,
            self.payments.capture_payment,
            self.payments.return_payment,
            self.shipping.ship_order,
            self.shipping.cancel_shipment,
            self.shipping.confirm_void,
            self.parcels.check_shipment,
            self.parcels.record_shipped,
            self.parcels.record_delivered,
            self.orders.may_ship_now,
            self.orders.record_cancel_request,
            self.orders.record_cancel_refusal,
            self.orders.close_order,
            self.tickets.open_ticket,
            self.tickets.close_tickets,
            self.refunds.send_refund,
            self.refunds.follow_refund,
            self.tickets.resolve_ticket,
            self.recoveries.look_at_order,
            self.reconciliations.look_at_orders,
            self.comparison.look_at_ended_orders,
            self.comparison.compare_stock,
            self.comparison.compare_payments,
            self.missed_events.list_missed_events,
            self.texts.keep_text,
            self.brakes.ask_brake,
        ]


@asynccontextmanager
async def build_activities(settings: Settings) -> AsyncIterator[Activities]:
    """The activities over real clients, which are closed at the end."""
    engine, actors = create_engine(settings), Actors(settings.service_secret)
    stripe, carrier = StripeConnection(settings), CarrierGateway(settings)
    refunds, lists = RefundGateway(stripe), StripeLists(stripe)
    sessions = create_sessions(engine)
    hints = Hints(engine)
    book = OrderBook(sessions, order_reached, order_opened, hinting(hints))
    reconciliations = Reconciliations(sessions, book)
    try:
        yield Activities(
            Inventory(book),
            Payments(book, StripeGateway(stripe), refunds, actors),
            Shipping(book, carrier, VoidRules(settings.void_settles == "accepted", settings.void_patience)),
            Parcels(book, carrier),
            Orders(book, actors),
            Tickets(book, actors),
            Refunds(book, refunds),
            Recoveries(book),
            reconciliations,
            BookComparison(sessions, book, lists, RefundBooking(book, refunds), reconciliations),
            MissedEvents(sessions, lists),
            Texts(sessions),
            Brakes(sessions, BrakeRule.of(settings), settings.fault_retry),
            book,
            engine,
        )
    finally:
        await carrier.aclose()
        await stripe.aclose()
        await hints.aclose()
        await dispose(engine)


def workflow_runner() -> WorkflowRunner:
    """How workflows run in production, for the replay of histories too.

    The SDK's sandbox guards only code that it loads itself, anew for every order. Ours was passed through;
    tests guard it instead (docs/decisions/0025-fewer-events.md).
    """
    return UnsandboxedWorkflowRunner()


def deployment(settings: Settings) -> WorkerDeploymentConfig | None:
    """Which version of the code this worker is: a workflow that is not pinned moves on to the current one."""
    if not settings.build_id:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(settings.deployment_name, settings.build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


def build_worker(
    client: Client,
    settings: Settings,
    activities: Activities,
    *,
    attempts: Attempts | None = None,
    interceptors: Sequence[Interceptor] = (),
    workflows: Sequence[type] = (),
) -> Worker:
    """The one place where a worker is put together, for production and tests alike."""
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=workflows or (VERSIONED if settings.build_id else WORKFLOWS),
        activities=activities.methods(),  # type: ignore[arg-type]
        interceptors=[
            attempts or Attempts(settings.worker_hung_after),
            StepMetrics(meter_of(client)),
            FailureTranslation(settings.fault_retry),
            Heartbeats(grace=timedelta(seconds=settings.worker_shutdown_grace)),
            *activities.interceptors(),
            *interceptors,
        ],
        workflow_runner=workflow_runner(),
        deployment_config=deployment(settings),
        max_heartbeat_throttle_interval=INTERVAL,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=timedelta(seconds=settings.worker_shutdown_grace),
        max_concurrent_activities=settings.worker_max_concurrent_activities,
        max_concurrent_local_activities=settings.worker_max_concurrent_local_activities,
        max_concurrent_workflow_tasks=settings.worker_max_concurrent_workflow_tasks,
        max_cached_workflows=settings.worker_max_cached_workflows,
    )


def meter_of(client: Client) -> MetricMeter:
    """Where the SDK counts what this client and its workers do; nowhere, unless a metrics port is set."""
    return (client.service_client.config.runtime or Runtime.default()).metric_meter


async def run(settings: Settings) -> None:
    stop = told_to_stop()
    client = await temporal.connect(settings)
    await check_search_attributes(client, [key.name for key in search_attributes.ALL])
    await ensure_schedules(client, settings)
    attempts = Attempts(settings.worker_hung_after)
    async with build_activities(settings) as activities:
        health = WorkerHealth(
            attempts,
            lambda: reachability.parts(activities.engine, client),
            lambda: reachability.takes_a_new_connection(settings),
            every=settings.worker_hung_after / 6,  # so that three looks in a row take half as long again
        )
        async with (
            health_page.served(settings.worker_health_host, settings.worker_health_port, health.pages),
            build_worker(client, settings, activities, attempts=attempts),
        ):
            log.info("worker started", task_queue=settings.task_queue, temporal=settings.temporal_address)
            await health.watch_until(stop, settings.worker_shutdown_grace)
            log.info("worker drains", grace_seconds=settings.worker_shutdown_grace)
    log.info("worker stopped")


def main() -> int:
    def of_error(error: Exception) -> int:
        return HUNG if isinstance(error, WorkerHangs) else BROKE

    return exit_code("worker", run, lambda settings: settings.metrics_port, of_error)


if __name__ == "__main__":
    leave(main())
