"""The relay's loop over personal data: what fails keeps nothing else from being done."""

from __future__ import annotations

import asyncio

from events.privacy_upkeep import keep_up_forever


async def test_goes_on_while_there_is_work_and_after_a_failure() -> None:
    """A batch follows the last one soon; a work that breaks is asked again."""
    left, broken, idle = [3], 0, asyncio.Event()

    async def breaks() -> int:
        nonlocal broken
        broken += 1
        raise OSError("the database is away")

    async def works() -> int:
        if not left[0]:
            idle.set()
            return 0
        left[0] -= 1
        return 1

    loop = asyncio.create_task(keep_up_forever([breaks, works], every=3600))
    await idle.wait()
    loop.cancel()
    assert (left, broken) == ([0], 4)
