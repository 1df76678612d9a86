"""Kafka: one topic, whose records are keyed by the subject and lie in the partition that we compute from it.

A position is an offset plus one. Kafka knows no message ids: a relay that sends an event again stores it again, and
consumers know it by its sequence. The producer is idempotent where the broker can do that (`?idempotence=off` in the
URL otherwise), which keeps its own retries from doubling or reordering.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAlreadyExistsError,
)

from adapters.bus.port import PARTITIONS, TOPIC, Broker, BusAway, Head, Incoming, Outgoing, Refused
from domain.cloud_events import CONTENT_TYPE

ACKNOWLEDGED_WITHIN = 10.0  # seconds
ANSWERED_WITHIN = 5.0  # seconds for a question about offsets
CLOSING = 2.0  # seconds
LOOK = 500  # milliseconds for the last record of a partition
FETCH = 5.0  # seconds that a reader waits for records before it asks whether the broker is there

OF_THE_EVENT = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError, PolicyViolationError)

log = structlog.get_logger(__name__)

Value = TypeVar("Value")


@dataclass(frozen=True)
class TopicShape:
    """What a topic that is made anew is like."""

    replicas: int = 1
    kept: timedelta = timedelta(days=30)

    def topic(self, name: str) -> NewTopic:
        """With the broker's own time in each record; a write needs a second copy where there are three."""
        configs = {
            "retention.ms": str(int(self.kept.total_seconds() * 1000)),
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(min(2, self.replicas)),
        }
        return NewTopic(name, PARTITIONS, self.replicas, topic_configs=configs)


class KafkaBroker(Broker):
    """Brokers by a URL: `kafka://one:9092,two:9092`."""

    def __init__(self, url: str, shape: TopicShape = TopicShape(), topic: str = TOPIC) -> None:
        self._servers = urlsplit(url).netloc.split(",")
        self._idempotent = parse_qs(urlsplit(url).query).get("idempotence", ["on"]) != ["off"]
        self._shape, self._topic = shape, topic
        self._producer: AIOKafkaProducer | None = None
        self._asking: AIOKafkaConsumer | None = None  # for questions about offsets
        self._incarnation = ""
        self._opening, self._looking = asyncio.Lock(), asyncio.Lock()

    # publishing ------------------------------------------------------------------------------------------------

    async def publish(self, events: Sequence[Outgoing]) -> list[Exception | None]:
        try:
            producer = await self._open_producer()
        except BusAway as away:
            return [away] * len(events)
        answers = await asyncio.gather(*(self._send(producer, event) for event in events), return_exceptions=True)
        failures = [_failure(answer) for answer in answers]
        if any(isinstance(failure, BusAway) for failure in failures):
            await self._drop_producer()  # an idempotent one cannot go on after it gave a batch up
        return failures

    async def _send(self, producer: AIOKafkaProducer, event: Outgoing) -> None:
        headers = [("content-type", CONTENT_TYPE.encode())]
        async with asyncio.timeout(ACKNOWLEDGED_WITHIN):
            await producer.send_and_wait(
                self._topic, event.body, key=event.subject.encode(), partition=event.partition, headers=headers
            )

    async def _open_producer(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                await self._make_topic()
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._servers,
                    client_id="ordersaga",
                    acks="all",
                    enable_idempotence=self._idempotent,
                    request_timeout_ms=int(ACKNOWLEDGED_WITHIN * 1000),
                )
                await _started(producer)
                self._producer = producer
            return self._producer

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stopped(producer)

    async def _make_topic(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers, client_id="ordersaga")
        await _started(admin)
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                if self._topic not in await admin.list_topics():
                    await admin.create_topics([self._shape.topic(self._topic)])
        except TopicAlreadyExistsError:
            pass
        except (KafkaError, TimeoutError, OSError, AttributeError) as error:
            # The last of these is how aiokafka says that the cluster has no controller to ask.
            log.warning("topic_not_made", topic=self._topic, error=f"{type(error).__name__}: {error}"[:200])
        finally:
            await _stopped(admin)

    # reading ---------------------------------------------------------------------------------------------------

    async def head(self, partition: int) -> Head:
        there = TopicPartition(self._topic, partition)
        asking = await self._open_asking()
        first = (await self._answer(asking.beginning_offsets([there])))[there]
        return Head(self._incarnation, first + 1, await self._end(asking, there))

    async def position_at(self, partition: int, at: datetime) -> int:
        there = TopicPartition(self._topic, partition)
        asking = await self._open_asking()
        found = (await self._answer(asking.offsets_for_times({there: int(at.timestamp() * 1000)})))[there]
        if found is not None and found.offset >= 0 and found.timestamp >= 0:
            return int(found.offset)
        return await self._end(asking, there)

    async def _end(self, asking: AIOKafkaConsumer, there: TopicPartition) -> int:
        """The offset that comes next. Tansu answers the question for it with the begin of the last batch."""
        async with self._looking:
            end = int((await self._answer(asking.end_offsets([there])))[there])
            if end == 0:
                return 0
            asking.assign([there])
            asking.seek(there, end - 1)
            await self._answer(asking.getmany(there, timeout_ms=LOOK, max_records=1))
            seen = asking.highwater(there)
            asking.unsubscribe()
            return max(end, seen or 0)

    async def read(self, partition: int, after: int, *, most: int = 100) -> AsyncIterator[list[Incoming]]:
        there = TopicPartition(self._topic, partition)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            client_id="ordersaga",
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # of positions that the topic has no longer
            fetch_max_wait_ms=500,
        )
        await _started(consumer)
        try:
            consumer.assign([there])
            consumer.seek(there, after)
            while True:
                records = await consumer.getmany(there, timeout_ms=int(FETCH * 1000), max_records=most)
                if batch := records.get(there):
                    yield [_incoming(record) for record in batch]
                else:
                    await self._answer(consumer.end_offsets([there]))
        except KafkaError as error:
            raise BusAway(f"reading from Kafka: {type(error).__name__}") from error
        finally:
            await _stopped(consumer)

    async def _open_asking(self) -> AIOKafkaConsumer:
        async with self._opening:
            if self._asking is None:
                asking = AIOKafkaConsumer(bootstrap_servers=self._servers, client_id="ordersaga")
                await _started(asking)
                self._asking = asking
                self._incarnation = f"{self._topic} at {','.join(self._servers)}"
            return self._asking

    async def _answer(self, question: Awaitable[Value]) -> Value:
        """Raises BusAway, and has the next question asked on another connection."""
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                return await question
        except (KafkaError, TimeoutError, OSError) as error:
            asking, self._asking = self._asking, None
            if asking is not None:
                await _stopped(asking)
            raise BusAway(f"Kafka does not answer ({type(error).__name__})") from error

    async def aclose(self) -> None:
        asking, self._asking = self._asking, None
        await self._drop_producer()
        if asking is not None:
            await _stopped(asking)


def _incoming(record: Any) -> Incoming:
    return Incoming(record.offset + 1, record.value, datetime.fromtimestamp(record.timestamp / 1000, UTC))


def _failure(answer: BaseException | None) -> Exception | None:
    if isinstance(answer, OF_THE_EVENT):
        return Refused(f"{type(answer).__name__}: {answer}")
    if isinstance(answer, KafkaError | TimeoutError | OSError):
        return BusAway(f"Kafka did not acknowledge ({type(answer).__name__})")
    if isinstance(answer, BaseException):
        raise answer
    return None


async def _started(client: Any) -> None:
    """Raises BusAway, and leaves nothing open."""
    try:
        async with asyncio.timeout(ANSWERED_WITHIN):
            await client.start()
    except (KafkaError, TimeoutError, OSError) as error:
        await _stopped(client)
        raise BusAway(f"Kafka cannot be reached ({type(error).__name__})") from None


async def _stopped(client: Any) -> None:
    """However that ends: a client whose broker is gone may end by canceling what it waits for itself."""
    stop = asyncio.ensure_future(client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
    await asyncio.wait({stop}, timeout=CLOSING)
    stop.cancel()
    await asyncio.gather(stop, return_exceptions=True)
