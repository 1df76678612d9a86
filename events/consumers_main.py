"""All consumers of one process, put together: the relay runs them beside its own loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.common import MetricMeter

from adapters.bus.port import Broker
from adapters.bus.shared_reading import SharedReading
from adapters.event_routes import RoutesRefused, read_routes
from adapters.mail.connect import open_mailer
from adapters.mail.port import Mailer
from adapters.postgres.advisory_locks import AdvisoryLocks
from adapters.postgres.database import autocommit
from adapters.settings import Settings
from domain.routing import Wanted
from events.consumer import Consumer
from events.consumer_loop import ConsumerLoop, Meter
from events.consumers.event_archive import EventArchive
from events.consumers.merchant_webhooks import MerchantWebhooks
from events.consumers.notifications import Notifications
from events.consumers.stock_hints import StockHints
from events.mail import MailSender
from events.metrics import ConsumerMetrics
from events.row_pruning import RowPruning
from services.consumers.sequences import OldSequences
from services.notifications.old import OldMessages

NAMESPACE = 2_026  # of the advisory locks of consumers

KINDS: Sequence[type[Consumer]] = (EventArchive, Notifications, StockHints, MerchantWebhooks)
"""The consumers that there are."""


class Consumers:
    """Consumers that run inside `async with`, and the sender of what one of them notes."""

    def __init__(
        self, loops: Sequence[ConsumerLoop], sender: MailSender, locks: AdvisoryLocks, prunings: Sequence[RowPruning]
    ) -> None:
        self.loops, self._sender, self._locks, self._prunings = loops, sender, locks, prunings
        self._stack = AsyncExitStack()
        self.running: list[asyncio.Task[None]] = []  # none of them ends by itself

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._locks)
        runs = [*(loop.run for loop in self.loops), self._sender.run, *(one.run for one in self._prunings)]
        self.running = [asyncio.create_task(run()) for run in runs]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A batch that is under way is rolled back, or was committed; another process takes over at once."""
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)
        await self._stack.aclose()


def build_consumers(
    settings: Settings,
    broker: Broker,
    engine: AsyncEngine,
    *,
    meter: Meter | MetricMeter | None = None,
    mailer: Mailer | None = None,
    wake_webhooks: Callable[[], None] = lambda: None,
) -> Consumers:
    """All consumers of the shop, which do not run yet. Raises ValueError for a setting that makes no sense.

    `meter` is where they count, e.g. that of the Temporal SDK's runtime; None counts nowhere. `wake_webhooks` is
    called when there are deliveries to merchants.
    """
    locks = AdvisoryLocks(settings, NAMESPACE)
    if mailer is None:
        try:
            mailer = open_mailer(settings.mail_url.get_secret_value(), settings.mail_from)
        except ValueError as error:
            raise ValueError(f"ORDERSAGA_MAIL_URL {error}") from None
    sender = MailSender(settings, mailer, engine, locks)
    consumers: list[Consumer] = [
        EventArchive(engine),
        Notifications(sender.wake),
        StockHints(settings.stock_low),
        MerchantWebhooks(settings.webhook_log_kept, wake_webhooks),
    ]
    rules = rules_of(consumers, settings)
    counts = ConsumerMetrics(meter, rules) if meter is None or isinstance(meter, MetricMeter) else meter
    shared = SharedReading(broker)
    loops = [ConsumerLoop(one, rules[one.name], broker, engine, locks, counts, shared) for one in consumers]
    each_alone = autocommit(engine)
    prunings = [
        RowPruning("sequences", OldSequences(each_alone, settings.sequence_retention)),
        RowPruning("messages", OldMessages(each_alone, settings.message_retention)),
    ]
    return Consumers(loops, sender, locks, prunings)


def rules_of(consumers: Iterable[Consumer | type[Consumer]], settings: Settings) -> dict[str, Wanted]:
    """What each consumer gets: by the file of routes, else what it asks for. Raises RoutesRefused, with the place."""
    routes = read_routes(settings.event_routes)
    try:
        return routes.of({one.name: one.rule for one in consumers})
    except ValueError as error:
        raise RoutesRefused(f"{settings.event_routes}: consumers: {error}") from None
