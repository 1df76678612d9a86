"""Seals and opens personal data with the keys of the customer whom it is about, and makes those keys.

The connection carries the vault (`adapters/keys/`): whoever can write a row can seal it. Without a master key, rows
are written as they were before the sealing, and what is sealed cannot be read.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.clock import now
from adapters.keys.connect import VAULT
from adapters.keys.port import CannotUnwrap, Wrapped
from adapters.keys.vault import CannotOpen, Cipher, Place, Vault
from adapters.postgres.rows import parsed
from domain.data_classes import Purpose

Stored = Mapping[str, Sequence[str]]
"""A customer's keys as `KEYS_OF` reads them: key id and wrapped key by purpose; a destroyed one is missing."""

KEYS_OF = """(SELECT json_object_agg(purpose, json_build_array(key_id, wrapped))::text FROM customer_keys AS of_them
               WHERE of_them.customer_id = {customer} AND wrapped IS NOT NULL)"""
"""SQL: the keys of the customer whom `{customer}` names, for a statement that reads what they have sealed."""

_READ = text(f"SELECT {KEYS_OF.format(customer=':customer_id')}")
_ADD = text("""
    INSERT INTO customer_keys (customer_id, purpose, key_id, wrapped, created_at)
    VALUES (:customer_id, :purpose, :key_id, :wrapped, :at)
        ON CONFLICT DO NOTHING
""")
_OLDER = text("""
    SELECT customer_id, purpose, key_id, wrapped FROM customer_keys
     WHERE key_id = ANY (:older) AND wrapped IS NOT NULL
     ORDER BY customer_id, purpose LIMIT :most FOR UPDATE SKIP LOCKED
""")
_REWRAP = text("""
    UPDATE customer_keys SET key_id = :key_id, wrapped = :wrapped
     WHERE customer_id = :customer_id AND purpose = :purpose AND wrapped = :before
""")
_LEFT = text("SELECT count(*) FROM customer_keys WHERE key_id = ANY (:older) AND wrapped IS NOT NULL")

log = structlog.get_logger(__name__)


def vault_of(connection: AsyncConnection) -> Vault | None:
    """What the connection seals and opens with; None without a master key."""
    found: Vault | None = connection.sync_connection.get_execution_options().get(VAULT)  # type: ignore[union-attr]
    return found


def sealing_vault(connection: AsyncConnection) -> Vault | None:
    """The vault, where what is written now is to be sealed."""
    vault = vault_of(connection)
    return vault if vault is not None and vault.seals else None


class Opener(NamedTuple):
    """Opens what one customer has sealed, with the keys that were read together with it."""

    vault: Vault | None
    customer_id: str
    stored: Stored

    async def open(self, purpose: Purpose, column: str, row: str, sealed: str | None) -> str | None:
        """The clear text; None for nothing, and for what no key opens any more.

        Raises CannotOpen, also without a master key.
        """
        if sealed is None or purpose not in self.stored:
            return None
        if self.vault is None:
            raise CannotOpen(f"{column} is sealed, and customer_keys_file is not set")
        key_id, wrapped = self.stored[purpose]
        try:
            cipher = await self.vault.cipher(self.customer_id, purpose, Wrapped(key_id, base64.b64decode(wrapped)))
        except CannotUnwrap as error:
            raise CannotOpen(f"{column}: {error}") from None
        return cipher.open(Place(column, self.customer_id, row), sealed)


def opener(connection: AsyncConnection, customer_id: str, keys: str | None) -> Opener:
    """`keys` are what `KEYS_OF` has read."""
    return Opener(vault_of(connection), customer_id, parsed(keys) if keys else {})


async def read_opener(connection: AsyncConnection, customer_id: str) -> Opener:
    """With a statement of its own."""
    keys = (await connection.execute(_READ, {"customer_id": customer_id})).scalar_one()
    return opener(connection, customer_id, keys)


async def cipher_of(
    connection: AsyncConnection, customer_id: str, purpose: Purpose, stored: Stored | None = None
) -> Cipher | None:
    """The key with which something of the customer's is sealed now, made with the first use.

    None where nothing is sealed here. A customer who was erased has none: what is written of them is not kept.
    `stored` saves a statement where the keys were read before.
    """
    vault = sealing_vault(connection)
    if vault is None:
        return None
    if (known := vault.known(customer_id, purpose)) is not None:
        return known
    if stored is None or purpose not in stored:
        stored = (await read_opener(connection, customer_id)).stored
    if purpose not in stored:
        await add_keys(connection, customer_id)
        stored = (await read_opener(connection, customer_id)).stored
    if purpose not in stored:
        raise KeyDestroyed(customer_id)
    key_id, wrapped = stored[purpose]
    return await vault.cipher(customer_id, purpose, Wrapped(key_id, base64.b64decode(wrapped)))


class KeyDestroyed(Exception):
    """The customer was erased: nothing of theirs can be sealed any more."""


async def add_keys(connection: AsyncConnection, customer_id: str) -> None:
    """The customer's keys; those that are there stay, destroyed ones stay destroyed."""
    vault = sealing_vault(connection)
    if vault is None:
        return
    rows = []
    for purpose in Purpose:
        key_id, wrapped = await vault.new_key(customer_id, purpose)
        encoded = base64.b64encode(wrapped).decode()
        rows.append(
            {"customer_id": customer_id, "purpose": purpose, "key_id": key_id, "wrapped": encoded, "at": now()}
        )
    await connection.execute(_ADD, rows)


async def rewrap(connection: AsyncConnection, most: int = 500) -> int:
    """Wraps the keys anew that an older master key has wrapped; how many. What they have sealed stays as it is.

    `connection` is in a transaction. One that does not unwrap stays, with an error in the log.
    """
    vault = sealing_vault(connection)
    older = vault.keys.older() if vault else ()
    if vault is None or not older:
        return 0
    done = 0
    for row in await connection.execute(_OLDER, {"older": list(older), "most": most}):
        before = Wrapped(row.key_id, base64.b64decode(row.wrapped))
        try:
            key_id, wrapped = await vault.rewrap(row.customer_id, Purpose(row.purpose), before)
        except CannotUnwrap as error:
            log.error("customer_key_unusable", customer_id=row.customer_id, problem=str(error))
            continue
        new = {"key_id": key_id, "wrapped": base64.b64encode(wrapped).decode(), "before": row.wrapped}
        await connection.execute(_REWRAP, new | {"customer_id": row.customer_id, "purpose": row.purpose})
        done += 1
    return done


async def to_rewrap(connection: AsyncConnection) -> int:
    """How many keys an older master key has wrapped: it may leave the ring when there is none."""
    vault = vault_of(connection)
    older = vault.keys.older() if vault else ()
    return int((await connection.execute(_LEFT, {"older": list(older)})).scalar_one()) if older else 0
