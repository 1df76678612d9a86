"""Seals and opens what a customer's row holds of them, with the customer's own data keys (envelope encryption).

AES-256-GCM in this process, two or three microseconds each: a KMS is asked once for a customer's keys, which are kept
for some minutes. What is authenticated with a value is its table, column, customer and row: a value that was moved
elsewhere does not open.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from adapters.keys.port import Keys, Wrapped
from domain.data_classes import Purpose

KEY_SIZE = 32  # bytes: AES-256
NONCE = 12
FORM = "1."  # of what is sealed: the nonce, then what AES-GCM makes, in base64
KEPT = 20_000  # keys, some 300 bytes each
KEPT_FOR = 300.0  # seconds; a key that is destroyed leaves the memory of other processes after it


class CannotOpen(Exception):
    """What is sealed was made with another key, or for another place; or there is no master key here."""


class Place(NamedTuple):
    """Where a sealed value belongs."""

    column: str  # `table.column`
    customer_id: str
    row: str  # its key


class Cipher:
    """One data key of one customer."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, place: Place, clear: str) -> str:
        """The text as it may lie in the database."""
        nonce = os.urandom(NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, clear.encode(), "\0".join(place).encode())
        return FORM + base64.b64encode(sealed).decode()

    def open(self, place: Place, sealed: str) -> str:
        """The text that was sealed for this place. Raises CannotOpen, which quotes nothing."""
        try:
            given = base64.b64decode(sealed.removeprefix(FORM), validate=True)
            return self._cipher.decrypt(given[:NONCE], given[NONCE:], "\0".join(place).encode()).decode()
        except (InvalidTag, ValueError):
            raise CannotOpen(f"{place.column} of customer {place.customer_id} does not open with their key") from None


class _Kept(NamedTuple):
    cipher: Cipher
    until: float


class Vault:
    """The data keys that this process has used lately, and the blind index of e-mail addresses."""

    def __init__(
        self, keys: Keys, pepper: SecretStr, *, seals: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`seals`: False while others still have to learn to read what is sealed: then it only opens."""
        self.keys, self.seals = keys, seals
        self._clock = clock
        self._kept: OrderedDict[tuple[str, Purpose], _Kept] = OrderedDict()
        self._pepper = hmac.digest(pepper.get_secret_value().encode(), b"ordersaga blind index", hashlib.sha256)

    async def new_key(self, customer_id: str, purpose: Purpose) -> Wrapped:
        """A new data key, wrapped; it counts once its row is there."""
        return await self.keys.wrap(os.urandom(KEY_SIZE), bound(customer_id, purpose))

    async def rewrap(self, customer_id: str, purpose: Purpose, wrapped: Wrapped) -> Wrapped:
        """The same data key under the master key that is current. Raises CannotUnwrap."""
        said = bound(customer_id, purpose)
        return await self.keys.wrap(await self.keys.unwrap(wrapped, said), said)

    def known(self, customer_id: str, purpose: Purpose) -> Cipher | None:
        """The key, where it was used within the last minutes."""
        kept = self._kept.get((customer_id, purpose))
        if kept is None or kept.until < self._clock():
            return None
        self._kept.move_to_end((customer_id, purpose))
        return kept.cipher

    def knows(self, customer_id: str) -> bool:
        """Whether both keys of the customer were used within the last minutes."""
        return all(self.known(customer_id, purpose) for purpose in Purpose)

    async def cipher(self, customer_id: str, purpose: Purpose, wrapped: Wrapped) -> Cipher:
        """The key that a row of `customer_keys` has wrapped. Raises CannotUnwrap."""
        if (known := self.known(customer_id, purpose)) is not None:
            return known
        cipher = Cipher(await self.keys.unwrap(wrapped, bound(customer_id, purpose)))
        self._kept[customer_id, purpose] = _Kept(cipher, self._clock() + KEPT_FOR)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return cipher

    def forget(self, customer_id: str) -> None:
        """Of a customer who was erased."""
        for purpose in Purpose:
            self._kept.pop((customer_id, purpose), None)

    def blind_index(self, email: str) -> str:
        """By which an address is found that nobody can read: the same for what people write in two ways."""
        plain = unicodedata.normalize("NFKC", email).strip().casefold()
        return hmac.digest(self._pepper, plain.encode(), hashlib.sha256).hex()


def bound(customer_id: str, purpose: Purpose) -> str:
    """Whose key it is; neither part has a NUL in it."""
    return f"{customer_id}\0{purpose}"


Wrappings = Mapping[Purpose, Wrapped]
"""The keys of one customer that are not destroyed."""
