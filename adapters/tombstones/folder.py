"""Who was erased, remembered outside of the database: one file a customer, made once and never changed.

A restore of the database brings back what was erased; the tombstones say what has to go again. They hold ids only.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pydantic_core import from_json, to_json


class TombstonesUnusable(Exception):
    """The folder cannot be read or written: nobody is erased whose erasure would not outlive a restore."""


class Tombstone(NamedTuple):
    """That a customer was erased, and until when names and addresses of their invoices have to be kept."""

    customer_id: str
    erased_at: datetime
    accounting_until: datetime


class Tombstones:
    """The files of a folder; several processes and machines may share it."""

    def __init__(self, folder: Path) -> None:
        """The folder is made with the first tombstone."""
        self._folder = folder

    async def add(self, stone: Tombstone) -> Tombstone:
        """Writes it, to disk, before it answers; the one that counts, where there was one before.

        Raises TombstonesUnusable.
        """
        return await asyncio.to_thread(self._add, stone)

    async def read_all(self) -> list[Tombstone]:
        """All of them; none where there is no folder. Raises TombstonesUnusable."""
        return await asyncio.to_thread(self._read_all)

    def _add(self, stone: Tombstone) -> Tombstone:
        file = self._folder / f"{hashlib.sha256(stone.customer_id.encode()).hexdigest()}.json"
        unfinished = file.with_suffix(f".{os.getpid()}.new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
                opened.write(to_json(stone._asdict()))
                opened.flush()
                os.fsync(opened.fileno())
            try:
                os.link(unfinished, file)  # unlike a rename it replaces none
            except FileExistsError:
                return _read(file)
            finally:
                unfinished.unlink()
            self._sync()
        except OSError as error:
            raise TombstonesUnusable(f"{self._folder}: {error.strerror}") from None
        return stone

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _read_all(self) -> list[Tombstone]:
        try:
            return [_read(file) for file in sorted(self._folder.glob("*.json"))]
        except OSError as error:
            raise TombstonesUnusable(f"{self._folder}: {error.strerror}") from None


def _read(file: Path) -> Tombstone:
    try:
        said = from_json(file.read_bytes())
        times = (datetime.fromisoformat(said[name]) for name in ("erased_at", "accounting_until"))
        return Tombstone(said["customer_id"], *times)
    except (ValueError, KeyError, TypeError):
        raise TombstonesUnusable(f"{file} is no tombstone") from None
