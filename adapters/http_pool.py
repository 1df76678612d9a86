"""Connections to one far end over HTTP, kept and used again: what the clients of Stripe and of the carrier send with.

It adds nothing to a request: it follows no redirect, keeps no cookie, and repeats nothing. The far end's certificate
is checked against a file of authorities that comes with the service, so that the machine's own do not matter.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

MOST = 100  # connections at a time
IDLE = 5.0  # seconds that an unused connection is kept: far ends close theirs a little later


class Answer(NamedTuple):
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpPool:
    """The connections of one process to one far end; they are opened when they are needed, and closed by `aclose`."""

    def __init__(self, authorities: str, proxy: str | None = None) -> None:
        """`authorities` is a file of certificates; `proxy` the address of one that reaches the far end."""
        self._trust, self._proxy = ssl.create_default_context(cafile=authorities), proxy
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> Answer:
        """The answer. Raises TimeoutError when it is not whole in `timeout` seconds, and what aiohttp raises.

        There is one deadline for everything, so that an answer that comes in drops does not take for ever.
        """
        async with asyncio.timeout(timeout):
            call = self._opened().request(
                method,
                URL(url, encoded=True),  # as it was encoded by whoever made it
                headers=headers,
                data=body,
                allow_redirects=False,
                proxy=self._proxy,
            )
            async with call as answer:
                return Answer(answer.status, answer.headers, await answer.read())

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        """Made at the first request, since it belongs to the event loop that runs then."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MOST, keepalive_timeout=IDLE, ssl=self._trust),
                middlewares=[_only_once],
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # of its own: the whole call has one,
            )
        return self._session


async def _only_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp repeats a GET whose connection broke, unless the error has another type: who asks decides, not it."""
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(type(error).__name__) from error


def proxy_of_environment(url: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name for this address."""
    parts, proxies = urlsplit(url), getproxies()
    if proxy_bypass(parts.netloc):
        return None
    named = proxies.get(parts.scheme) or proxies.get("all")
    return named if named is None or "://" in named else f"http://{named}"
