"""What a shell's completion offers besides the command's own words."""

from __future__ import annotations

import httpx

from commandline.credentials import credential_for
from commandline.failures import Failure
from commandline.places import find_api

PATIENCE = 0.5  # seconds that a person at a prompt is kept waiting


def latest_orders(beginning: str) -> list[str]:
    """Ids of the latest orders that begin so; none where the API does not answer at once."""
    try:
        place = find_api(None)
        answer = httpx.get(
            f"{place.url}/api/orders",
            params={"limit": 50},
            timeout=PATIENCE,
            trust_env=not place.is_local,
            auth=credential_for(place),
        )
        found = [str(order["orderId"]) for order in answer.raise_for_status().json()["orders"]]
    except (Failure, httpx.HTTPError, ValueError, KeyError, TypeError):
        return []
    return [order_id for order_id in found if order_id.startswith(beginning)]
