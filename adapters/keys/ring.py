"""Master keys in a file: one `id:base64key` a line, the first wraps, all unwrap; the format of Temporal's keys.

Files that others may read are refused, and a changed file is noticed within seconds, so that the master key is
replaced while everything runs (`adapters/temporal/key_files.py` has the commands).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag

from adapters.keys.port import CannotUnwrap, Keys, Wrapped
from adapters.temporal.key_ring import KeyRing

NONCE = 12  # bytes (NIST SP 800-38D)


class FileKeys(Keys):
    """AES-256-GCM with a random nonce; what is bound and the master key's id are authenticated with it."""

    def __init__(self, file: Path) -> None:
        """Raises KeysUnusable."""
        self._ring = KeyRing(file)

    async def wrap(self, data_key: bytes, bound: str) -> Wrapped:
        key_id, cipher = self._ring.encrypting()
        nonce = os.urandom(NONCE)
        return Wrapped(key_id, nonce + cipher.encrypt(nonce, data_key, _bound(key_id, bound)))

    async def unwrap(self, wrapped: Wrapped, bound: str) -> bytes:
        key_id, sealed = wrapped
        if (cipher := self._ring.decrypting(key_id)) is None:
            raise CannotUnwrap(f"no master key {key_id!r} in the ring, which has {', '.join(self._ring.ids)}")
        try:
            return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], _bound(key_id, bound))
        except (InvalidTag, ValueError):
            raise CannotUnwrap(f"not wrapped with our master key {key_id!r} for this customer") from None

    def older(self) -> Sequence[str]:
        self._ring.encrypting()  # looks at the file
        return self._ring.ids[1:]


def _bound(key_id: str, bound: str) -> bytes:
    return f"{key_id}\0{bound}".encode()
