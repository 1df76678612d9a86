"""Which answer a client asks for, and a client that does not read."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from api.orders.event_stream import EventStream, wanted
from api.orders.live import LiveOrders


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream;q=0.5", True),
        ("text/event-stream, application/json;q=0.5", True),
        ("text/event-stream;q=0.5, application/json", False),
        ("text/event-stream;q=0", False),
        ("application/json", False),
        ("*/*", False),
        ("", False),
        ("text/event-stream;q=much", True),
    ],
)
def test_streams_to_who_asks_for_it_by_name(accept: str, streams: bool) -> None:
    """All others get JSON, as before there were streams."""
    assert wanted(accept) is streams


async def test_a_write_that_waits_for_a_client_ends_when_the_client_is_dropped() -> None:
    """Otherwise the answer would live as long as a client that neither reads nor goes."""
    asleep = asyncio.Event()

    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        asleep.set()
        await never()

    live = LiveOrders(never, never, 10)
    listener = live.join("a", 0)
    answer = asyncio.create_task(EventStream(live, listener)({"type": "http"}, never, send))
    await asyncio.wait_for(asleep.wait(), 10)
    listener.drop()
    await asyncio.wait_for(answer, 10)
    assert live.count == 0
    await live.aclose()


async def test_a_stream_ends_with_its_callers_token() -> None:
    """Who has lost their right meanwhile gets no more rows; a client that asks again has to say who it is."""
    sent: list[bytes] = []

    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    live = LiveOrders(never, never, 10)
    listener = live.join("a", 0)
    stream = EventStream(live, listener, until=time.time() - 1)
    await asyncio.wait_for(stream({"type": "http"}, never, send), 10)
    assert (sent[1], live.count) == (b"retry: 1000\n\n", 0)
    await live.aclose()
