"""The wishes to cancel an order: those that its workflow has heard, and those that are recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlmodel import select
from temporalio.api.common.v1 import Payload

from services.orders.tables import CancelWish
from tests.support.encryption import clear_history
from tests.support.orders import Handle, Shop


async def wishes_heard(handle: Handle) -> list[str]:
    """The id of each wish as often as it is in the history, as an accepted update or as a signal."""
    heard: list[str] = []
    for event in (await clear_history(handle._client, handle.id)).events:
        if event.HasField("workflow_execution_update_accepted_event_attributes"):
            request = event.workflow_execution_update_accepted_event_attributes.accepted_request
            heard += _ids(request.input.args.payloads)
        if event.HasField("workflow_execution_signaled_event_attributes"):
            heard += _ids(event.workflow_execution_signaled_event_attributes.input.payloads)
    return heard


def _ids(payloads: Iterable[Payload]) -> list[str]:
    given = [json.loads(payload.data) for payload in payloads]
    return [one["wish_id"] for one in given if isinstance(one, dict) and "wish_id" in one]


async def wishes_recorded(shop: Shop, order_id: str) -> dict[str, str]:
    """The code of each wish by its id."""
    async with shop.sessions() as session:
        rows = await session.exec(select(CancelWish).where(CancelWish.order_id == order_id))
        return {row.wish_id: row.code for row in rows}
