"""Sends what the consumer of merchants' webhooks has noted: several endpoints at once, each subject in its order.

Any number of relays may run. A delivery is claimed and committed before it is sent, and its end is written after:
what a crash leaves in between is sent once more, under the same id, when its lease is over.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.clock import now
from adapters.postgres.database import autocommit, create_sessions
from adapters.settings import Settings
from adapters.webhooks.sender import WebhookSender
from domain.merchant_webhooks import Patience
from domain.webhook_signatures import signed_headers
from events.metrics import DeliveryMetrics
from events.pace import Pace
from services.merchant_webhooks import deliveries, endpoints, outcomes
from services.merchant_webhooks.deliveries import Claimed
from services.merchant_webhooks.outcomes import Outcome

MOST = 1000  # deliveries under way in one process
SHORTEST, LONGEST = 0.02, 1.0  # seconds between two looks for deliveries
TOGETHER = 0.003  # seconds in which deliveries end whose followers are claimed together
SLACK = 15.0  # seconds of a lease on top of the time for a try, for what the database takes
DRAIN = 5.0  # seconds that tries get when the process stops
PRUNE_EVERY, PRUNE_BATCH = 3600.0, 500
STIRRED = 3  # short pauses after a wake: what it told of may be committed a moment later

log = structlog.get_logger()


class WebhookDeliveries:
    """The deliveries of one process. `run` ends when it is canceled, and gives what is under way its time."""

    def __init__(
        self,
        settings: Settings,
        engine: AsyncEngine,
        sender: WebhookSender,
        metrics: DeliveryMetrics | None = None,
        *,
        slack: float = SLACK,
    ) -> None:
        """`slack`: seconds after a try's time within which it has to be noted, before others may take it over."""
        self._sender, self._metrics = sender, metrics or DeliveryMetrics(None)
        self._each_on_its_own, self._sessions = autocommit(engine), create_sessions(engine)
        self._patience = Patience(settings.webhook_window, settings.webhook_failures)
        self._each, self._kept = settings.webhook_concurrency, settings.webhook_log_kept
        self._lease = timedelta(seconds=settings.webhook_timeout + slack)
        self._name = f"relay-{secrets.token_hex(8)}"
        self._pace, self._stirred = Pace(SHORTEST, LONGEST), 0
        self._busy: Counter[str] = Counter()  # deliveries under way by endpoint
        self._tasks: dict[int, asyncio.Task[None]] = {}  # by delivery

    def wake(self) -> None:
        """There may be something to send."""
        self._stirred = STIRRED
        self._pace.wake()

    async def run(self) -> None:
        pruning = asyncio.create_task(self._prune_forever())
        try:
            while True:
                begun = await _guarded("webhooks_not_looked_for", self.begin_due)
                self._stirred = max(0, self._stirred - 1)
                await self._pace.pause(worked=begun > 0 or self._stirred > 0)
                await asyncio.sleep(TOGETHER)
        finally:
            pruning.cancel()
            await asyncio.gather(pruning, self._drain(), return_exceptions=True)

    async def begin_due(self) -> int:
        """Begins what is due and has room; how many. Raises what the database raises."""
        room = MOST - len(self._tasks)
        if room <= 0:
            return 0
        async with self._each_on_its_own.connect() as connection:
            claimed = await deliveries.claim(
                connection, self._name, self._busy, each=self._each, most=room, lease=self._lease
            )
        for one in claimed:
            self._busy[one.endpoint_id] += 1
            self._tasks[one.id] = asyncio.create_task(self._deliver(one))
        return len(claimed)

    async def finish(self) -> None:
        """Comes back when nothing is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _deliver(self, one: Claimed) -> None:
        try:
            headers = signed_headers(one.secrets, one.event_id, now(), one.body)
            attempt = await self._sender.send(one.url, headers, one.body)
            async with self._sessions() as session, session.begin():
                spread = random.random()  # noqa: S311  # so that repeats do not come together
                noted = await outcomes.note(session, one, attempt, self._patience, spread)
        except Exception as error:
            # It is sent once more when its lease is over.
            log.warning(
                "webhook_not_noted", endpoint=one.endpoint_id, event_id=one.event_id, error=type(error).__name__
            )
            return
        finally:
            self._end(one)
        self._metrics.done(noted.outcome)
        about = {"endpoint": one.endpoint_id, "event_id": one.event_id, "type": one.type}
        if noted.outcome is not Outcome.DELIVERED:
            told = {"outcome": noted.outcome.value, "status": attempt.status, "error": attempt.error}
            log.warning("webhook_failed", **about, **told, attempts=one.attempts)
        if noted.disabled is not None:
            log.error("webhook_endpoint_disabled", endpoint=one.endpoint_id, why=noted.disabled.value)

    def _end(self, one: Claimed) -> None:
        self._tasks.pop(one.id, None)
        self._busy[one.endpoint_id] -= 1
        if not self._busy[one.endpoint_id]:
            del self._busy[one.endpoint_id]
        self._pace.wake()  # the next one of its subject may go

    async def _drain(self) -> None:
        """Gives others at once what did not end in time."""
        if not self._tasks:
            return
        await asyncio.wait(list(self._tasks.values()), timeout=DRAIN)
        left = dict(self._tasks)
        for task in left.values():
            task.cancel()
        await asyncio.gather(*left.values(), return_exceptions=True)
        if left:
            async with self._each_on_its_own.connect() as connection:
                await deliveries.give_back(connection, self._name, left)

    async def _prune_forever(self) -> None:
        while True:
            await _guarded("webhooks_not_pruned", self.prune)
            await asyncio.sleep(PRUNE_EVERY)

    async def prune(self) -> int:
        """Deletes what is older than the log is kept; how many deliveries. Raises what the database raises."""
        left = 0
        while True:
            async with self._each_on_its_own.connect() as connection:
                batch = await deliveries.prune(connection, self._kept, PRUNE_BATCH)
                left += batch
                if not batch:
                    await endpoints.prune(connection, self._kept)
                    return left


async def _guarded(event: str, work: Callable[[], Awaitable[int]]) -> int:
    """What the work took, or 0 where it failed: it is tried again."""
    try:
        return await work()
    except Exception as error:
        log.warning(event, error=type(error).__name__)
        return 0
