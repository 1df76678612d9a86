"""Sends webhooks to addresses that strangers have chosen: bounded in time and size, and only to where they may go.

Redirects are not followed, cookies not kept, the proxies of the environment not used, an answer is not unpacked.
https://docs.aiohttp.org/en/stable/client_reference.html#tcpconnector
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

import aiohttp
import certifi
from aiohttp.hdrs import ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT
from yarl import URL

from adapters.clock import now
from adapters.webhooks.resolving import Gate, LookUp, NotPublic, Resolver, look_up
from domain.cloud_events import CONTENT_TYPE as CLOUD_EVENT
from domain.merchant_webhooks import Attempt, excerpt

IDLE = 2.0  # seconds that an unused connection is kept: many servers close theirs after 5
LOOKED_AT = 2048  # bytes of an answer
ANSWER_PATIENCE = 2.0  # seconds for these bytes: the status has come, and counts
OWN: dict[str, str] = {
    CONTENT_TYPE: CLOUD_EVENT,
    USER_AGENT: "OrderSaga-Webhooks/1.0",
    ACCEPT_ENCODING: "identity",
}


class WebhookSender:
    """The connections of one process to all endpoints; they are opened when they are needed."""

    def __init__(
        self, *, timeout: float, private: bool, authorities: str | None = None, look_up: LookUp = look_up
    ) -> None:
        """`timeout`: seconds for a whole try. `private` is for development.

        `authorities` is a file of certificates to trust, else the usual ones; `look_up` asks for a host's addresses.
        """
        self._timeout = timeout
        self._trust = ssl.create_default_context(cafile=authorities or certifi.where())
        self._gate = Gate(private=private)
        self._resolver = Resolver(self._gate, look_up)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        """One try. Whatever happens is an outcome; nothing is raised."""
        at, began = now(), time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                answered = await self._post(url, headers, body)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return Attempt(at, time.monotonic() - began, error=_reason(error))
        return answered._replace(at=at, seconds=time.monotonic() - began)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        sent = {**OWN, **headers}
        call = self._opened().post(URL(url, encoded=True), headers=sent, data=body, allow_redirects=False)
        async with call as answer:
            found = b""
            with suppress(TimeoutError, aiohttp.ClientError):
                async with asyncio.timeout(ANSWER_PATIENCE):
                    found = await answer.content.read(LOOKED_AT)
            wish = answer.headers.get(RETRY_AFTER, "")
            seconds = int(wish) if wish.isascii() and wish.isdigit() and len(wish) < 10 else None
            retry_after = None if seconds is None else timedelta(seconds=seconds)
            return Attempt(now(), 0.0, answer.status, answer=excerpt(found), retry_after=retry_after)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    def _opened(self) -> aiohttp.ClientSession:
        """Made at the first try, since it belongs to the event loop that runs then."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0,  # whoever sends decides how many: one endpoint must not wait for the connections of another
                keepalive_timeout=IDLE,
                ssl=self._trust,
                resolver=self._resolver,
                use_dns_cache=False,
                socket_factory=self._gate.socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # of its own: the whole try has one
                auto_decompress=False,
            )
        return self._session


def _reason(error: Exception) -> str:
    """Why there is no answer, in a word that the log of deliveries explains."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, NotPublic):
            return "address_not_public"
        below = below.__cause__ or getattr(below, "os_error", None)
    if isinstance(error, TimeoutError):
        return "timeout"
    for kind, word in (
        (aiohttp.ClientConnectorDNSError, "name_not_found"),
        (aiohttp.ClientSSLError, "tls"),
        (aiohttp.ClientConnectorError, "not_connected"),
        (aiohttp.ServerDisconnectedError, "closed"),
        (aiohttp.ClientOSError, "closed"),
        (aiohttp.InvalidURL, "bad_url"),
    ):
        if isinstance(error, kind):
            return word
    return "no_http"
