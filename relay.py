"""The relay: runs what is nobody's request. `python relay.py`; SIGTERM drains it.

It follows up the webhooks that the API stored, deletes those that are long done with, starts refunds that were asked
for and have no workflow, publishes the events of the outbox, runs the shop's own consumers of them, and delivers
webhooks to merchants. Any number of relays may run; what one that dies had claimed is done by another. Exit codes:
`adapters/process.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.runtime import Runtime

from adapters.bus.connect import open_broker
from adapters.carrier.gateway import CarrierGateway
from adapters.postgres import reachability
from adapters.postgres.database import autocommit, create_engine, create_sessions, dispose
from adapters.postgres.hints import Hints
from adapters.postgres.partition_locks import PartitionLocks
from adapters.process import exit_code, leave, told_to_stop
from adapters.settings import Settings
from adapters.stripe.connection import StripeConnection
from adapters.stripe.customers import CustomerGateway
from adapters.stripe.payments import StripeGateway
from adapters.stripe.refunds import RefundGateway
from adapters.telemetry import health_page
from adapters.temporal.client import connect
from adapters.webhooks.sender import WebhookSender
from domain.carts import Lives
from domain.webhooks import Source
from events.audit_seals import seal_forever
from events.cart_upkeep import CartUpkeep
from events.consumers_main import build_consumers
from events.health import RelayHealth
from events.inbox import FollowedUp, FollowUp, Inbox
from events.inbox_pruning import InboxPruning
from events.limit_pruning import forget_full_forever
from events.metrics import DeliveryMetrics, RelayMetrics
from events.outbox_relay import OutboxRelay
from events.parcel_follow_up import ParcelFollowUp
from events.parked_events import ParkedEvents
from events.payment_follow_up import PaymentFollowUp
from events.privacy_upkeep import Work, keep_up_forever
from events.refund_starts import RefundSweep
from events.relay import FIRST_LOOK, Relay
from events.webhook_deliveries import WebhookDeliveries
from services.carts.upkeep import OldCarts
from services.inbox.claims import Claims
from services.inbox.pruning import OldEvents
from services.orders.book import OrderBook
from services.orders.hints import hinting
from services.outbox.waiting import LANES, Waiting
from services.privacy.at_stripe import AtStripe
from services.privacy.upkeep import work_once
from services.refunds.foreign import RefundBooking

log = structlog.get_logger("relay")


@dataclass
class RelayParts:
    """A relay that does not run yet, and the clients that it works with."""

    relay: Relay
    inbox: Inbox
    engine: AsyncEngine
    temporal: Client
    privacy: list[Work]  # on personal data, done by and by


@asynccontextmanager
async def build_relay(
    settings: Settings, followed_up: FollowedUp | None = None, first_look: float = FIRST_LOOK
) -> AsyncIterator[RelayParts]:
    """The one place where a relay is put together, for production and tests alike; its clients are closed at the end.

    It is built with PostgreSQL, Temporal and the far ends away, and begins when they are there.
    """
    async with AsyncExitStack() as stack:
        engine = create_engine(settings)
        stack.push_async_callback(dispose, engine)
        each_on_its_own = engine.execution_options(isolation_level="AUTOCOMMIT")
        temporal = await connect(settings, lazy=True)
        stripe, parcels = StripeConnection(settings), CarrierGateway(settings)
        for far_end in (stripe, parcels):
            stack.push_async_callback(far_end.aclose)
        payments, refunds = StripeGateway(stripe), RefundGateway(stripe)
        hints = Hints(engine)
        stack.push_async_callback(hints.aclose)
        book = OrderBook(create_sessions(engine), committed=hinting(hints))
        booking = RefundBooking(book, refunds)
        follow_ups: dict[str, FollowUp] = {
            Source.STRIPE: PaymentFollowUp(each_on_its_own, temporal, payments, book, booking),
            Source.CARRIER: ParcelFollowUp(each_on_its_own, temporal, parcels, book),
        }
        metrics = RelayMetrics(Runtime.default().metric_meter)
        inbox = Inbox(Claims(each_on_its_own), follow_ups, followed_up or metrics.followed_up)
        pruning = InboxPruning(OldEvents(each_on_its_own, settings.inbox_kept), metrics.pruned)
        outbox = build_outbox(settings, engine, metrics)
        sweep = RefundSweep(each_on_its_own, temporal, settings)
        relay = Relay(settings, inbox, sweep, pruning, first_look, outbox, build_cart_upkeep(settings, engine))
        yield RelayParts(relay, inbox, engine, temporal, privacy_works(settings, engine, stripe))


def privacy_works(settings: Settings, engine: AsyncEngine, stripe: StripeConnection) -> list[Work]:
    """What time does to personal data."""
    return [partial(work_once, engine), AtStripe(engine, CustomerGateway(stripe)).forget]


def build_cart_upkeep(settings: Settings, engine: AsyncEngine) -> CartUpkeep:
    """What time does to carts, by the settings."""
    lives = Lives(
        guest=settings.cart_guest_kept,
        customer=settings.cart_customer_kept,
        empty=settings.cart_empty_kept,
        abandoned=settings.cart_abandoned_after,
    )
    return CartUpkeep(OldCarts(engine, lives, settings.cart_ended_kept, settings.cart_repeats_known))


def build_outbox(settings: Settings, engine: AsyncEngine, metrics: RelayMetrics) -> OutboxRelay | None:
    """What publishes events; None where no broker is set."""
    if settings.broker_url is None:
        return None
    parked = ParkedEvents(create_sessions(engine))
    return OutboxRelay(
        Waiting(engine.execution_options(isolation_level="AUTOCOMMIT")),
        PartitionLocks(settings, "outbox", LANES),
        open_broker(settings.broker_url.get_secret_value(), settings),
        parked,
        metrics,
        settings.outbox_retention,
    )


@asynccontextmanager
async def delivering(
    settings: Settings, engine: AsyncEngine
) -> AsyncIterator[tuple[WebhookDeliveries, asyncio.Task[None]]]:
    """What delivers webhooks to merchants, and its loop, which runs inside."""
    sender = WebhookSender(timeout=settings.webhook_timeout, private=settings.webhook_private_targets)
    webhooks = WebhookDeliveries(settings, engine, sender, DeliveryMetrics(Runtime.default().metric_meter))
    running = asyncio.create_task(webhooks.run())
    try:
        yield webhooks, running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await sender.aclose()


@asynccontextmanager
async def consuming(
    settings: Settings, engine: AsyncEngine, wake_webhooks: Callable[[], None]
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """The loops of the shop's consumers, which run inside; none where no broker is set."""
    url = settings.broker_consumer_url or settings.broker_url
    if url is None:
        yield []
        return
    broker = open_broker(url.get_secret_value(), settings)
    try:
        meter = Runtime.default().metric_meter
        async with build_consumers(settings, broker, engine, meter=meter, wake_webhooks=wake_webhooks) as consumers:
            yield consumers.running
    finally:
        await broker.aclose()


async def run(settings: Settings) -> None:
    stop = told_to_stop()
    async with (
        build_relay(settings) as parts,
        delivering(settings, parts.engine) as (webhooks, sending),
        consuming(settings, parts.engine, webhooks.wake) as consumers,
        parts.relay as relay,
    ):
        health = RelayHealth(relay, lambda: reachability.parts(parts.engine, parts.temporal), settings.sweep_interval)
        async with health_page.served(settings.relay_health_host, settings.relay_health_port, health.pages):
            log.info("relay started", temporal=settings.temporal_address)
            each_alone = autocommit(parts.engine)
            upkeep = [asyncio.create_task(one(each_alone)) for one in (seal_forever, forget_full_forever)]
            upkeep.append(asyncio.create_task(keep_up_forever(parts.privacy)))
            try:
                await relay.run_until(stop, sending, *consumers, *upkeep)
            finally:
                for one in upkeep:
                    one.cancel()
            log.info("relay drains")
    log.info("relay stopped")


def main() -> int:
    return exit_code("relay", run, lambda settings: settings.relay_metrics_port)


if __name__ == "__main__":
    leave(main())
