"""One connection to NATS servers, made when it is first needed, and JetStream's API on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client

from adapters.bus.port import BusAway

CONNECT_TIMEOUT = 3.0  # seconds
REQUEST_TIMEOUT = 5.0  # seconds for an answer of JetStream's API
CLOSING = 1.0  # seconds
NO_BUFFER = -1  # bytes that may wait for a reconnection: what failed is sent again by who sent it

log = structlog.get_logger(__name__)


class NotThere(Exception):
    """JetStream does not have what it was asked for."""


class NatsConnection:
    """Connects again by itself, for as long as it is open. `lost` is called whenever the connection breaks."""

    def __init__(self, url: str, lost: Callable[[Exception], None] = lambda error: None) -> None:
        """`url` may name several servers: `nats://user:password@one:4222,two:4222`."""
        scheme, _, rest = url.partition("://")
        account, at, hosts = rest.rpartition("@")
        self._servers = [f"{scheme}://{account}{at}{host}" for host in hosts.split(",")]
        self._lost = lost
        self._client: Client | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> Client:
        """The connected client; another one than before where the old one was closed. Raises BusAway."""
        async with self._opening:
            client = self._client
            if client is None or client.is_closed:
                client = self._client = await self._connect()
        if not client.is_connected:
            raise BusAway("connecting to NATS again")
        return client

    async def ask(self, what: str, **request: Any) -> dict[str, Any]:
        """One call of JetStream's API, e.g. `STREAM.INFO.X`. Raises BusAway, and NotThere for what it does not have.

        https://docs.nats.io/reference/reference-protocols/nats_api_reference
        """
        client = await self.open()
        body = json.dumps(request).encode() if request else b""
        try:
            answer = await client.request(f"$JS.API.{what}", body, timeout=REQUEST_TIMEOUT)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise BusAway(f"{what.rpartition('.')[0]}: {error or type(error).__name__}") from error
        said: dict[str, Any] = json.loads(answer.data)
        if (refused := said.get("error")) is None:
            return said
        if refused.get("code") == 404:
            raise NotThere(refused.get("description", what))
        raise BusAway(f"{what.rpartition('.')[0]}: {refused.get('description')} ({refused.get('err_code')})")

    async def aclose(self) -> None:
        """Closes the connection, whether or not somebody answers."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                await asyncio.wait_for(client.close(), CLOSING)

    async def _connect(self) -> Client:
        client = Client()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await client.connect(
                    self._servers,
                    name="ordersaga",
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds, which it takes as they are
                    connect_timeout=1,
                    ping_interval=10,
                    pending_size=NO_BUFFER,
                    error_cb=self._noticed,
                    disconnected_cb=self._disconnected,
                )
        except (nats.errors.Error, TimeoutError, OSError) as error:
            with suppress(Exception):
                await asyncio.wait_for(client.close(), CLOSING)
            raise BusAway(f"NATS cannot be reached ({type(error).__name__})") from None
        return client

    async def _disconnected(self) -> None:
        self._lost(BusAway("the connection to NATS is lost"))

    async def _noticed(self, error: Exception) -> None:
        """What the servers complain about: a subject that this user may not publish to gets no other answer."""
        log.warning("nats_error", error=f"{type(error).__name__}: {error}"[:200])
        if "permissions violation" in str(error).lower():
            self._lost(BusAway(f"NATS does not allow it: {error}"))
