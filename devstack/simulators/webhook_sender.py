"""Webhook deliveries of a simulator: a durable queue, signed at sending, tried again until a 2xx.

A delivery is queued in the transaction of the effect that caused it, so neither can exist without the other. Backoff
is on real time (not on the simulator's clock, which a test may advance by days): per delivery after a refusal, for
the whole endpoint when it cannot be reached, so that a receiver that is down costs one probe at a time.
"""

import asyncio
import json
import logging
import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from devstack.simulators.durable_store import DurableStore

_CONCURRENT = 8
_FIRST_RETRY_SECONDS = 0.25
_LONGEST_RETRY_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 5.0
_GIVE_UP_SECONDS = 3 * 24 * 3600
_HELD_BACK_SECONDS = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WebhookFaults:
    """Probabilities per event; `delay_seconds` holds every delivery back."""

    duplicate: float = 0.0
    reorder: float = 0.0
    lose: float = 0.0
    delay_seconds: float = 0.0
    seed: int = 0


class WebhookSender:
    """`sign(body)` gives the headers that prove a body; without a URL nothing is queued."""

    def __init__(self, store: DurableStore, url: str | None, sign: Callable[[str], dict[str, str]]) -> None:
        self.url = url
        self._store = store
        self._sign = sign
        self._claimed: set[int] = set()
        self._woken = asyncio.Event()
        self._pause_seconds = 0.0
        self._paused_until = 0.0
        self.set_faults(WebhookFaults())

    def send_to(self, url: str | None) -> None:
        """Move to another receiver; what is queued goes there too."""
        self.url = url
        self._woken.set()

    def set_faults(self, faults: WebhookFaults) -> None:
        self._faults = faults
        self._random = random.Random(faults.seed)

    def enqueue(self, body: str) -> None:
        """Queue one event inside the caller's transaction."""
        if self.url is None or self._random.random() < self._faults.lose:
            return
        now = time.time()
        due_at = now + self._faults.delay_seconds
        if self._random.random() < self._faults.reorder:
            due_at += self._random.uniform(0.1, _HELD_BACK_SECONDS)
        copies = 2 if self._random.random() < self._faults.duplicate else 1
        for _ in range(copies):
            self._store.run("INSERT INTO deliveries (due_at, queued_at, body) VALUES (?, ?, ?)", due_at, now, body)
        self._woken.set()

    def pending(self) -> int:
        row = self._store.row("SELECT count(*) AS pending FROM deliveries")
        return int(row["pending"]) if row else 0

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=_CONCURRENT)
        async with (
            httpx.AsyncClient(timeout=10, limits=limits, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            while True:
                self._woken.clear()
                for row in self._claim_due():
                    group.create_task(
                        self._deliver(client, row["id"], row["body"], row["attempts"], row["queued_at"])
                    )
                await self._sleep_until_due()

    def _slots(self) -> int:
        return (1 if self._pause_seconds else _CONCURRENT) - len(self._claimed)

    def _claim_due(self) -> list[sqlite3.Row]:
        now = time.time()
        if self.url is None or now < self._paused_until or self._slots() <= 0:
            return []
        sql = "SELECT * FROM deliveries WHERE due_at <= ? ORDER BY due_at, id LIMIT ?"
        due = self._store.rows(sql, now, self._slots() + len(self._claimed))
        rows = [row for row in due if row["id"] not in self._claimed][: self._slots()]
        self._claimed.update(row["id"] for row in rows)
        return rows

    async def _sleep_until_due(self) -> None:
        seconds: float | None = None
        if self.url is not None and self._slots() > 0:
            sql = "SELECT min(due_at) AS due_at FROM deliveries WHERE id NOT IN (SELECT value FROM json_each(?))"
            row = self._store.row(sql, json.dumps(list(self._claimed)))
            if row is not None and row["due_at"] is not None:
                seconds = max(row["due_at"], self._paused_until) - time.time()
        try:
            await asyncio.wait_for(self._woken.wait(), None if seconds is None else max(seconds, 0.0))
        except TimeoutError:
            return

    async def _deliver(
        self, client: httpx.AsyncClient, delivery: int, body: str, attempts: int, since: float
    ) -> None:
        try:
            headers = {"Content-Type": "application/json; charset=utf-8", **self._sign(body)}
            answer = await client.post(self.url or "", content=body.encode(), headers=headers)
        except httpx.HTTPError as error:
            self._pause(error)
        else:
            self._pause_seconds = 0.0
            self._settle(delivery, answer.is_success, attempts, since)
        finally:
            self._claimed.discard(delivery)
            self._woken.set()

    def _pause(self, error: httpx.HTTPError) -> None:
        # Deliveries that were under way together are one sign that the receiver is away, not eight.
        if time.time() < self._paused_until:
            return
        self._pause_seconds = min(max(self._pause_seconds * 2, _FIRST_RETRY_SECONDS), _LONGEST_PAUSE_SECONDS)
        self._paused_until = time.time() + self._pause_seconds
        logger.info("webhook receiver not reached: %r", error)

    def _settle(self, delivery: int, taken: bool, attempts: int, since: float) -> None:
        now = time.time()
        if taken or now - since > _GIVE_UP_SECONDS:
            self._store.run("DELETE FROM deliveries WHERE id = ?", delivery)
            return
        wait = min(_FIRST_RETRY_SECONDS * 2.0**attempts, _LONGEST_RETRY_SECONDS)
        sql = "UPDATE deliveries SET attempts = attempts + 1, due_at = ? WHERE id = ?"
        self._store.run(sql, now + wait, delivery)
