"""A mail server as a process of its own (aiosmtpd): takes mail into a folder, or fails as it is told to."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

RECIPIENT = {"refuses_recipient": "550 no such user", "recipient_busy": "450 try later"}
DATA = {"refuses_data": "554 not this", "data_busy": "451 try later"}


class Handler:
    def __init__(self, folder: Path, behaviour: str) -> None:
        self._folder, self._behaviour, self._count = folder, behaviour, 0

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self._behaviour in RECIPIENT:
            return RECIPIENT[self._behaviour]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self._behaviour == "dies_after_data":
            os._exit(1)
        if self._behaviour == "silent_after_data":
            await asyncio.Event().wait()
        if self._behaviour not in DATA:
            self._count += 1
            (self._folder / f"{self._count}.eml").write_bytes(envelope.content)
        return DATA.get(self._behaviour, "250 OK")


async def main(folder: Path, behaviour: str) -> None:
    loop = asyncio.get_running_loop()
    handler = Handler(folder, behaviour)
    listening = await loop.create_server(lambda: SMTP(handler, enable_SMTPUTF8=True), "127.0.0.1", 0)
    print(listening.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # whoever started it waits for that
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
