"""What customers were told: the last message of each order, from the folder that takes the stack's mail."""

import asyncio
import time
from collections.abc import Collection, Mapping
from email import message_from_bytes, policy
from pathlib import Path

PATIENCE = 10.0  # seconds for the messages of orders that have ended
LOOK_EVERY = 0.1  # seconds
LAST = {"delivered", "canceled", "refunded", "declined", "rejected"}  # kinds after which no other one has to come


def last_messages(folder: Path) -> dict[str, tuple[str, str]]:
    """Kind and subject of the last message by order; files are named in the order in which they were sent."""
    found = {}
    for file in sorted(folder.glob("*.eml")):
        message = message_from_bytes(file.read_bytes(), policy=policy.default)
        found[str(message["X-Order-Id"])] = (str(message["X-Message-Kind"]), str(message["Subject"]))
    return found


async def messages_of(folder: Path, orders: Collection[str]) -> Mapping[str, tuple[str, str]]:
    """The same, as soon as each of the orders has a message that may be its last one; what there is after a while.

    Nothing where there is no folder: no consumer of events runs.
    """
    if not await asyncio.to_thread(folder.is_dir):
        return {}
    deadline = time.monotonic() + PATIENCE
    while True:
        found = await asyncio.to_thread(last_messages, folder)
        if all(found.get(order, ("", ""))[0] in LAST for order in orders) or time.monotonic() > deadline:
            return {order: found[order] for order in orders if order in found}
        await asyncio.sleep(LOOK_EVERY)
