"""What is limited, and for whom: requests by principal, cancels by order, declined cards, failed logins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

import structlog

from adapters.identities.secrets import Secret
from domain.errors import Unavailable
from domain.identities import Principal, Visible
from domain.rate_limits import Limit, Plan, Standing, neighbourhood
from services.limits.buckets import Buckets
from services.limits.limiter import Limiter, too_many

LOOK_EVERY = 1.0  # seconds between two looks for whom too many cards were declined; of all processes

log = structlog.get_logger()


class Limits:
    """Of one process; `secret` makes keys of names, so that the table holds neither names nor addresses."""

    def __init__(
        self,
        plan: Plan,
        buckets: Buckets,
        limiter: Limiter,
        secret: Secret,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan, self._limiter, self._secret = plan, limiter, secret
        self._declined = _Declined(plan, buckets, limiter, clock)

    async def request(self, principal: Principal, kind: Limit) -> Standing:
        """Counts a request. Raises TooMany, or Unavailable where it cannot be told."""
        return await self._limiter.take(kind, self._key(principal.name), self._plan.rate_of(principal, kind))

    async def cancel(self, order_id: str, visible: Visible) -> None:
        """Counts a wish to cancel an order. Raises as `request`.

        A customer's wishes are counted apart: however many they are, the shop's people can still cancel.
        """
        whose = "customer" if visible.customer_id else "shop"
        await self._limiter.take(Limit.CANCELS, self._key(whose, order_id), self._plan.cancels)

    async def failed_login(self, address: str) -> None:
        """Counts one. Raises TooMany; where it cannot be told, nothing."""
        try:
            await self._limiter.take(Limit.LOGINS, self._key(neighbourhood(address)), self._plan.logins)
        except Unavailable:
            return

    async def require_card_tries(self, customer_id: str, address: str | None) -> None:
        """Raises TooMany where too many cards were declined, Unavailable where it cannot be told."""
        await self._declined.require_few(self._card_keys(customer_id, address))

    async def count_decline(self, customer_id: str, address: str | None) -> None:
        """Counts a card that was declined; the answer that says so is not kept from its client by anything."""
        for key in self._card_keys(customer_id, address):
            await self._declined.count(key)

    async def aclose(self) -> None:
        """Waits a moment for what was asked of the buckets."""
        await self._limiter.aclose()

    def _card_keys(self, customer_id: str, address: str | None) -> list[str]:
        keys = [self._key("customer", customer_id)]
        return keys if address is None else [*keys, self._key("address", neighbourhood(address))]

    def _key(self, *names: str) -> str:
        return self._secret.digest(*names)[:32]


class _Declined:
    """For whom too many cards were declined, as the buckets tell at most once a second."""

    def __init__(self, plan: Plan, buckets: Buckets, limiter: Limiter, clock: Callable[[], float]) -> None:
        self._rate, self._buckets, self._limiter, self._clock = plan.declines, buckets, limiter, clock
        self._until: dict[str, float] = {}
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def require_few(self, keys: list[str]) -> None:
        if self._clock() >= self._looked_at + LOOK_EVERY:
            await self._limiter.patiently(self._begin_to_look)
        now = self._clock()
        wait = max(self._until.get(key, 0.0) for key in keys) - now
        if wait > 0:
            raise too_many(Limit.DECLINES, self._rate, wait)

    async def count(self, key: str) -> None:
        try:
            ask = partial(self._buckets.take, Limit.DECLINES, key, self._rate, 1)
            bucket = await self._limiter.patiently(lambda: self._limiter.begin(ask()))
        except Unavailable:
            log.error("decline_not_counted")
            return
        if wait := self._rate.wait(bucket.ahead):
            self._until[key] = self._clock() + wait

    def _begin_to_look(self) -> asyncio.Task[None]:
        if self._looking is None or self._looking.done():
            self._looking = self._limiter.begin(self._look())
        return self._looking

    async def _look(self) -> None:
        began = self._clock()
        found = await self._buckets.empty(Limit.DECLINES, self._rate)
        now = self._clock()
        known = {key: until for key, until in self._until.items() if until > now}  # also what was counted meanwhile
        self._until = known | {key: now + wait for key, wait in found.items()}
        self._looked_at = began
