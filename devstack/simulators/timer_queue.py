"""Durable timers of a simulator (an authorization expires, a refund settles, a parcel is scanned).

A timer is a row, so it survives a kill; the loop sleeps until the next one is due or until it is woken, and does not
poll. Due times are on the simulator's clock, so advancing the clock makes them due.
"""

import asyncio
from collections.abc import Callable

from devstack.simulators.durable_store import DurableStore

_LONGEST_SLEEP_SECONDS = 3600.0


class TimerQueue:
    """`fire(kind, subject)` runs in the transaction that removes the timer: exactly once, crash or not."""

    def __init__(self, store: DurableStore, fire: Callable[[str, str], None]) -> None:
        self._store = store
        self._fire = fire
        self._woken = asyncio.Event()

    def set(self, due_at: float, kind: str, subject: str) -> None:
        self._store.run("INSERT INTO timers (due_at, kind, subject) VALUES (?, ?, ?)", due_at, kind, subject)
        self._woken.set()

    def wake(self) -> None:
        """Look at the due times again, because the clock was moved."""
        self._woken.set()

    def fire_due(self) -> None:
        while row := self._store.row(
            "SELECT * FROM timers WHERE due_at <= ? ORDER BY due_at LIMIT 1", self._store.now()
        ):
            with self._store.transaction():
                self._store.run("DELETE FROM timers WHERE id = ?", row["id"])
                self._fire(row["kind"], row["subject"])

    async def run(self) -> None:
        while True:
            self._woken.clear()
            self.fire_due()
            row = self._store.row("SELECT min(due_at) AS due_at FROM timers")
            seconds = None if row is None or row["due_at"] is None else row["due_at"] - self._store.now()
            try:
                await asyncio.wait_for(
                    self._woken.wait(), None if seconds is None else min(max(seconds, 0.0), _LONGEST_SLEEP_SECONDS)
                )
            except TimeoutError:
                continue
