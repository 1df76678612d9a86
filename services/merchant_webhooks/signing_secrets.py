"""The secrets of endpoints: made here, shown once, and signed with ever after.

`_seal` and `_open` are the one place that knows how a secret lies in the database.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from domain.webhook_signatures import KEY_BYTES, secret_of
from services.merchant_webhooks.tables import WebhookSecret

_ADD = text("""
    INSERT INTO webhook_secrets (endpoint_id, sealed, created_at) VALUES (:endpoint_id, :sealed, now())
    RETURNING id
""")
# Of the older ones the newest goes on for a while; a third one does not.
_EXPIRE = text("""
    UPDATE webhook_secrets SET expires_at = least(expires_at, now() + CAST(:overlap AS interval))
     WHERE endpoint_id = :endpoint_id AND id < :id
 RETURNING id, expires_at
""")
_DROP = text("""
    DELETE FROM webhook_secrets
     WHERE endpoint_id = :endpoint_id
       AND (expires_at <= now() OR id NOT IN (SELECT id FROM webhook_secrets WHERE endpoint_id = :endpoint_id
                                               ORDER BY id DESC LIMIT 2))
""")


async def add_secret(connection: AsyncConnection, endpoint_id: str) -> str:
    """The first secret of an endpoint, to be shown once."""
    secret, _ = await rotate(connection, endpoint_id, timedelta(0))
    return secret


async def rotate(connection: AsyncConnection, endpoint_id: str, overlap: timedelta) -> tuple[str, datetime | None]:
    """A new secret, to be shown once, and until when the one before it signs as well; None where it does not."""
    secret = secret_of(secrets.token_bytes(KEY_BYTES))
    values = {"endpoint_id": endpoint_id, "sealed": _seal(secret)}
    new = (await connection.execute(_ADD, values)).scalar_one()
    await connection.execute(_DROP, {"endpoint_id": endpoint_id})
    olds = await connection.execute(_EXPIRE, {"endpoint_id": endpoint_id, "id": new, "overlap": overlap})
    until = max((row.expires_at for row in olds), default=None)
    await connection.execute(_DROP, {"endpoint_id": endpoint_id})
    return secret, until if overlap else None


async def forget(connection: AsyncConnection, endpoint_id: str) -> None:
    """An endpoint that is deleted has no secrets any more."""
    await connection.execute(delete(WebhookSecret).where(col(WebhookSecret.endpoint_id) == endpoint_id))


def opened(sealed: Iterable[str]) -> list[str]:
    """Secrets as they sign."""
    return [_open(one) for one in sealed]


def _seal(secret: str) -> str:
    """In the clear as yet: whoever reads the table can sign. A key that lies elsewhere belongs here."""
    return secret


def _open(sealed: str) -> str:
    return sealed
