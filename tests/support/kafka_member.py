"""A member of another service's consumer group, as a process that can be killed: prints what it has committed."""

from __future__ import annotations

import asyncio
import sys

from aiokafka import AIOKafkaConsumer


async def consume(servers: str, topic: str, group: str) -> None:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
        metadata_max_age_ms=1000,
    )
    await consumer.start()
    while True:
        batch = await consumer.getmany(timeout_ms=200, max_records=10)
        records = [record for found in batch.values() for record in found]
        if records:
            await consumer.commit()
        for record in records:
            sys.stdout.write(f"{record.key.decode()} {record.value.decode()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(consume(*sys.argv[1:]))
