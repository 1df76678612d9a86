"""Who asks for something else than a checkout while checkouts are refused: people who look, and people who cancel."""

import asyncio
import random
import time
from dataclasses import dataclass, field

import httpx

from chaos.journal import Journal

LOOK_EVERY, CANCEL_EVERY = 0.25, 1.0  # seconds


@dataclass
class Bystanders:
    """`orders` are confirmed ones, oldest first; times in seconds."""

    http: httpx.AsyncClient
    orders: list[str]
    journal: Journal
    reads: list[float] = field(default_factory=list)
    cancels: list[float] = field(default_factory=list)
    unserved: list[str] = field(default_factory=list)  # what was refused or not answered
    _canceled: int = 0

    async def ask(self) -> None:
        """Until it is canceled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            group.create_task(self._cancel())

    async def _look(self) -> None:
        draw = random.Random(1)
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self._request("GET", f"/api/orders/{draw.choice(self.orders)}", self.reads)

    async def _cancel(self) -> None:
        while True:
            await asyncio.sleep(CANCEL_EVERY)
            order_id = self.orders[self._canceled]
            self._canceled += 1
            answer = await self._request("POST", f"/api/orders/{order_id}/cancel", self.cancels)
            if answer is not None:
                told = answer.json()
                decision, code = told.get("decision"), told.get("code")
                about = {"status": answer.status_code, "decision": decision, "code": code}
                self.journal.write("cancel", orderId=order_id, **about)

    async def _request(self, method: str, url: str, times: list[float]) -> httpx.Response | None:
        began = time.monotonic()
        try:
            answer = await self.http.request(method, url)
        except httpx.HTTPError as error:
            self.unserved.append(f"{method} {type(error).__name__}")
            return None
        times.append(time.monotonic() - began)
        if answer.status_code >= 500:
            self.unserved.append(f"{method} {answer.status_code}")
        return answer
