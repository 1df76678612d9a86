"""The Stripe SDK's client, and the one translator of its errors: what every gateway to Stripe is built on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import stripe

from adapters.http_pool import HttpPool, proxy_of_environment
from adapters.settings import Settings
from adapters.stripe.errors import UNREADABLE, translate, unreadable
from domain.errors import OrderSagaError

DEFAULT_BASE = "https://api.stripe.com"


class StripeConnection:
    """One client with its pool of connections, which the gateways of a process share; `aclose` closes them.

    The SDK's own retries are off: Temporal retries, and sends the same idempotency key.
    """

    def __init__(self, settings: Settings) -> None:
        base = settings.stripe_api_base
        self._http = _PooledClient(base or DEFAULT_BASE, settings.stripe_timeout)
        self.client = stripe.StripeClient(
            settings.stripe_api_key.get_secret_value(),
            http_client=self._http,
            max_network_retries=0,
            base_addresses={"api": base} if base else None,
        )

    async def call(self, method: str, path: str, params: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
        """An object as Stripe's JSON has it. Raises what the SDK raises: it stands in a block of `translated`.

        The SDK signs, encodes and tells errors apart, but builds no objects of its own: those cost more than the
        call. For what is seldom called, `client` has them.
        """
        options = {"idempotency_key": key} if key else {}
        answer = await self.client.raw_request_async(method, path, **params, **options)
        return dict(answer.data)

    async def aclose(self) -> None:
        await self._http.close_async()


class _PooledClient(stripe.HTTPClient):
    """The SDK's way out, through our pool: one deadline for each whole call, and every failure is a connection's."""

    name = "aiohttp"

    def __init__(self, base: str, timeout: float) -> None:
        super().__init__()
        self._pool, self._timeout = HttpPool(stripe.ca_bundle_path, proxy_of_environment(base)), timeout

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        body = post_data.encode() if isinstance(post_data, str) else post_data
        try:
            answer = await self._pool.request(method, url, headers, body, self._timeout)
        except TimeoutError:
            late = "the answer did not arrive in time"
            raise stripe.APIConnectionError(late) from None  # type: ignore[no-untyped-call]
        except Exception as error:  # as the SDK's own clients do: what became of the call is unknown
            said = f"no answer arrived: {type(error).__name__}"
            raise stripe.APIConnectionError(said) from error  # type: ignore[no-untyped-call]
        return answer.body, answer.status, answer.headers

    async def close_async(self) -> None:
        await self._pool.aclose()


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
