"""Notifications: notes what is to be told to customers. `events/mail.py` sends it, outside of any transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.cloud_events import CloudEvent
from domain.events import OrderEventData
from domain.notifications import MESSAGES
from domain.routing import Rule
from events.consumer import Consumer
from services.notifications import outgoing
from services.notifications.outgoing import Message


class Notifications(Consumer):
    """One message for each event's id, so that nobody hears of the same twice, whatever is read again."""

    name = "notifications"
    rule = Rule(types=frozenset(MESSAGES))
    in_order = False
    holds_subject = False  # whoever missed that an order was confirmed still wants to hear that it was shipped
    linger = 0.5

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        """`wake` is called when there is something to send; the transaction may end a moment later."""
        self._wake = wake

    async def apply(self, connection: AsyncConnection, events: Sequence[CloudEvent]) -> None:
        await outgoing.add(connection, [_message(event) for event in events])
        self._wake()

    async def apply_again(self, connection: AsyncConnection, event: CloudEvent) -> None:
        """A person wants it sent although it was refused, or although nobody knows whether it was sent."""
        await self.apply(connection, [event])
        await outgoing.send_again(connection, event.id)


def _message(event: CloudEvent) -> Message:
    data = OrderEventData.model_validate(event.data)
    return Message(event, data.order_id, data.customer_id, MESSAGES[data.event_type])
