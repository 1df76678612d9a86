"""A consumer as a process of its own, to be killed: reads a stream that another process has written into a file."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path

from adapters.bus.port import Broker, Head, Incoming, Outgoing
from adapters.clock import now
from adapters.postgres.database import create_engine
from adapters.settings import Settings
from events import consumer_intake
from tests.support.consumers import Ledger, running

LOOK_EVERY = 0.02  # seconds


class FileBroker(Broker):
    """One partition: each line of a file is an event, and its number the position."""

    partitions = 1

    def __init__(self, file: Path) -> None:
        self.file = file
        self.file.touch()

    def _kept(self) -> list[bytes]:
        return [base64.b64decode(line) for line in self.file.read_bytes().splitlines()]

    async def publish(self, events: Sequence[Outgoing]) -> list[Exception | None]:
        with self.file.open("ab") as file:
            file.writelines(base64.b64encode(event.body) + b"\n" for event in events)
        return [None] * len(events)

    async def head(self, partition: int) -> Head:
        return Head("file", 1, len(self._kept()))

    async def read(self, partition: int, after: int, *, most: int = 100) -> AsyncIterator[list[Incoming]]:
        while True:
            found = self._kept()[after : after + 5]
            if found:
                yield [Incoming(number, body, now()) for number, body in enumerate(found, start=after + 1)]
                after += len(found)
            else:
                await asyncio.sleep(LOOK_EVERY)

    async def position_at(self, partition: int, at: datetime) -> int:
        return 0

    async def aclose(self) -> None:
        return


async def main(name: str, file: Path) -> None:
    consumer_intake.MOST = 10  # so that there are many transactions to be killed in
    settings = Settings()
    engine = create_engine(settings)
    async with running(Ledger(name), FileBroker(file), engine, settings) as one:
        print("running", flush=True)  # noqa: T201  # whoever started it waits for that
        await one.task


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
