"""Mail as files of a folder, for development: each message is a `.eml` file that any mail program opens."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from adapters.mail.port import Mail, MailAway, Mailer, composed


class MailFolder(Mailer):
    """A message has one file, also when it is sent again; a file that is there is whole."""

    repeatable = True

    def __init__(self, folder: Path, sender: str) -> None:
        """The folder is made with the first message."""
        self._folder, self._sender = folder, sender

    async def send(self, mail: Mail) -> None:
        content = composed(mail, self._sender)
        try:
            await asyncio.to_thread(self._write, self._folder / f"{mail.key}.eml", content)
        except OSError as error:
            raise MailAway(f"the folder cannot be written ({type(error).__name__})") from None

    async def forget(self, message_ids: Sequence[int]) -> None:
        wanted = {f"{number:09d}" for number in message_ids}
        if wanted:
            await asyncio.to_thread(self._remove, wanted)

    def _remove(self, wanted: set[str]) -> None:
        for file in self._folder.glob("*"):
            if file.name.partition("-")[0] in wanted:
                file.unlink(missing_ok=True)

    def _write(self, file: Path, content: bytes) -> None:
        unfinished = file.with_suffix(".part")
        try:
            unfinished.write_bytes(content)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(content)
        os.replace(unfinished, file)  # noqa: PTH105  # the same call, named as what it does
