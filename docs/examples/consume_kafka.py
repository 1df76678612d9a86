"""A consumer on Kafka: the orders that were placed. What was not committed comes again."""

import asyncio
import json
import os

from aiokafka import AIOKafkaConsumer


async def main() -> None:
    topic, servers = "ordersaga.events", os.environ["BROKERS"]
    by_hand = {"enable_auto_commit": False, "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(topic, bootstrap_servers=servers, group_id="my-shop", **by_hand) as records:
        async for record in records:
            event = json.loads(record.value)
            if event["type"] == "ordersaga.order.placed.v1":
                print(
                    event["id"], event["subject"], event["data"]["totalAmount"], flush=True
                )  # your work, by event id
            await records.commit()


asyncio.run(main())
