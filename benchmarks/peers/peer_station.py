"""The station of another engine: drives its contenders as `benchmarks.station` drives ours, by the same commands.

It runs in the peers' own environment: of this project it may import what needs nothing but asyncpg.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from benchmarks.database_steps import DatabaseSteps
from benchmarks.load import Shift, drive

SAMPLE = 5  # orders of a shift whose journal is looked at


class Peer(Protocol):
    """How another engine carries one order."""

    async def place(self, order_id: str) -> str:
        """Carries the order to its end; returns its id. Raises when it did not end well."""
        ...

    async def entries(self, order_id: str) -> int:
        """How many entries the engine's journal of this order has: its counterpart to history events."""
        ...


class PeerStation:
    """Does one command after the other. `settle` and `look` are about the orders placed last."""

    def __init__(self, peers: Mapping[str, Peer], steps: DatabaseSteps) -> None:
        self._peers = peers
        self._steps = steps
        self._peer: Peer
        self._shift: Shift

    async def obey(self, command: dict[str, Any]) -> Any:
        match command:
            case {"do": "place", "kind": kind, "order_ids": order_ids, "at_once": at_once}:
                self._peer = self._peers[kind]
                self._shift = await drive(self._peer.place, order_ids, at_once)
                return asdict(self._shift)
            case {"do": "settle"}:
                await self._steps.check(self._shift.keys)
                return []
            case {"do": "look"}:
                return statistics.median([await self._peer.entries(key) for key in self._shift.keys[-SAMPLE:]])
        raise ValueError(f"no such command: {command}")
