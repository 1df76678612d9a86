"""NATS JetStream: one stream, in which the subject of a message says partition and type (`ev.3.ordersaga.order...`).

A position is the number of a message in the stream. What the server acknowledges it has written, but by default not
synced to the disk: a power loss may take the last minutes (`ordersaga events replay` puts them back).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters.bus.nats_connection import NatsConnection, NotThere
from adapters.bus.nats_reading import NANOSECONDS, Reading
from adapters.bus.port import STREAM, Broker, BusAway, Head, Incoming, Outgoing, Refused
from domain.cloud_events import CONTENT_TYPE

ACKNOWLEDGED_WITHIN = 5.0  # seconds
REPEATS = timedelta(minutes=10)  # in which the server swallows a message id that it has
TOO_LARGE = 10054  # JetStream's code for a message beyond the stream's limit


@dataclass(frozen=True)
class StreamShape:
    """What a stream that is made anew is like."""

    replicas: int = 1
    kept: timedelta = timedelta(days=30)
    most_bytes: int = -1  # no limit but the disk's
    repeats: timedelta = REPEATS

    def config(self, name: str) -> dict[str, Any]:
        """As JetStream takes it. A full stream refuses what is new: dropping the oldest would be silent."""
        return {
            "name": name,
            "subjects": ["ev.>"],
            "storage": "file",
            "retention": "limits",
            "discard": "new",
            "max_age": int(self.kept.total_seconds() * NANOSECONDS),
            "max_bytes": self.most_bytes,
            "duplicate_window": int(self.repeats.total_seconds() * NANOSECONDS),
            "num_replicas": self.replicas,
            "deny_delete": True,
            "deny_purge": True,
        }


class NatsBroker(Broker):
    """JetStream by a URL with the user's name and password."""

    def __init__(self, url: str, shape: StreamShape = StreamShape(), stream: str = STREAM) -> None:
        self._shape, self._stream = shape, stream
        self._connection = NatsConnection(url, self._lost)
        self._acknowledgments: dict[str, asyncio.Future[Exception | None]] = {}
        self._numbers = count(1)
        self._prepared: Client | None = None  # it has its inbox, and the stream is there
        self._inbox = ""
        self._readings: set[Reading] = set()

    # publishing ------------------------------------------------------------------------------------------------

    async def publish(self, events: Sequence[Outgoing]) -> list[Exception | None]:
        try:
            client = await self._ready()
        except BusAway as away:
            return [away] * len(events)
        sent = [await self._send(client, event) for event in events]
        if sent:
            await asyncio.wait(sent, timeout=ACKNOWLEDGED_WITHIN)
        self._acknowledgments.clear()
        return [_outcome(future) for future in sent]

    async def _send(self, client: Client, event: Outgoing) -> asyncio.Future[Exception | None]:
        number = str(next(self._numbers))
        answer = self._acknowledgments[number] = asyncio.get_running_loop().create_future()
        try:
            await client.publish(
                f"ev.{event.partition}.{event.type}",
                event.body,
                reply=f"{self._inbox}.{number}",
                headers={"Nats-Msg-Id": event.message_id, "Content-Type": CONTENT_TYPE},
            )
        except nats.errors.MaxPayloadError:
            answer.set_result(Refused(f"{len(event.body)} bytes are more than the server takes"))
        except (nats.errors.Error, OSError) as error:
            answer.set_result(BusAway(str(error) or type(error).__name__))
        return answer

    async def _acknowledged(self, message: Msg) -> None:
        answer = self._acknowledgments.get(message.subject.rpartition(".")[2])
        if answer is None or answer.done():
            return
        if not message.data:  # "no responders": the stream is gone, or has no leader now
            self._prepared = None
            answer.set_result(BusAway("no stream takes events"))
            return
        refused = json.loads(message.data).get("error")
        if refused is None:
            answer.set_result(None)
        elif refused.get("err_code") == TOO_LARGE:
            answer.set_result(Refused(refused.get("description", "too large")))
        else:
            answer.set_result(BusAway(f"{refused.get('description')} ({refused.get('err_code')})"))

    async def _ready(self) -> Client:
        """The client, with the inbox for acknowledgments, and the stream, which is made where it is missing."""
        client = await self._connection.open()
        if self._prepared is not client:
            self._inbox = client.new_inbox()
            await client.subscribe(f"{self._inbox}.*", cb=self._acknowledged)
            try:
                await self._connection.ask(f"STREAM.INFO.{self._stream}")
            except NotThere:
                config = self._shape.config(self._stream)
                await self._connection.ask(f"STREAM.CREATE.{self._stream}", **config)
            self._prepared = client
        return client

    def _lost(self, error: Exception) -> None:
        for answer in self._acknowledgments.values():
            if not answer.done():
                answer.set_result(error)
        for reading in self._readings:
            reading.lost(error)

    # reading ---------------------------------------------------------------------------------------------------

    async def head(self, partition: int) -> Head:
        try:
            info = await self._connection.ask(f"STREAM.INFO.{self._stream}")
        except NotThere:
            raise BusAway(f"there is no stream {self._stream} yet") from None
        state, subjects = info["state"], _subjects(partition)
        try:
            last = await self._message(last_by_subj=subjects)
            first = await self._message(seq=max(1, state["first_seq"]), next_by_subj=subjects)
        except NotThere:  # whatever it had was too old to be kept
            return Head(info["created"], state["last_seq"] + 1, state["last_seq"])
        return Head(info["created"], first, last)

    async def _message(self, **which: Any) -> int:
        found = await self._connection.ask(f"STREAM.MSG.GET.{self._stream}", **which)
        return int(found["message"]["seq"])

    async def read(self, partition: int, after: int, *, most: int = 100) -> AsyncIterator[list[Incoming]]:
        while True:
            reading = Reading(self._connection, self._stream, _subjects(partition), after)
            self._readings.add(reading)
            try:
                async for batch in reading.batches(most):
                    after = batch[-1].position
                    yield batch
            except NotThere:
                raise BusAway(f"there is no stream {self._stream} yet") from None
            finally:
                self._readings.discard(reading)

    async def position_at(self, partition: int, at: datetime) -> int:
        name = f"t{next(self._numbers)}-{id(self)}"
        config = {
            "name": name,
            "deliver_policy": "by_start_time",
            "opt_start_time": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": NANOSECONDS,
        }
        where = f"{self._stream}.{name}"
        try:
            made = await self._connection.ask(f"CONSUMER.CREATE.{where}", stream_name=self._stream, config=config)
            await self._connection.ask(f"CONSUMER.DELETE.{where}")
        except NotThere as missing:
            raise BusAway(str(missing)) from None
        return int(made["delivered"]["stream_seq"])

    async def aclose(self) -> None:
        self._lost(BusAway("the connection is closed"))
        await self._connection.aclose()


def _subjects(partition: int) -> str:
    return f"ev.{partition}.>"


def _outcome(answer: asyncio.Future[Exception | None]) -> Exception | None:
    if not answer.done():
        return BusAway(f"no acknowledgment within {ACKNOWLEDGED_WITHIN:.0f} s")
    return answer.result()
