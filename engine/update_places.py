"""How many updates one process may have open with one workflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class UpdatePlaces:
    """How many updates this process has open with one order at a time, so that all processes together keep the limit.

    A workflow takes ten (https://docs.temporal.io/self-hosted-guide/defaults). One more is not only refused: the
    server then forgets the workflow tasks that it keeps in memory for the others, which the worker hears of as
    "Workflow task not found". Under a rush of refused ones no update is accepted any more.
    """

    def __init__(self, most: int = 3) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    @contextmanager
    def take(self, order_id: str) -> Iterator[bool]:
        """Whether there is a place; it is kept until the block ends."""
        if self._taken[order_id] >= self._most:
            yield False
            return
        self._taken[order_id] += 1
        try:
            yield True
        finally:
            self._taken[order_id] -= 1
            if not self._taken[order_id]:
                del self._taken[order_id]
