"""The keys that payloads in Temporal are encrypted with: one `id:base64key` per line of a file.

The first line encrypts, all of them decrypt. Processes notice a changed file by themselves, so that keys are rotated
while they run; a file that is broken or gone later leaves them with the keys that they have.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_SIZE = 32  # bytes: AES-256
LOOK_EVERY = 5.0  # seconds between two looks at the file
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = structlog.get_logger(__name__)

Version = tuple[int, int, int]


class KeysUnusable(Exception):
    """The file of keys is missing, readable by others, or does not hold keys."""


class KeyRing:
    """The keys of a file, as it is now or was a few seconds ago."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises KeysUnusable."""
        self._file, self._clock = file, clock
        self._looked_at = clock()
        self._version = _version(file)
        self._take(read_keys(file))

    def encrypting(self) -> tuple[str, AESGCM]:
        """The id and the key that new payloads get."""
        if self._clock() - self._looked_at > LOOK_EVERY:
            self._look()
        return self._first

    def decrypting(self, key_id: str) -> AESGCM | None:
        """The key of that id; None where the file does not have it, also not since a moment ago."""
        if key_id not in self._ciphers and self._clock() - self._looked_at > LOOK_EVERY / 5:
            self._look()
        return self._ciphers.get(key_id)

    @property
    def ids(self) -> list[str]:
        """The one that encrypts comes first."""
        return list(self._ciphers)

    def _take(self, keys: dict[str, bytes]) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._first = next(iter(self._ciphers.items()))

    def _look(self) -> None:
        self._looked_at = self._clock()
        try:
            version = _version(self._file)
            if version != self._version:
                self._take(read_keys(self._file))
                self._version = version
                log.info("encryption_keys_changed", keys=self.ids)
        except KeysUnusable as error:
            log.error("encryption_keys_unusable", problem=str(error), kept=self.ids)


def read_keys(file: Path) -> dict[str, bytes]:
    """The keys by their ids, in the file's order. Raises KeysUnusable, which quotes no key."""
    try:
        with file.open() as opened:
            refuse_open_file(file, os.fstat(opened.fileno()))
            text = opened.read()
    except OSError as error:
        raise KeysUnusable(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise KeysUnusable(f"{file} is not text") from None
    keys: dict[str, bytes] = {}
    for number, key_id, key in _lines(file, text):
        if key_id in keys or key in keys.values():
            raise KeysUnusable(f"{file}, line {number}: this id or this key is there already")
        keys[key_id] = key
    if not keys:
        raise KeysUnusable(f"{file} holds no key")
    return keys


def _lines(file: Path, text: str) -> Iterator[tuple[int, str, bytes]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not (said := line.strip()) or said.startswith("#"):
            continue
        key_id, _, encoded = said.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not KEY_ID.fullmatch(key_id) or len(key) != KEY_SIZE:
            wanted = f"`id:key`, with letters, digits, dots and dashes as id and {KEY_SIZE} bytes in base64 as key"
            raise KeysUnusable(f"{file}, line {number}: {wanted} is needed")
        yield number, key_id, key


def refuse_open_file(file: Path, found: os.stat_result) -> None:
    """Raises KeysUnusable for a file of secrets that others may read.

    One of root may be read by its group, as orchestrators mount secrets (PostgreSQL has the same rule for its key).
    """
    others = 0o037 if found.st_uid == 0 else 0o077
    if stat.S_IMODE(found.st_mode) & others:
        raise KeysUnusable(f"{file} may be read or changed by others: chmod 600 {file}")


def _version(file: Path) -> Version:
    try:
        found = file.stat()
    except OSError as error:
        raise KeysUnusable(f"{file}: {error.strerror}") from None
    return found.st_mtime_ns, found.st_size, found.st_ino
