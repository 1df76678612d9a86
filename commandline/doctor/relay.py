"""The checks of `ordersaga doctor` for the relay: its health page, and whether the inbox is followed up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.settings import Settings
from adapters.telemetry.health_page import url_of
from commandline.doctor.asking import ask
from commandline.doctor.checks import PATIENCE, Check, fail, ok, warn

HEALTH, INBOX = "Relay health", "Webhook inbox"
LATE = 60.0  # seconds; an idle relay looks every 15, and an event that cannot be followed up is tried every 10

OVERDUE = timedelta(days=1)  # a relay looks for what may leave every hour

_OLDEST = text("""
    SELECT EXTRACT(EPOCH FROM now() - received_at) AS age, last_error
      FROM webhook_inbox WHERE processed_at IS NULL ORDER BY received_at LIMIT 1
""")

_KEPT = text("""
    SELECT now() - processed_at AS age FROM webhook_inbox WHERE processed_at IS NOT NULL ORDER BY processed_at LIMIT 1
""")


async def check_relay_health(settings: Settings) -> list[Check]:
    """What one relay says of itself; nothing where its page is turned off."""
    if (url := url_of(settings.relay_health_host, settings.relay_health_port)) is None:
        return []
    start = "start it (`python relay.py`), or set ORDERSAGA_RELAY_HEALTH_HOST and _PORT to where its page is"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False) as http:
            alive, ready = await http.get("/healthz"), await http.get("/readyz")
        parts = dict(ready.json())
    except (httpx.HTTPError, ValueError, TypeError) as error:
        return fail(HEALTH, f"{url} cannot be asked ({type(error).__name__})", start)
    if alive.status_code != 200:
        return fail(HEALTH, "it has not looked at the inbox for minutes", "start it again, and look at its log")
    notified = parts.pop("notifications", None) == "ok"
    away = [name for name, answer in parts.items() if answer != "ok"]
    if away:
        return fail(HEALTH, f"the relay cannot reach {' and '.join(away)}", "mend what it cannot reach, see above")
    if not notified:
        mend = "let it reach PostgreSQL itself: a connection pool in between may not pass LISTEN on"
        return warn(HEALTH, f"{url}, but no notifications arrive: webhooks are followed up late", mend)
    return ok(HEALTH, f"{url}, notifications arrive")


async def check_inbox(settings: Settings, late: float = LATE) -> list[Check]:
    """Whether a webhook has waited for longer than `late` seconds, and whether old ones leave; nothing where the
    database cannot be asked."""
    answer = await ask(settings, _inbox)
    if answer is None:
        return []
    oldest, kept = answer
    if oldest is None or oldest.age <= late:
        if kept is not None and kept > settings.inbox_kept + OVERDUE:
            found = f"every webhook is followed up, but one has been kept for {kept.days} days"
            return warn(INBOX, found, "start a relay: it deletes what is older than ORDERSAGA_INBOX_KEPT")
        return ok(INBOX, "every webhook is followed up")
    if oldest.last_error:
        return fail(INBOX, f"a webhook has waited for {oldest.age:.0f} s: {oldest.last_error}", "mend what it says")
    return fail(INBOX, f"a webhook has waited for {oldest.age:.0f} s", "start a relay: `python relay.py`")


async def _inbox(connection: AsyncConnection) -> tuple[Row[Any] | None, timedelta | None]:
    """The oldest event that is not followed up, and for how long the oldest other one has been kept."""
    oldest = (await connection.execute(_OLDEST)).one_or_none()
    return oldest, (await connection.execute(_KEPT)).scalar_one_or_none()
