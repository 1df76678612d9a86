"""API keys of programs: made, listed, revoked, and found by whoever checks one."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.clock import now
from adapters.identities.api_keys import AT_A_TIME, KeyParts, compose
from domain.errors import Conflict, NotFound
from domain.identities import API_KEYS, Kind, Principal, Role, roles_of
from services.identities.tables import ApiKey

keys = ApiKey.__table__  # type: ignore[attr-defined]


class KeyRead(NamedTuple):
    """A key as it may be shown: without its secret."""

    key_id: str
    owner: str
    scopes: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None


async def create_key(
    connection: AsyncConnection, owner: str, roles: Collection[Role], life: timedelta, by: str
) -> tuple[KeyRead, str]:
    """A new key of the owner, and the key itself, which nobody can tell again.

    In a transaction. Raises Conflict where the owner has two that count already.
    """
    at = now()
    live = [row.slot for row in await connection.execute(_of_owner(owner, at).with_for_update())]
    free = [slot for slot in range(1, AT_A_TIME + 1) if slot not in live]
    if not free:
        detail = f"{owner} has {AT_A_TIME} keys; revoke one first"
        raise Conflict("too_many_keys", detail, owner=owner)
    await connection.execute(
        update(keys)
        .where(keys.c.owner == owner, keys.c.revoked_at.is_(None), keys.c.expires_at <= at)
        .values(revoked_at=at, revoked_by="expiry")
    )
    parts = KeyParts(secrets.token_hex(6), secrets.token_hex(32))
    values = {
        "key_id": parts.key_id,
        "owner": owner,
        "slot": free[0],
        "scopes": sorted(roles),
        "secret_hash": _hash(parts.secret),
        "created_at": at,
        "created_by": by,
        "expires_at": at + life,
    }
    row = (await connection.execute(insert(keys).values(values).returning(*_SHOWN))).one()
    return _read(row), compose(parts)


async def list_keys(connection: AsyncConnection) -> Sequence[KeyRead]:
    """All keys, the newest first; those that were revoked as well."""
    found = await connection.execute(select(*_SHOWN).order_by(keys.c.created_at.desc(), keys.c.key_id))
    return [_read(row) for row in found]


async def revoke_key(connection: AsyncConnection, key_id: str, by: str) -> KeyRead:
    """The key, which counts no longer; one that was revoked before stays as it is. Raises NotFound."""
    await connection.execute(
        update(keys)
        .where(keys.c.key_id == key_id, keys.c.revoked_at.is_(None))
        .values(revoked_at=now(), revoked_by=by)
    )
    row = (await connection.execute(select(*_SHOWN).where(keys.c.key_id == key_id))).one_or_none()
    if row is None:
        raise NotFound("no_such_key", "there is no API key of this id")
    return _read(row)


async def principal_of(connection: AsyncConnection, given: KeyParts) -> Principal | None:
    """Who shows the key; None for one that does not count."""
    row = (await connection.execute(select(keys).where(keys.c.key_id == given.key_id))).one_or_none()
    secret = row.secret_hash if row else bytes(32)
    if not hmac.compare_digest(secret, _hash(given.secret)) or row is None:
        return None
    if row.revoked_at is not None or row.expires_at <= now():
        return None
    return Principal(
        issuer=API_KEYS,
        subject=row.owner,
        kind=Kind.SERVICE,
        roles=roles_of(row.scopes),
        expires_at=row.expires_at.timestamp(),
    )


def _of_owner(owner: str, at: datetime) -> Select[Any]:
    return select(keys.c.slot).where(keys.c.owner == owner, keys.c.revoked_at.is_(None), keys.c.expires_at > at)


def _hash(secret: str) -> bytes:
    # 256 random bits need no slow hash: nobody tries them all.
    return hashlib.sha256(secret.encode()).digest()


_SHOWN = [keys.c[name] for name in KeyRead._fields]


def _read(row: Row[Any]) -> KeyRead:
    return KeyRead._make(row)
