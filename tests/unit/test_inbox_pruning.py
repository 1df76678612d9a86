"""How old events leave the inbox: batch after batch, each told when it has left."""

from __future__ import annotations

import pytest

from events.inbox_pruning import BATCH, InboxPruning


class Old:
    """So many events that may leave; the database goes away at the batch `fails_at`."""

    def __init__(self, events: int, fails_at: int | None = None) -> None:
        self.events, self.asked, self._fails_at = events, 0, fails_at

    async def prune(self, most: int) -> int:
        self.asked += 1
        if self.asked == self._fails_at:
            raise OSError("the database went away")
        left = min(self.events, most)
        self.events -= left
        return left


@pytest.mark.parametrize(
    ("events", "batches"), [(0, []), (1, [1]), (BATCH, [BATCH]), (2 * BATCH + 3, [BATCH, BATCH, 3])]
)
async def test_goes_on_until_a_batch_is_not_full(events: int, batches: list[int]) -> None:
    """Nothing is told of a batch in which nothing left."""
    old, told = Old(events), list[int]()
    assert await InboxPruning(old, told.append, rest=0).prune() == events
    assert (told, old.events) == (batches, 0)


async def test_what_left_before_a_failure_is_told_and_the_next_time_goes_on() -> None:
    """The failure is its caller's, who tries again later."""
    old, told = Old(3 * BATCH, fails_at=3), list[int]()
    pruning = InboxPruning(old, told.append, rest=0)
    with pytest.raises(OSError):
        await pruning.prune()
    assert (told, old.events) == ([BATCH, BATCH], BATCH)
    assert await pruning.prune() == BATCH
    assert sum(told) == 3 * BATCH
