"""What the relay does about carts that nobody touches: batch after batch, each kind of work, none of it twice."""

from __future__ import annotations

import pytest

from events.cart_upkeep import BATCH, CartUpkeep


class FakeCarts:
    """So many rows wait for each kind of work."""

    def __init__(self, **waiting: int) -> None:
        self.waiting, self.asked = waiting, list[str]()

    async def tell_abandoned(self, most: int) -> int:
        return self._take("abandoned", most)

    async def expire(self, most: int) -> int:
        return self._take("over", most)

    async def delete_ended(self, most: int) -> int:
        return self._take("ended", most)

    async def forget_keys(self, most: int) -> int:
        return self._take("keys", most)

    def _take(self, kind: str, most: int) -> int:
        self.asked.append(kind)
        taken = min(most, self.waiting.get(kind, 0))
        self.waiting[kind] = self.waiting.get(kind, 0) - taken
        return taken


@pytest.mark.parametrize(("left", "asked"), [(0, 1), (BATCH - 1, 1), (BATCH, 2), (2 * BATCH + 1, 3)])
async def test_goes_on_until_a_batch_is_not_full(left: int, asked: int) -> None:
    """One look where there is little, and no look too few."""
    carts = FakeCarts(over=left)
    assert await CartUpkeep(carts, rest=0).keep() == left
    assert (carts.asked.count("over"), carts.waiting["over"]) == (asked, 0)


async def test_does_each_kind_of_work() -> None:
    """A cart is told as left before it can expire."""
    carts = FakeCarts(abandoned=1, over=2, ended=3, keys=4)
    assert await CartUpkeep(carts, rest=0).keep() == 10
    assert carts.asked == ["abandoned", "over", "ended", "keys"]
