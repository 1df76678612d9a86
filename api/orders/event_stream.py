"""An order's timeline as server-sent events: so far, then live, until the order has ended."""

from __future__ import annotations

import asyncio
import math
import re
import time
from datetime import datetime
from typing import Any

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive

from api.http.fields import Wire
from api.orders.listener import Listener
from api.orders.live import LiveOrders
from domain.errors import bad_fields
from domain.order_states import FINAL
from services.orders.named import no_such_order

MEDIA_TYPE = "text/event-stream"
LONGEST = 86_400.0  # seconds of one stream, also for who has a key that lives for a year; its client asks again
LAST_EVENT_ID = "Last-Event-ID"
_SEQUENCE = re.compile(r"[0-9]{1,18}", re.ASCII)
_QUALITY = re.compile(r"\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*", re.IGNORECASE)

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"}
"""No cache keeps the stream, and no proxy gathers it (https://nginx.org/en/docs/http/ngx_http_proxy_module.html)."""

DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The rows so far. With `Accept: text/event-stream` a stream: the rows so far, then each new "
        "row once it is committed, until the order has ended. `id` is the row's sequence, `data` the row as JSON; a "
        "client that sends the last id as `Last-Event-ID` goes on without gap or repeat. A comment comes every 15 s.",
        "content": {
            MEDIA_TYPE: {
                "schema": {"type": "string"},
                "example": 'id: 1\ndata: {"sequence":1,"at":"2026-11-02T09:30:00Z","from":null,"to":"PLACED",'
                '"what":"order placed"}\n\n',
            }
        },
    },
    204: {"description": "The order has ended, and `Last-Event-ID` is its last row: do not ask again"},
}


class StreamTicket(Wire):
    """What opens one order's stream without a header, until `expiresAt`; whoever has it may read the timeline."""

    ticket: str
    expires_at: datetime
    stream: str


def wanted(accept: str) -> bool:
    """Whether the client asks for a stream by name, and does not like JSON better (RFC 9110, section 12.5.1)."""
    liking = {}
    for one in accept.split(","):
        media, *parameters = one.split(";")
        qualities = [float(found[1]) for given in parameters if (found := _QUALITY.fullmatch(given))]
        liking[media.strip().lower()] = qualities[0] if qualities else 1.0
    return liking.get(MEDIA_TYPE, 0.0) > 0 and liking[MEDIA_TYPE] >= liking.get("application/json", 0.0)


async def open_stream(
    live: LiveOrders, order_id: str, after: int, last_event_id: str | None, until: float = math.inf
) -> Response:
    """The stream behind the row `last_event_id`, or else `after`; 204 where there is and will be nothing behind it.

    Raises NotFound for an order that does not exist, InvalidInput for a row that it does not have, Unavailable where
    there are too many streams. It ends at the time `until`, in seconds since 1970, when its caller's token does.
    """
    if last_event_id and not _SEQUENCE.fullmatch(last_event_id):
        raise bad_fields({LAST_EVENT_ID: "the id of an event of this stream is needed: a number"})
    listener = live.join(order_id, int(last_event_id) if last_event_id else after)
    position = listener.position
    try:
        found = await listener.began
        if found is None:
            raise no_such_order()
        if position > found.version:
            field = LAST_EVENT_ID if last_event_id else "after"
            raise bad_fields({field: f"there is no such event: the last one of this order is {found.version}"})
        if found.status in FINAL and position == found.version:
            live.leave(listener)
            return Response(status_code=204, headers=HEADERS)
    except BaseException:
        live.leave(listener)
        raise
    return EventStream(live, listener, until)


class EventStream(StreamingResponse):
    """The answer to one listener. It ends with the order, the server, its token, or a client that goes or is slow."""

    def __init__(self, live: LiveOrders, listener: Listener, until: float = math.inf) -> None:
        super().__init__(listener.frames(), media_type=MEDIA_TYPE, headers=HEADERS)
        self._live, self._listener, self._until = live, listener, until

    async def __call__(self, *call: Any) -> None:
        left = min(max(0.0, self._until - time.time()), LONGEST)
        ends = asyncio.get_running_loop().call_later(left, self._listener.end)
        try:
            await super().__call__(*call)
        finally:
            ends.cancel()
            self._live.leave(self._listener)

    async def listen_for_disconnect(self, receive: Receive) -> None:
        """Comes back when the client is gone, or was dropped: a write that waits for a client ends with it."""
        gone = asyncio.create_task(super().listen_for_disconnect(receive))
        dropped = asyncio.create_task(self._listener.dropped.wait())
        try:
            await asyncio.wait({gone, dropped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            dropped.cancel()
