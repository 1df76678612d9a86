"""Reading a JetStream stream from a position: a pull consumer of the reader's own, without acknowledgments.

The reader keeps its position by itself, so a consumer on the server is nothing but a cursor: it is made for one
reading and forgotten. A batch is handed on as it is: `Subscription.fetch` would wait until it is full.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import nats.errors
from nats.aio.msg import Msg

from adapters.bus.nats_connection import NatsConnection
from adapters.bus.port import BusAway, Incoming

HEARTBEAT = 5.0  # seconds between two signs of life of the server while nothing comes
PATIENCE = 12.0  # seconds without one
REQUEST = 60.0  # seconds for which the server remembers that somebody waits
FORGOTTEN = 30.0  # seconds after which the server drops the cursor of a reader that is gone
NANOSECONDS = 1_000_000_000

ENDED = ("404", "408")  # a request is over: nothing came in its time
ALIVE = "100"


class Reading:
    """One cursor over the events of one subject filter. Used inside `async with`."""

    def __init__(self, connection: NatsConnection, stream: str, subjects: str, after: int) -> None:
        self._connection, self._stream = connection, stream
        self._name = f"r{secrets.token_hex(8)}"
        self._config: dict[str, Any] = {
            "name": self._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": after + 1,
            "ack_policy": "none",
            "filter_subject": subjects,
            "inactive_threshold": int(FORGOTTEN * NANOSECONDS),
            "mem_storage": True,
            "num_replicas": 1,
        }
        self._subjects = subjects
        self._came: asyncio.Queue[Msg | Exception] = asyncio.Queue()
        self._next = 1  # the consumer's own number of the message that has to come next

    def lost(self, error: Exception) -> None:
        """Ends the reading: what was sent meanwhile may be lost."""
        self._came.put_nowait(error)

    async def batches(self, most: int) -> AsyncIterator[list[Incoming]]:
        """Ends where a message was lost on its way: the reader goes on with another cursor. Raises BusAway."""
        create = f"CONSUMER.CREATE.{self._stream}.{self._name}.{self._subjects}"
        await self._connection.ask(create, stream_name=self._stream, config=self._config)
        client = await self._connection.open()
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=self._take)
        ask = {"batch": most, "expires": int(REQUEST * NANOSECONDS), "idle_heartbeat": int(HEARTBEAT * NANOSECONDS)}
        wanted = 0
        try:
            while True:
                if wanted <= 0:
                    subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}"
                    await client.publish(subject, json.dumps(ask).encode(), reply=inbox)
                    wanted = most
                messages, is_over = await self._some(most)
                whole = self._whole(messages)
                if whole:
                    yield whole
                if len(whole) < len(messages):
                    return
                wanted = 0 if is_over else wanted - len(messages)
        except (nats.errors.Error, OSError) as error:
            raise BusAway(f"reading from NATS: {type(error).__name__}") from error
        finally:
            with suppress(Exception):
                await subscription.unsubscribe()
                await client.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}", b"")

    async def _take(self, message: Msg) -> None:
        self._came.put_nowait(message)

    async def _some(self, most: int) -> tuple[list[Msg], bool]:
        """What has come, up to `most` messages, and whether the request has ended. Raises BusAway."""
        messages: list[Msg] = []
        try:
            async with asyncio.timeout(PATIENCE):
                came = await self._came.get()
        except TimeoutError:
            raise BusAway("NATS gives no sign of life") from None
        while True:
            if isinstance(came, Exception):
                raise came
            status = came.headers.get("Status") if came.headers and not came.data else None
            if status in ENDED:
                return messages, True
            if status is None:
                messages.append(came)
            elif status != ALIVE:
                raise BusAway(f"NATS ended the reading: {(came.headers or {}).get('Description', status)}")
            if len(messages) == most or self._came.empty():
                return messages, False
            came = self._came.get_nowait()

    def _whole(self, messages: list[Msg]) -> list[Incoming]:
        """The messages up to the first that does not follow the one before it."""
        whole = []
        for message in messages:
            about = message.metadata
            if about.sequence.consumer != self._next:
                break
            self._next += 1
            whole.append(Incoming(about.sequence.stream, message.data, about.timestamp))
        return whole
