"""Lets rows leave that consumers have written and that nobody needs any more, a few at a time."""

from __future__ import annotations

import structlog

from events.inbox_pruning import InboxPruning, Prunable
from events.pace import Pace

SOON, SELDOM = 60.0, 3600.0  # seconds between two looks: after the start and after work, and without any

log = structlog.get_logger(__name__)


class RowPruning:
    """`run` ends when it is canceled. Several processes share the work."""

    def __init__(self, what: str, old: Prunable) -> None:
        self._what = what
        self._pruning = InboxPruning(old)
        self._pace = Pace(SOON, SELDOM)

    async def run(self) -> None:
        worked = False
        while True:
            await self._pace.pause(worked=worked)
            try:
                worked = await self._pruning.prune() > 0
            except Exception as error:
                log.warning("rows_not_pruned", what=self._what, error=type(error).__name__)
