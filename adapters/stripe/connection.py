"""The Stripe SDK's client, and the one translator of its errors: what every gateway to Stripe is built on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import stripe

from adapters.settings import Settings
from adapters.stripe.errors import UNREADABLE, translate, unreadable
from domain.errors import OrderSagaError


class StripeConnection:
    """One client with its pool of connections, which the gateways of a process share; `aclose` closes them.

    The SDK's own retries are off: Temporal retries, and sends the same idempotency key.
    """

    def __init__(self, settings: Settings) -> None:
        self._http = _TimedClient(timeout=settings.stripe_timeout, allow_sync_methods=False)
        base = settings.stripe_api_base
        self.client = stripe.StripeClient(
            settings.stripe_api_key.get_secret_value(),
            http_client=self._http,
            max_network_retries=0,
            base_addresses={"api": base} if base else None,
        )

    async def aclose(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]


class _TimedClient(stripe.HTTPXClient):
    """The SDK's client with one deadline for each whole call.

    Its own timeout is one for each phase (https://www.python-httpx.org/advanced/timeouts/), so that an answer that
    comes in drops would take for ever.
    """

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            async with asyncio.timeout(self._timeout):  # type: ignore[arg-type]  # a number: it was made with one
                return await super().request_async(method, url, headers, post_data)
        except TimeoutError:
            late = "the answer did not arrive in time"
            raise stripe.APIConnectionError(late) from None  # type: ignore[no-untyped-call]


@asynccontextmanager
async def translated(meaning: Callable[[stripe.StripeError], OrderSagaError] = translate) -> AsyncIterator[None]:
    """Raises our errors instead of the SDK's. Every call to Stripe stands in such a block.

    `meaning` gives our error for one of the SDK's. AnswerUnreadable stands for an answer that is none of Stripe's.
    """
    try:
        yield
    except stripe.StripeError as error:
        raise meaning(error) from None  # the SDK's error quotes the request: it must not reach a history
    except UNREADABLE as error:
        raise unreadable(error) from None


def text_of(value: object) -> str:
    """A field without which an answer is none of Stripe's. Raises TypeError, which `translated` knows."""
    if not isinstance(value, str) or not value:
        raise TypeError("a text was expected")
    return value
