"""The check of `ordersaga doctor` for webhooks to merchants: which endpoints fail, and which get nothing any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.settings import Settings
from commandline.doctor.asking import ask
from commandline.doctor.checks import Check, ok, warn
from domain.merchant_webhooks import Disabled, EndpointState

MERCHANTS = "Merchant webhooks"
SHOWN = 20  # endpoints in trouble

_ENDPOINTS = text("""
    SELECT endpoint_id, url, state, disabled_because, failures, failed_at,
           (SELECT count(*) FROM (SELECT FROM webhook_deliveries AS one
                                   WHERE one.endpoint_id = endpoint.endpoint_id AND ended_at IS NULL
                                   LIMIT 1000) AS unsent) AS waiting
      FROM webhook_endpoints AS endpoint WHERE deleted_at IS NULL ORDER BY created_at, endpoint_id
""")


async def check_merchants(settings: Settings) -> list[Check]:
    """One check for each endpoint in trouble, else one for all; nothing without endpoints or a database to ask.

    They are warnings: whose server is down is the merchant's affair.
    """
    found = await ask(settings, _endpoints)
    if found is None:
        return []
    troubled = [row for row in found if row.failures or _was_disabled(row)]
    if troubled:
        return [check for row in troubled[:SHOWN] for check in _check(row)]
    off = sum(row.state == EndpointState.DISABLED for row in found)
    said = f"{len(found)} endpoints, none fails" + (f"; {off} were disabled by somebody" if off else "")
    return ok(MERCHANTS, said) if found else []


async def _endpoints(connection: AsyncConnection) -> Sequence[Row[Any]]:
    return (await connection.execute(_ENDPOINTS)).all()


def _was_disabled(row: Row[Any]) -> bool:
    return bool(row.state == EndpointState.DISABLED and row.disabled_because != Disabled.OPERATOR)


def _check(row: Row[Any]) -> list[Check]:
    # Of the address the host alone: its path may be a secret of the merchant's.
    name = f"{MERCHANTS} {urlsplit(row.url).hostname or ''} {row.endpoint_id}"
    waiting = f"; {row.waiting if row.waiting < 1000 else '1000 or more'} events wait for it" if row.waiting else ""
    if row.state == EndpointState.DISABLED:
        why = "it answered 410" if row.disabled_because == Disabled.GONE else f"{row.failures} failures in a row"
        mend = f"speak to the merchant, then `ordersaga webhooks enable {row.endpoint_id}`, or `disable` to leave it"
        return warn(name, f"disabled after {why}{waiting}", mend)
    mend = f"see `ordersaga webhooks deliveries {row.endpoint_id}`"
    last = f", last at {row.failed_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if row.failed_at else ""
    return warn(name, f"has failed {row.failures} times in a row{last}{waiting}", mend)
