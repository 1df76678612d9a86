"""The check of `ordersaga doctor` for a worker's health page."""

from __future__ import annotations

from typing import Any

import httpx

from adapters.settings import Settings
from adapters.telemetry.health_page import url_of
from commandline.doctor.checks import PATIENCE, Check, fail, ok

NAME = "Worker health"


async def check_worker_health(settings: Settings) -> list[Check]:
    """What one worker says of itself; nothing where its page is turned off."""
    if (url := url_of(settings.worker_health_host, settings.worker_health_port)) is None:
        return []
    start = "start the worker, or set ORDERSAGA_WORKER_HEALTH_HOST and _PORT to where its page is"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False) as http:
            alive, ready = await http.get("/healthz"), await http.get("/readyz")
        hung, parts = alive.json().get("hung", []), ready.json()
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        return fail(NAME, f"{url} cannot be asked ({type(error).__name__})", start)
    if alive.status_code != 200:
        return fail(NAME, f"attempts hang: {', '.join(map(str, hung))}", "it ends itself soon; start it again")
    return _readiness(url, parts)


def _readiness(url: str, parts: dict[str, Any]) -> list[Check]:
    away = [name for name, answer in parts.items() if answer != "ok"]
    if away:
        return fail(NAME, f"the worker cannot reach {' and '.join(away)}", "mend what it cannot reach, see above")
    return ok(NAME, f"{url}, no attempt hangs")
