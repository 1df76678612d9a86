"""A merchant in the demo: a server on loopback that takes webhooks, and judges their signatures as the docs tell."""

import asyncio
import json
import runpy
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from devstack.stack.ports import LOOPBACK

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "verify_webhook.py"
PATIENCE = 10.0  # seconds for the last webhook of an order that has ended
LOOK_EVERY = 0.05  # seconds
MOST = 1_000_000  # bytes of a request

Verify = Callable[[dict[str, str], bytes, str], bool]


@dataclass
class Merchant:
    """What has come: each event in the order of arrival, and whether its signature was the shop's."""

    secret: str = ""
    got: list[tuple[dict[str, Any], bool]] = field(default_factory=list)
    _verify: Verify = field(default_factory=lambda: runpy.run_path(str(EXAMPLE))["is_genuine"])

    async def register(self, api: httpx.AsyncClient, url: str) -> str | None:
        """Asks the shop for every event about orders; why it refuses, or None."""
        wanted = {"url": url, "events": ["OrderPlaced", "OrderDelivered", "OrderCanceled", "OrderRejected"]}
        answer = await api.post("/api/webhook-endpoints", json=wanted | {"description": "the demo's merchant"})
        if not answer.is_success:
            return str(answer.json().get("detail", answer.status_code))
        self.secret = str(answer.json()["secret"])
        return None

    async def last_of(self, order_id: str, name: str) -> tuple[dict[str, Any], bool] | None:
        """The event of this name about the order, and whether it is genuine; None where it does not come in time."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for event, genuine in self.got:
                if event["subject"] == order_id and event["data"].get("detailType", event["type"]) == name:
                    return event, genuine
            await asyncio.sleep(LOOK_EVERY)
        return None

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request: kept first, answered with 204."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:]
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head if line)
            }
            body = await reader.readexactly(min(MOST, int(headers["content-length"])))
            self.got.append((json.loads(body), self._verify(headers, body, self.secret)))
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def merchant() -> AsyncIterator[tuple[Merchant, str]]:
    """A merchant who listens, and where."""
    found = Merchant()
    server = await asyncio.start_server(found.take, LOOPBACK, 0)
    async with server:
        yield found, f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/webhooks"
